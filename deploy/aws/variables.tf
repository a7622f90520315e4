variable "account_id" {
  description = "The account all of it is made in; another one is refused."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "12 digits."
  }
}

variable "region" {
  description = "Region of the archive and the subject objects."
  type        = string
}

variable "name" {
  description = "What names of roles, keys and the trail begin with."
  type        = string
  default     = "audit-stream"
}

variable "administrators" {
  description = "ARNs of the roles or users, whole and without wildcards, that may change how the buckets are set up. Who runs Terraform has to be among them."
  type        = list(string)
  validation {
    condition     = length(var.administrators) > 0 && alltrue([for arn in var.administrators : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/[^*?]+$", arn))])
    error_message = "At least one ARN, each of a role or a user, without * and ?."
  }
}

variable "archive_bucket" {
  description = "Bucket of the archive."
  type        = string
}

variable "subjects_bucket" {
  description = "Bucket of the subject objects, which are rewritten and deleted: no versions, no copies."
  type        = string
}

variable "retention_days" {
  description = "Days a stored object can be neither changed nor deleted, by nobody: 2557 is never less than seven years. A trial may have 1."
  type        = number
  default     = 2557
  validation {
    condition     = var.retention_days >= 1 && var.retention_days <= 36500 && floor(var.retention_days) == var.retention_days
    error_message = "A whole number from 1 to 36500."
  }
}

variable "class_buckets" {
  description = "A bucket of its own for each retention class that has another time: tag to bucket and days."
  type        = map(object({ bucket = string, days = number }))
  default     = {}
  validation {
    condition     = alltrue([for each in values(var.class_buckets) : each.days >= 1 && each.days <= 36500 && floor(each.days) == each.days])
    error_message = "Days are whole numbers from 1 to 36500."
  }
}

variable "secondary" {
  description = "Bucket of a second store, in another region; null is none. It takes every class, so it keeps as long as the longest."
  type        = object({ bucket = string, region = string })
  default     = null
  validation {
    condition     = var.secondary == null ? true : var.secondary.region != var.region
    error_message = "The second store is in another region than the archive."
  }
}

variable "positions_bucket" {
  description = "Bucket of the positions of who delivers to a SIEM; null is none."
  type        = string
  default     = null
}

variable "encryption" {
  description = "s3: keys that Amazon S3 keeps and nobody can delete. kms: a key of this account's, and losing that key loses the archive."
  type        = string
  default     = "s3"
  validation {
    condition     = contains(["s3", "kms"], var.encryption)
    error_message = "s3 or kms."
  }
}

variable "oidc_provider_arn" {
  description = "IAM's OIDC provider of the EKS cluster whose service accounts take on the roles; null is none."
  type        = string
  default     = null
  validation {
    condition     = var.oidc_provider_arn == null ? true : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/.+$", var.oidc_provider_arn))
    error_message = "An ARN like arn:aws:iam::123456789012:oidc-provider/oidc.eks.REGION.amazonaws.com/id/ID."
  }
}

variable "namespace" {
  description = "Kubernetes namespace of the service accounts."
  type        = string
  default     = "audit-stream"
}

variable "service_accounts" {
  description = "Role to the service account that takes it on: as the Helm chart calls them in a release named audit-stream."
  type        = map(string)
  default = {
    worker    = "audit-stream-worker"
    gateway   = "audit-stream-gateway"
    keeper    = "audit-stream-keeper"
    holder    = "audit-stream-holder"
    disposer  = "audit-stream-disposal"
    deliverer = "audit-stream-deliverer"
  }
  validation {
    condition     = length(setsubtract(keys(var.service_accounts), ["worker", "gateway", "keeper", "holder", "disposer", "deliverer", "auditor"])) == 0
    error_message = "The roles are worker, gateway, keeper, holder, disposer, deliverer and auditor."
  }
}

variable "deliverer_sends_personal_fields" {
  description = "Whether AUDIT_DELIVERY_FIELDS names any: then the deliverer has keys, may say so, and read whose each record is."
  type        = bool
  default     = false
}

variable "trusted_arns" {
  description = "Role to the ARNs of further roles or users that may take it on: people, machines."
  type        = map(list(string))
  default     = {}
  validation {
    condition     = length(setsubtract(keys(var.trusted_arns), ["worker", "gateway", "keeper", "holder", "disposer", "deliverer", "auditor"])) == 0
    error_message = "The roles are worker, gateway, keeper, holder, disposer, deliverer and auditor."
  }
}

variable "trail_bucket" {
  description = "Bucket of a trail of every read, write and delete of an object (CloudTrail data events); null is none."
  type        = string
  default     = null
}

variable "trail_days" {
  description = "Days that the trail is kept."
  type        = number
  default     = 730
}
