variable "subscription_id" {
  type = string
}

variable "resource_group" {
  description = "An existing resource group."
  type        = string
}

variable "location" {
  description = "A region with availability zones and a paired region."
  type        = string
}

variable "archive_account" {
  description = "Storage account of the archive: 3 to 24 letters and digits."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9]{3,24}$", var.archive_account))
    error_message = "3 to 24 lower-case letters and digits."
  }
}

variable "subjects_account" {
  description = "Storage account of the subject objects, which are rewritten and deleted. One of its own: versions and soft delete are switched for a whole account, and what a person had erased would live on in either."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9]{3,24}$", var.subjects_account))
    error_message = "3 to 24 lower-case letters and digits."
  }
}

variable "vault" {
  description = "Key vault of the key that encrypts both accounts. Losing that key loses the archive."
  type        = string
}

variable "covers_vault" {
  description = "Key vault, another one, whose keys wrap the keyring's covers; null: covers are clear files."
  type        = string
  default     = null
}

variable "vault_ip_rules" {
  description = "Addresses from which Terraform makes the key, which it does past the management plane."
  type        = list(string)
  default     = []
}

variable "archive_container" {
  type    = string
  default = "audit-archive"
}

variable "subjects_container" {
  type    = string
  default = "audit-subjects"
}

variable "positions_container" {
  description = "Container of the positions of who delivers to a SIEM, beside the subject objects; null: they lie in a volume."
  type        = string
  default     = null
}

variable "deliverer_sends_personal_fields" {
  description = "Whether the deliverer sends personal fields: it then has keys, and reads whose a record is."
  type        = bool
  default     = false
}

variable "retention_days" {
  description = "Days a stored object can be neither changed nor deleted: 2557 is never less than seven years. A trial may have 1. Once the policy is locked: what it is locked for."
  type        = number
  default     = 2557
  validation {
    condition     = var.retention_days >= 1 && var.retention_days <= 146000
    error_message = "From 1 to 146000."
  }
}

variable "network_id" {
  description = "Virtual network of the workers."
  type        = string
}

variable "subnet_id" {
  description = "Its subnet that takes the private endpoints."
  type        = string
}

variable "secondary_endpoint" {
  description = "An endpoint for the second region too, for reading while the first one is away."
  type        = bool
  default     = true
}

variable "auditors_group_id" {
  description = "Object id of the group that may read the archive; null is nobody."
  type        = string
  default     = null
}

variable "privacy_officers_group_id" {
  description = "Object id of the group whose job erases subject objects; null is nobody."
  type        = string
  default     = null
}

variable "policy_officers_group_id" {
  description = "Object id of the group that locks, extends and holds; null is nobody."
  type        = string
  default     = null
}

variable "log_days" {
  description = "Days that the logs of both accounts can be queried."
  type        = number
  default     = 730
}
