# What the buckets themselves refuse, whatever a role allows.
#
# A statement that refuses has no exception but the one it names. Who is named under `administrators`
# may change these policies, and the account's root user may always; a version that is locked outlasts both.

locals {
  # Of every bucket.
  refused_everywhere = { for key, each in local.buckets : key => [
    {
      Sid       = "RefuseWithoutTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [each.arn, "${each.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    },
    {
      Sid       = "RefuseOldTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [each.arn, "${each.arn}/*"]
      Condition = { NumericLessThan = { "s3:TlsVersion" = "1.2" } }
    },
    # A key that comes with the request, or that another account has, makes what is put unreadable.
    {
      Sid       = "RefuseKeysOfCustomers"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = "${each.arn}/*"
      Condition = { Null = { "s3:x-amz-server-side-encryption-customer-algorithm" = "false" } }
    },
    {
      Sid       = "RefuseOtherKeys"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = "${each.arn}/*"
      Condition = { Null = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = "false" } }
    },
    {
      Sid       = "RefuseSettingUpToOthers"
      Effect    = "Deny"
      Principal = "*"
      Action = [
        "s3:DeleteBucket",
        "s3:DeleteBucketPolicy",
        "s3:PutAccelerateConfiguration",
        "s3:PutBucketAcl",
        "s3:PutBucketLogging",
        "s3:PutBucketNotification",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutBucketOwnershipControls",
        "s3:PutBucketPolicy",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutBucketVersioning",
        "s3:PutEncryptionConfiguration",
        "s3:PutInventoryConfiguration",
        "s3:PutLifecycleConfiguration",
        "s3:PutReplicationConfiguration",
      ]
      Resource  = each.arn
      Condition = { ArnNotEquals = { "aws:PrincipalArn" = var.administrators } }
    },
  ] }

  # Of the buckets that keep.
  refused_where_kept = { for key, each in local.kept : key => [
    # Refuses multipart uploads and copies with it: neither is how an object gets here.
    {
      Sid       = "RefuseNamesThatAreTaken"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = "${local.buckets[key].arn}/*"
      Condition = { Null = { "s3:if-none-match" = "true" } }
    },
    # A request that names no mode is refused, too.
    {
      Sid       = "RefuseAllButCompliance"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:PutObject", "s3:PutObjectRetention"]
      Resource  = "${local.buckets[key].arn}/*"
      Condition = { StringNotEquals = { "s3:object-lock-mode" = "COMPLIANCE" } }
    },
    # Days that remain are counted in whole ones when the request is judged: of 2557 there are 2556.
    {
      Sid       = "RefuseShorterRetention"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = "${local.buckets[key].arn}/*"
      Condition = { NumericLessThan = { "s3:object-lock-remaining-retention-days" = tostring(each.days - 1) } }
    },
    # Without a version's id: it would put a marker in front of the object, and free its name.
    {
      Sid       = "RefuseDeleteMarkers"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:DeleteObject", "s3:ReplicateDelete"]
      Resource  = "${local.buckets[key].arn}/*"
    },
    {
      Sid       = "RefuseBypass"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:BypassGovernanceRetention", "s3:ReplicateObject", "s3:ObjectOwnerOverrideToBucketOwner"]
      Resource  = "${local.buckets[key].arn}/*"
    },
    {
      Sid       = "RefuseDeletingToAllButTheDisposer"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:DeleteObjectVersion"
      Resource  = "${local.buckets[key].arn}/*"
      Condition = { ArnNotEquals = { "aws:PrincipalArn" = local.role_arns["disposer"] } }
    },
    {
      Sid         = "RefuseDeletingAllButSegments"
      Effect      = "Deny"
      Principal   = "*"
      Action      = "s3:DeleteObjectVersion"
      NotResource = "${local.buckets[key].arn}/segments/*"
    },
    {
      Sid       = "RefuseHoldsToAllButTheHolder"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObjectLegalHold"
      Resource  = "${local.buckets[key].arn}/*"
      Condition = { ArnNotEquals = { "aws:PrincipalArn" = local.role_arns["holder"] } }
    },
  ] }

  # Of the buckets that do not: a second copy of what is erased, here or elsewhere. To nobody, for nothing.
  refused_where_rewritten = { for key, each in local.rewritten : key => [
    {
      Sid       = "RefuseVersionsAndCopies"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:PutBucketVersioning", "s3:PutReplicationConfiguration", "s3:PutBucketObjectLockConfiguration"]
      Resource  = local.buckets[key].arn
    },
  ] }

  bucket_policies = { for key, each in local.buckets : key => {
    Version = "2012-10-17"
    Statement = concat(
      local.refused_everywhere[key],
      lookup(local.refused_where_kept, key, []),
      lookup(local.refused_where_rewritten, key, []),
    )
  } }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = local.bucket_policies

  bucket = local.ids[each.key]
  region = local.buckets[each.key].region
  policy = jsonencode(each.value)

  lifecycle {
    precondition {
      condition     = contains(var.administrators, data.aws_iam_session_context.current.issuer_arn)
      error_message = "You are not among var.administrators: this policy would shut you out."
    }
  }

  # What the policy refuses to others is set up first.
  depends_on = [
    aws_s3_bucket_public_access_block.this,
    aws_s3_bucket_ownership_controls.this,
    aws_s3_bucket_versioning.rewritten,
  ]
}
