# The blob services inside the workers' network, under their usual names.

locals {
  endpoints = merge(
    {
      archive  = { account = "archive", group = "blob" }
      subjects = { account = "subjects", group = "blob" }
    },
    var.secondary_endpoint ? {
      archive-secondary = { account = "archive", group = "blob_secondary" }
    } : {},
  )
}

resource "azurerm_private_dns_zone" "blob" {
  name                = "privatelink.blob.core.windows.net"
  resource_group_name = var.resource_group
}

resource "azurerm_private_dns_zone_virtual_network_link" "blob" {
  name                  = "audit-stream"
  resource_group_name   = var.resource_group
  private_dns_zone_name = azurerm_private_dns_zone.blob.name
  virtual_network_id    = var.network_id
  registration_enabled  = false
}

resource "azurerm_private_endpoint" "this" {
  for_each = local.endpoints

  name                = "audit-stream-${each.key}"
  location            = var.location
  resource_group_name = var.resource_group
  subnet_id           = var.subnet_id

  private_service_connection {
    name                           = "audit-stream-${each.key}"
    private_connection_resource_id = azurerm_storage_account.this[each.value.account].id
    subresource_names              = [each.value.group]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "default"
    private_dns_zone_ids = [azurerm_private_dns_zone.blob.id]
  }
}
