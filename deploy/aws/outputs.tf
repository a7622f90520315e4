output "settings" {
  description = "Settings of every process."
  value = merge(
    {
      AUDIT_ARCHIVE        = "s3://${var.archive_bucket}"
      AUDIT_SUBJECTS       = "s3://${var.subjects_bucket}"
      AUDIT_RETENTION_DAYS = tostring(var.retention_days)
      AUDIT_S3_REGION      = var.region
    },
    length(var.class_buckets) == 0 ? {} : {
      AUDIT_RETENTION = join(", ", [for tag, each in var.class_buckets : "${tag}=${each.days}d"])
      AUDIT_ARCHIVES  = join(", ", [for tag, each in var.class_buckets : "${tag}=s3://${each.bucket}"])
    },
    { for each in var.secondary[*] : "AUDIT_ARCHIVE_SECONDARY" => "s3://${each.bucket}" },
    { for each in var.secondary[*] : "AUDIT_S3_SECONDARY_REGION" => each.region },
    { for bucket in var.positions_bucket[*] : "AUDIT_DELIVERY_POSITIONS" => "s3://${bucket}" },
  )
}

output "urls" {
  description = "Each bucket as a URL: that of `positions` is for who delivers to a SIEM."
  value       = { for key, each in local.buckets : key => "s3://${each.bucket}" }
}

output "roles" {
  description = "ARN of each role: for the annotation eks.amazonaws.com/role-arn of its service account, or to take on."
  value       = { for role, made in aws_iam_role.this : role => made.arn }
}

output "bucket_policies" {
  description = "What each bucket refuses, as it stands in its policy."
  value       = local.bucket_policies
}
