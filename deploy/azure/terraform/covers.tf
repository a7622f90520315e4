# The vault whose keys wrap the keyring's covers: docs/how-to/wrap-the-cover.md. It is not the vault of
# the accounts' key, which must never lose a key. This one must: a key that is purged is an erasure.

locals {
  keys       = "Microsoft.KeyVault/vaults/keys"
  with_vault = var.covers_vault == null ? 0 : 1

  cover_roles = {
    # Workers, gateways, who sends personal fields: the cover is opened and nothing else.
    "cover reader" = {
      description  = "Have a cover's data key unwrapped. Sees, makes and deletes no key."
      data_actions = ["${local.keys}/unwrap/action"]
    }
    # Who erases. Neither backup nor restore nor recover: each of them brings back what was destroyed.
    "cover keeper" = {
      description = "Make an epoch's key, wrap by it, delete and purge it. Cannot bring one back."
      data_actions = [
        "${local.keys}/read",
        "${local.keys}/create/action",
        "${local.keys}/wrap/action",
        "${local.keys}/unwrap/action",
        "${local.keys}/delete",
        "${local.keys}/purge/action",
      ]
    }
  }

  cover_users = {
    worker    = { role = "cover reader", id = azurerm_user_assigned_identity.worker.principal_id }
    gateway   = { role = "cover reader", id = azurerm_user_assigned_identity.gateway.principal_id }
    deliverer = { role = "cover reader", id = azurerm_user_assigned_identity.deliverer.principal_id }
    keeper    = { role = "cover keeper", id = azurerm_user_assigned_identity.keeper.principal_id }
  }
}

resource "azurerm_key_vault" "covers" {
  count = local.with_vault

  name                          = var.covers_vault
  location                      = var.location
  resource_group_name           = var.resource_group
  tenant_id                     = data.azurerm_client_config.current.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = false # nobody could purge then
  soft_delete_retention_days    = 7     # the shortest there is
  public_network_access_enabled = false

  network_acls {
    bypass         = "None"
    default_action = "Deny"
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_role_definition" "covers" {
  for_each = var.covers_vault == null ? {} : local.cover_roles

  name              = "audit-stream ${each.key} (${var.resource_group})"
  description       = each.value.description
  scope             = data.azurerm_resource_group.this.id
  assignable_scopes = [data.azurerm_resource_group.this.id]

  permissions {
    actions      = []
    data_actions = each.value.data_actions
  }
}

resource "azurerm_role_assignment" "covers" {
  for_each = { for who, given in local.cover_users : who => given
    if var.covers_vault != null && (who != "deliverer" || var.deliverer_sends_personal_fields)
  }

  scope              = azurerm_key_vault.covers[0].id
  role_definition_id = azurerm_role_definition.covers[each.value.role].role_definition_resource_id
  principal_id       = each.value.id
  principal_type     = "ServicePrincipal"
}

# Of the vault; keys are deleted past the management plane, where no lock reaches.
resource "azurerm_management_lock" "covers" {
  count = local.with_vault

  name       = "audit-stream-keep"
  scope      = azurerm_key_vault.covers[0].id
  lock_level = "CanNotDelete"
  notes      = "Without its keys no personal field of the archive can be opened."
}

resource "azurerm_monitor_diagnostic_setting" "covers" {
  count = local.with_vault

  name                       = "audit-stream"
  target_resource_id         = azurerm_key_vault.covers[0].id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.logs.id

  enabled_log {
    category = "AuditEvent"
  }
}

resource "azurerm_private_dns_zone" "covers" {
  count = local.with_vault

  name                = "privatelink.vaultcore.azure.net"
  resource_group_name = var.resource_group
}

resource "azurerm_private_dns_zone_virtual_network_link" "covers" {
  count = local.with_vault

  name                  = "audit-stream"
  resource_group_name   = var.resource_group
  private_dns_zone_name = azurerm_private_dns_zone.covers[0].name
  virtual_network_id    = var.network_id
  registration_enabled  = false
}

resource "azurerm_private_endpoint" "covers" {
  count = local.with_vault

  name                = "audit-stream-covers"
  location            = var.location
  resource_group_name = var.resource_group
  subnet_id           = var.subnet_id

  private_service_connection {
    name                           = "audit-stream-covers"
    private_connection_resource_id = azurerm_key_vault.covers[0].id
    subresource_names              = ["vault"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "default"
    private_dns_zone_ids = [azurerm_private_dns_zone.covers[0].id]
  }
}
