output "settings" {
  description = "The workers' settings."
  value = {
    AUDIT_ARCHIVE              = "azure://${var.archive_account}/${var.archive_container}"
    AUDIT_SUBJECTS             = "azure://${var.subjects_account}/${var.subjects_container}"
    AUDIT_AZURE_CLIENT_ID      = azurerm_user_assigned_identity.worker.client_id
    AUDIT_AZURE_SUBSCRIPTION   = var.subscription_id
    AUDIT_AZURE_RESOURCE_GROUP = var.resource_group
    AUDIT_KEYRING_VAULT        = one(azurerm_key_vault.covers[*].vault_uri)
    AUDIT_DELIVERY_POSITIONS   = var.positions_container == null ? null : "azure://${var.subjects_account}/${var.positions_container}"
  }
}

output "worker_identity_id" {
  description = "To assign to the machines, or to federate with the cluster."
  value       = azurerm_user_assigned_identity.worker.id
}

output "gateway_client_id" {
  description = "AUDIT_AZURE_CLIENT_ID of a gateway, whose other settings are the workers'."
  value       = azurerm_user_assigned_identity.gateway.client_id
}

output "gateway_identity_id" {
  description = "To assign to the gateway's machine, or to federate with the cluster."
  value       = azurerm_user_assigned_identity.gateway.id
}

output "disposer_client_id" {
  description = "AUDIT_AZURE_CLIENT_ID of the job that disposes of what has expired."
  value       = azurerm_user_assigned_identity.disposer.client_id
}

output "disposer_identity_id" {
  description = "To assign to that job's machine, or to federate with the cluster."
  value       = azurerm_user_assigned_identity.disposer.id
}

output "keeper_client_id" {
  description = "AUDIT_AZURE_CLIENT_ID of the keeper, who erases."
  value       = azurerm_user_assigned_identity.keeper.client_id
}

output "keeper_identity_id" {
  description = "To assign to the keeper's machine, or to federate with the cluster."
  value       = azurerm_user_assigned_identity.keeper.id
}

output "holder_client_id" {
  description = "AUDIT_AZURE_CLIENT_ID of the holder, who sets and lifts legal holds."
  value       = azurerm_user_assigned_identity.holder.client_id
}

output "holder_identity_id" {
  description = "To assign to the holder's machine, or to federate with the cluster."
  value       = azurerm_user_assigned_identity.holder.id
}

output "deliverer_client_id" {
  description = "AUDIT_AZURE_CLIENT_ID of who delivers to a SIEM."
  value       = azurerm_user_assigned_identity.deliverer.client_id
}

output "deliverer_identity_id" {
  description = "To assign to the deliverer's machine, or to federate with the cluster."
  value       = azurerm_user_assigned_identity.deliverer.id
}
