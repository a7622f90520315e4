# Who read, put or deleted which object, and who was refused: CloudTrail, with digests that show what was
# taken out of it. Object names hold no personal data.

locals {
  trails    = { for bucket in var.trail_bucket[*] : "trail" => "arn:${data.aws_partition.current.partition}:s3:::${bucket}" }
  trail_arn = "arn:${data.aws_partition.current.partition}:cloudtrail:${var.region}:${var.account_id}:trail/${var.name}"
}

resource "aws_s3_bucket" "trail" {
  for_each = local.trails

  bucket        = var.trail_bucket
  force_destroy = false

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_public_access_block" "trail" {
  for_each = local.trails

  bucket                  = aws_s3_bucket.trail[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "trail" {
  for_each = local.trails

  bucket = aws_s3_bucket.trail[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "trail" {
  for_each = local.trails

  bucket = aws_s3_bucket.trail[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "trail" {
  for_each = local.trails

  bucket = aws_s3_bucket.trail[each.key].id

  rule {
    id     = "trail"
    status = "Enabled"

    filter {}

    expiration {
      days = var.trail_days
    }

    noncurrent_version_expiration {
      noncurrent_days = 90
    }
  }

  depends_on = [aws_s3_bucket_versioning.trail]
}

resource "aws_s3_bucket_policy" "trail" {
  for_each = local.trails

  bucket = aws_s3_bucket.trail[each.key].id

  policy = jsonencode({ Version = "2012-10-17", Statement = [
    {
      Sid       = "TrailLooks"
      Effect    = "Allow"
      Principal = { Service = "cloudtrail.amazonaws.com" }
      Action    = "s3:GetBucketAcl"
      Resource  = each.value
      Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
    },
    {
      Sid       = "TrailWrites"
      Effect    = "Allow"
      Principal = { Service = "cloudtrail.amazonaws.com" }
      Action    = "s3:PutObject"
      Resource  = "${each.value}/AWSLogs/${var.account_id}/*"
      Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn, "s3:x-amz-acl" = "bucket-owner-full-control" } }
    },
    {
      Sid       = "RefuseWithoutTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [each.value, "${each.value}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    },
    {
      Sid       = "RefuseDeletingToOthers"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:DeleteBucketPolicy", "s3:PutBucketPolicy", "s3:PutLifecycleConfiguration"]
      Resource  = [each.value, "${each.value}/*"]
      Condition = { ArnNotEquals = { "aws:PrincipalArn" = var.administrators } }
    },
  ] })

  depends_on = [aws_s3_bucket_public_access_block.trail]
}

resource "aws_cloudtrail" "this" {
  for_each = local.trails

  name                          = var.name
  s3_bucket_name                = aws_s3_bucket.trail[each.key].id
  enable_log_file_validation    = true
  is_multi_region_trail         = true
  include_global_service_events = true

  advanced_event_selector {
    name = "Every object of the archive and the subjects"

    field_selector {
      field  = "eventCategory"
      equals = ["Data"]
    }

    field_selector {
      field  = "resources.type"
      equals = ["AWS::S3::Object"]
    }

    field_selector {
      field       = "resources.ARN"
      starts_with = [for each in values(local.buckets) : "${each.arn}/"]
    }
  }

  # How the buckets, roles and keys are set up, and by whom.
  advanced_event_selector {
    name = "Management"

    field_selector {
      field  = "eventCategory"
      equals = ["Management"]
    }
  }

  depends_on = [aws_s3_bucket_policy.trail]
}
