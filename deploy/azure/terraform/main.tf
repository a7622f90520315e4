# The write-once archive on Azure: the same as ../main.bicep, resource by resource.
# docs/how-to/deploy.md goes through it step by step.

data "azurerm_client_config" "current" {}

data "azurerm_resource_group" "this" {
  name = var.resource_group
}

locals {
  accounts = {
    archive = {
      name      = var.archive_account
      container = var.archive_container
      # Read access to the second region: it serves while the first is away. It lags, so it is
      # never asked whether something was stored.
      replication = "RAGZRS"
      # Until the policy is locked this is what stands between a mistake and the data.
      soft_delete_days = [90]
    }
    subjects = {
      name        = var.subjects_account
      container   = var.subjects_container
      replication = "GZRS"
      # Neither versions nor soft delete nor retention: what was erased must be gone.
      soft_delete_days = []
    }
  }
}

resource "azurerm_user_assigned_identity" "worker" {
  name                = "audit-stream-worker"
  location            = var.location
  resource_group_name = var.resource_group
}

# Of its own: who answers strangers must not be able to add to what is archived.
resource "azurerm_user_assigned_identity" "gateway" {
  name                = "audit-stream-gateway"
  location            = var.location
  resource_group_name = var.resource_group
}

# Of its own: it alone may remove from the archive, and what the service keeps it cannot.
resource "azurerm_user_assigned_identity" "disposer" {
  name                = "audit-stream-disposer"
  location            = var.location
  resource_group_name = var.resource_group
}

# Who erases: it rewrites subject objects and the keyring, and is nobody who archives or answers.
resource "azurerm_user_assigned_identity" "keeper" {
  name                = "audit-stream-keeper"
  location            = var.location
  resource_group_name = var.resource_group
}

# Who holds: it alone sets and lifts legal holds, so that who erases can lift none.
resource "azurerm_user_assigned_identity" "holder" {
  name                = "audit-stream-holder"
  location            = var.location
  resource_group_name = var.resource_group
}

# Who delivers to a SIEM: it reads what is archived, and adds nothing to it.
resource "azurerm_user_assigned_identity" "deliverer" {
  name                = "audit-stream-deliverer"
  location            = var.location
  resource_group_name = var.resource_group
}

resource "azurerm_storage_account" "this" {
  for_each = local.accounts

  name                              = each.value.name
  location                          = var.location
  resource_group_name               = var.resource_group
  account_kind                      = "StorageV2"
  account_tier                      = "Standard"
  account_replication_type          = each.value.replication
  access_tier                       = "Hot"
  min_tls_version                   = "TLS1_2" # 1.3 cannot be demanded here; AUDIT_AZURE_TLS13 does
  https_traffic_only_enabled        = true
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  allow_nested_items_to_be_public   = false
  cross_tenant_replication_enabled  = false
  public_network_access_enabled     = false
  infrastructure_encryption_enabled = true
  is_hns_enabled                    = false
  local_user_enabled                = false
  nfsv3_enabled                     = false
  sftp_enabled                      = false

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.encryption.id]
  }

  customer_managed_key {
    key_vault_key_id          = azurerm_key_vault_key.archive.versionless_id # a rotated key is taken by itself
    user_assigned_identity_id = azurerm_user_assigned_identity.encryption.id
  }

  network_rules {
    default_action = "Deny"
    bypass         = ["None"]
  }

  blob_properties {
    versioning_enabled  = false
    change_feed_enabled = false

    dynamic "delete_retention_policy" {
      for_each = each.value.soft_delete_days
      content {
        days = delete_retention_policy.value
      }
    }

    dynamic "container_delete_retention_policy" {
      for_each = each.value.soft_delete_days
      content {
        days = container_delete_retention_policy.value
      }
    }
  }

  lifecycle {
    prevent_destroy = true
  }

  depends_on = [azurerm_role_assignment.encryption]
}

resource "azurerm_storage_container" "this" {
  for_each = local.accounts

  name                  = each.value.container
  storage_account_id    = azurerm_storage_account.this[each.key].id
  container_access_type = "private"
}

resource "azurerm_storage_container_immutability_policy" "archive" {
  storage_container_resource_manager_id = azurerm_storage_container.this["archive"].id
  immutability_period_in_days           = var.retention_days
  protected_append_writes_enabled       = false
  protected_append_writes_all_enabled   = false
  locked                                = false

  lifecycle {
    prevent_destroy = true
    # Locking is for ever: a step of its own, taken by a person (docs/how-to/deploy.md). Once it was
    # taken, Terraform must neither undo it nor fail over it.
    ignore_changes = [locked]
  }
}

resource "azurerm_management_lock" "account" {
  for_each = local.accounts

  name       = "audit-stream-keep"
  scope      = azurerm_storage_account.this[each.key].id
  lock_level = "CanNotDelete"
  notes      = "An account can be deleted with all that is in it while its policy is unlocked."
}

resource "azurerm_log_analytics_workspace" "logs" {
  name                = "audit-stream-logs"
  location            = var.location
  resource_group_name = var.resource_group
  sku                 = "PerGB2018"
  retention_in_days   = var.log_days
}

resource "azurerm_monitor_diagnostic_setting" "account" {
  for_each = local.accounts

  name                       = "audit-stream"
  target_resource_id         = "${azurerm_storage_account.this[each.key].id}/blobServices/default"
  log_analytics_workspace_id = azurerm_log_analytics_workspace.logs.id

  enabled_log {
    category = "StorageRead"
  }

  enabled_log {
    category = "StorageWrite"
  }

  enabled_log {
    category = "StorageDelete"
  }

  enabled_metric {
    category = "Transaction"
  }
}
