# A key of the account's own, in each region: only with `encryption = "kms"`. Retention does not cover
# it. Who destroys it destroys the archive, locked or not, so destroying takes 30 days and an administrator.

resource "aws_kms_key" "this" {
  for_each = toset([for each in values(local.buckets) : each.region if var.encryption == "kms"])

  region                  = each.key
  description             = "audit-stream: without this key the archive cannot be read"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = jsonencode({ Version = "2012-10-17", Statement = [
    {
      Sid       = "RolesDecide"
      Effect    = "Allow"
      Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${var.account_id}:root" }
      Action    = "kms:*"
      Resource  = "*"
    },
    {
      Sid       = "RefuseLosingItToOthers"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["kms:DisableKey", "kms:DeleteImportedKeyMaterial", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion"]
      Resource  = "*"
      Condition = { ArnNotEquals = { "aws:PrincipalArn" = var.administrators } }
    },
  ] })

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "this" {
  for_each = aws_kms_key.this

  name          = "alias/${var.name}"
  region        = each.key
  target_key_id = each.value.key_id
}
