# Where a deliverer keeps how far it got: a container in the account that keeps no versions.

locals {
  with_positions = var.positions_container == null ? 0 : 1
}

resource "azurerm_storage_container" "positions" {
  count = local.with_positions

  name                  = var.positions_container
  storage_account_id    = azurerm_storage_account.this["subjects"].id
  container_access_type = "private"
}

resource "azurerm_role_definition" "position_keeper" {
  count = local.with_positions

  name              = "audit-stream position keeper (${var.resource_group})"
  description       = "Read, add and rewrite objects. Cannot delete one."
  scope             = data.azurerm_resource_group.this.id
  assignable_scopes = [data.azurerm_resource_group.this.id]

  permissions {
    actions = ["${local.containers}/read"]
    data_actions = [
      "${local.containers}/blobs/read",
      "${local.containers}/blobs/add/action",
      "${local.containers}/blobs/write",
    ]
  }
}

resource "azurerm_role_assignment" "deliverer_keeps_positions" {
  count = local.with_positions

  scope              = azurerm_storage_container.positions[0].id
  role_definition_id = azurerm_role_definition.position_keeper[0].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.deliverer.principal_id
  principal_type     = "ServicePrincipal"
}
