# The buckets that keep what is archived: all of them are made alike.

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

# The role behind the session that runs Terraform.
data "aws_iam_session_context" "current" {
  arn = data.aws_caller_identity.current.arn
}

locals {
  longest_days = max(var.retention_days, [for each in values(var.class_buckets) : each.days]...)

  kept = merge(
    { archive = { bucket = var.archive_bucket, region = var.region, days = var.retention_days } },
    { for tag, each in var.class_buckets : "class ${tag}" => { bucket = each.bucket, region = var.region, days = each.days } },
    { for each in var.secondary[*] : "secondary" => { bucket = each.bucket, region = each.region, days = local.longest_days } },
  )

  # What is rewritten and removed: no versions, no retention.
  rewritten = merge(
    { subjects = { bucket = var.subjects_bucket, region = var.region } },
    { for bucket in var.positions_bucket[*] : "positions" => { bucket = bucket, region = var.region } },
  )

  buckets = { for key, each in merge(
    { for key, each in local.kept : key => { bucket = each.bucket, region = each.region } },
    local.rewritten,
  ) : key => merge(each, { arn = "arn:${data.aws_partition.current.partition}:s3:::${each.bucket}" }) }
}

resource "aws_s3_bucket" "kept" {
  for_each = local.kept

  bucket              = each.value.bucket
  region              = each.value.region
  object_lock_enabled = true # only a new bucket can have it
  force_destroy       = false

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "kept" {
  for_each = local.kept

  bucket = aws_s3_bucket.kept[each.key].id
  region = each.value.region

  versioning_configuration {
    status = "Enabled"
  }
}

# What is put without a date of its own gets this one. Workers send one with each object.
resource "aws_s3_bucket_object_lock_configuration" "kept" {
  for_each = local.kept

  bucket = aws_s3_bucket.kept[each.key].id
  region = each.value.region

  rule {
    default_retention {
      mode = "COMPLIANCE"
      days = each.value.days
    }
  }

  depends_on = [aws_s3_bucket_versioning.kept]
}

resource "aws_s3_bucket" "rewritten" {
  for_each = local.rewritten

  bucket        = each.value.bucket
  region        = each.value.region
  force_destroy = false

  lifecycle {
    prevent_destroy = true
  }
}

# What was erased must be gone. Once a bucket has had versions it can only stop making them.
resource "aws_s3_bucket_versioning" "rewritten" {
  for_each = local.rewritten

  bucket = aws_s3_bucket.rewritten[each.key].id
  region = each.value.region

  versioning_configuration {
    status = "Disabled"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = local.buckets

  bucket                  = local.ids[each.key]
  region                  = each.value.region
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.buckets

  bucket = local.ids[each.key]
  region = each.value.region

  rule {
    object_ownership = "BucketOwnerEnforced" # no access lists
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = local.buckets

  bucket = local.ids[each.key]
  region = each.value.region

  rule {
    bucket_key_enabled = var.encryption == "kms"

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.encryption == "kms" ? "aws:kms" : "AES256"
      kms_master_key_id = var.encryption == "kms" ? aws_kms_key.this[each.value.region].arn : null
    }
  }
}

locals {
  # Of the bucket as it is made, so that what is set up on it comes afterwards.
  ids = merge(
    { for key, each in aws_s3_bucket.kept : key => each.id },
    { for key, each in aws_s3_bucket.rewritten : key => each.id },
  )
}
