# The key that both accounts are encrypted under, in a vault that cannot be emptied.

resource "azurerm_user_assigned_identity" "encryption" {
  name                = "audit-stream-encryption"
  location            = var.location
  resource_group_name = var.resource_group
}

resource "azurerm_key_vault" "this" {
  name                          = var.vault
  location                      = var.location
  resource_group_name           = var.resource_group
  tenant_id                     = data.azurerm_client_config.current.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = 90
  public_network_access_enabled = true

  network_acls {
    # The storage service comes as a trusted service; everybody else stays outside.
    bypass         = "AzureServices"
    default_action = "Deny"
    ip_rules       = var.vault_ip_rules
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_role_assignment" "encryption" {
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Crypto Service Encryption User"
  principal_id         = azurerm_user_assigned_identity.encryption.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "key_maker" {
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Crypto Officer"
  principal_id         = data.azurerm_client_config.current.object_id
}

resource "azurerm_key_vault_key" "archive" {
  name         = "audit-stream-archive"
  key_vault_id = azurerm_key_vault.this.id
  key_type     = "RSA"
  key_size     = 3072
  key_opts     = ["wrapKey", "unwrapKey"]

  lifecycle {
    prevent_destroy = true
  }

  depends_on = [azurerm_role_assignment.key_maker]
}

resource "azurerm_management_lock" "vault" {
  name       = "audit-stream-keep"
  scope      = azurerm_key_vault.this.id
  lock_level = "CanNotDelete"
  notes      = "Without this key the archive cannot be read."
}

resource "azurerm_monitor_diagnostic_setting" "vault" {
  name                       = "audit-stream"
  target_resource_id         = azurerm_key_vault.this.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.logs.id

  enabled_log {
    category = "AuditEvent"
  }
}
