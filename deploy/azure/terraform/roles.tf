# Who may do what: roles of our own, since every built-in one that may write may delete, too.

locals {
  containers = "Microsoft.Storage/storageAccounts/blobServices/containers"

  roles = {
    # The worker, in both containers. `add` creates a blob and cannot replace one; `write` could, and
    # in the subjects' container, where nothing is kept, replacing is destroying.
    "writer" = {
      description  = "Add objects and read them. Cannot change or delete one."
      actions      = ["${local.containers}/read"]
      data_actions = ["${local.containers}/blobs/read", "${local.containers}/blobs/add/action"]
    }
    # The gateway and the holder, in the subjects' container: they find persons there, and change no
    # subject object. The deliverer, in the archive.
    "reader" = {
      description  = "Read objects. Cannot add, change or delete one."
      actions      = ["${local.containers}/read"]
      data_actions = ["${local.containers}/blobs/read"]
    }
    # The gateway and the holder, in the subjects' container, under some folders of private/ only.
    "private keeper" = {
      description = "Add, rewrite and remove private objects, where a condition allows it."
      actions     = []
      data_actions = [
        "${local.containers}/blobs/add/action",
        "${local.containers}/blobs/write",
        "${local.containers}/blobs/delete",
      ]
    }
    # What the worker asks of itself before it trusts its archive. It changes nothing.
    "posture reader" = {
      description = "See whether the policy is locked, how the account is set up, and who may delete."
      actions = [
        "Microsoft.Storage/storageAccounts/read",
        "Microsoft.Storage/storageAccounts/blobServices/read",
        "${local.containers}/read",
        "${local.containers}/immutabilityPolicies/read",
        "Microsoft.Authorization/roleAssignments/read",
        "Microsoft.Authorization/roleDefinitions/read",
        "Microsoft.Authorization/locks/read",
      ]
      data_actions = []
    }
    "privacy officer" = {
      description = "Erase: read, rewrite and delete subject objects."
      actions     = ["${local.containers}/read"]
      data_actions = [
        "${local.containers}/blobs/read",
        "${local.containers}/blobs/add/action",
        "${local.containers}/blobs/write",
        "${local.containers}/blobs/delete",
      ]
    }
    # The job of `audit-stream retention run`. What retention or a hold keeps, the service keeps from
    # it, too; the last right is for containers with versions.
    "disposer" = {
      description = "Dispose of what has expired: read, add and delete objects. Cannot change one."
      actions     = ["${local.containers}/read"]
      data_actions = [
        "${local.containers}/blobs/read",
        "${local.containers}/blobs/add/action",
        "${local.containers}/blobs/delete",
        "${local.containers}/blobs/deleteBlobVersion/action",
      ]
    }
    # `audit-stream hold run`. Of the policy it can change nothing.
    "holder" = {
      description = "Set and clear legal holds of a container. Sees no object."
      actions = [
        "${local.containers}/read",
        "${local.containers}/setLegalHold/action",
        "${local.containers}/clearLegalHold/action",
      ]
      data_actions = []
    }
    # A person. Not immutabilityPolicies/delete: an unlocked policy goes by an owner's hand only.
    "policy officer" = {
      description = "Lock and extend the retention policy, set and clear legal holds. Sees no object."
      actions = [
        "Microsoft.Storage/storageAccounts/read",
        "Microsoft.Storage/storageAccounts/blobServices/read",
        "${local.containers}/read",
        "${local.containers}/immutabilityPolicies/read",
        "${local.containers}/immutabilityPolicies/write",
        "${local.containers}/immutabilityPolicies/lock/action",
        "${local.containers}/immutabilityPolicies/extend/action",
        "${local.containers}/setLegalHold/action",
        "${local.containers}/clearLegalHold/action",
      ]
      data_actions = []
    }
  }

  worker = {
    "writer of the archive"         = azurerm_storage_container.this["archive"].id
    "writer of subjects"            = azurerm_storage_container.this["subjects"].id
    "posture reader of the archive" = azurerm_storage_account.this["archive"].id
    "posture reader of subjects"    = azurerm_storage_account.this["subjects"].id
  }

  # Subject objects go with their segments, and purges are kept beside them.
  disposer = {
    "privacy officer of subjects"   = azurerm_storage_container.this["subjects"].id
    "posture reader of the archive" = azurerm_storage_account.this["archive"].id
  }

  # Where a gateway may add: its access journals, and nothing of the archive's word.
  only_journals = "(!(ActionMatches{'${local.containers}/blobs/add/action'}) OR @Resource[${local.containers}/blobs:path] StringStartsWith 'access/')"

  # What the disposer may remove from the archive: segments, and nothing that proves them.
  only_segments = "((!(ActionMatches{'${local.containers}/blobs/delete'}) AND !(ActionMatches{'${local.containers}/blobs/deleteBlobVersion/action'})) OR @Resource[${local.containers}/blobs:path] StringStartsWith 'segments/')"

  # What the gateway may rewrite in the subjects' container: its word of the key epoch that it has
  # loaded, requests, holds and openings. No subject object.
  not_rewriting = "!(ActionMatches{'${local.containers}/blobs/add/action'}) AND !(ActionMatches{'${local.containers}/blobs/write'}) AND !(ActionMatches{'${local.containers}/blobs/delete'})"
  only_filing   = "((${local.not_rewriting}) OR @Resource[${local.containers}/blobs:path] StringStartsWith 'private/fleet/' OR @Resource[${local.containers}/blobs:path] StringStartsWith 'private/requests/' OR @Resource[${local.containers}/blobs:path] StringStartsWith 'private/holds/' OR @Resource[${local.containers}/blobs:path] StringStartsWith 'private/hold-keys/' OR @Resource[${local.containers}/blobs:path] StringStartsWith 'private/openings/')"

  # What the holder may rewrite there: holds, and what it knows of the segments that it holds.
  only_holding = "((${local.not_rewriting}) OR @Resource[${local.containers}/blobs:path] StringStartsWith 'private/holds/' OR @Resource[${local.containers}/blobs:path] StringStartsWith 'private/hold-keys/' OR @Resource[${local.containers}/blobs:path] StringStartsWith 'private/held/')"

  # What a deliverer of personal fields may add there: that it has keys, and whom it sends to.
  only_saying = "(!(ActionMatches{'${local.containers}/blobs/add/action'}) OR @Resource[${local.containers}/blobs:path] StringStartsWith 'private/fleet/' OR @Resource[${local.containers}/blobs:path] StringStartsWith 'private/receivers/')"
}

resource "azurerm_role_definition" "this" {
  for_each = local.roles

  name              = "audit-stream ${each.key} (${var.resource_group})"
  description       = each.value.description
  scope             = data.azurerm_resource_group.this.id
  assignable_scopes = [data.azurerm_resource_group.this.id]

  permissions {
    actions      = each.value.actions
    data_actions = each.value.data_actions
  }
}

resource "azurerm_role_assignment" "worker" {
  for_each = local.worker

  scope              = each.value
  role_definition_id = azurerm_role_definition.this[split(" of ", each.key)[0]].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.worker.principal_id
  principal_type     = "ServicePrincipal"
}

resource "azurerm_role_assignment" "disposer" {
  for_each = local.disposer

  scope              = each.value
  role_definition_id = azurerm_role_definition.this[split(" of ", each.key)[0]].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.disposer.principal_id
  principal_type     = "ServicePrincipal"
}

resource "azurerm_role_assignment" "disposes_segments" {
  scope              = azurerm_storage_container.this["archive"].id
  role_definition_id = azurerm_role_definition.this["disposer"].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.disposer.principal_id
  principal_type     = "ServicePrincipal"
  condition          = local.only_segments
  condition_version  = "2.0"
}

resource "azurerm_role_assignment" "gateway_adds_journals" {
  scope              = azurerm_storage_container.this["archive"].id
  role_definition_id = azurerm_role_definition.this["writer"].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.gateway.principal_id
  principal_type     = "ServicePrincipal"
  condition          = local.only_journals
  condition_version  = "2.0"
}

resource "azurerm_role_assignment" "gateway_reads_subjects" {
  scope              = azurerm_storage_container.this["subjects"].id
  role_definition_id = azurerm_role_definition.this["reader"].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.gateway.principal_id
  principal_type     = "ServicePrincipal"
}

resource "azurerm_role_assignment" "gateway_files" {
  scope              = azurerm_storage_container.this["subjects"].id
  role_definition_id = azurerm_role_definition.this["private keeper"].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.gateway.principal_id
  principal_type     = "ServicePrincipal"
  condition          = local.only_filing
  condition_version  = "2.0"
}

resource "azurerm_role_assignment" "keeper_erases" {
  scope              = azurerm_storage_container.this["subjects"].id
  role_definition_id = azurerm_role_definition.this["privacy officer"].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.keeper.principal_id
  principal_type     = "ServicePrincipal"
}

# Certificates are added to the archive.
resource "azurerm_role_assignment" "keeper_adds" {
  scope              = azurerm_storage_container.this["archive"].id
  role_definition_id = azurerm_role_definition.this["writer"].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.keeper.principal_id
  principal_type     = "ServicePrincipal"
}

# Holds are declared in the archive.
resource "azurerm_role_assignment" "holder_adds" {
  scope              = azurerm_storage_container.this["archive"].id
  role_definition_id = azurerm_role_definition.this["writer"].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.holder.principal_id
  principal_type     = "ServicePrincipal"
}

resource "azurerm_role_assignment" "holder_holds" {
  scope              = azurerm_storage_container.this["archive"].id
  role_definition_id = azurerm_role_definition.this["holder"].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.holder.principal_id
  principal_type     = "ServicePrincipal"
}

resource "azurerm_role_assignment" "holder_reads_subjects" {
  scope              = azurerm_storage_container.this["subjects"].id
  role_definition_id = azurerm_role_definition.this["reader"].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.holder.principal_id
  principal_type     = "ServicePrincipal"
}

resource "azurerm_role_assignment" "holder_keeps" {
  scope              = azurerm_storage_container.this["subjects"].id
  role_definition_id = azurerm_role_definition.this["private keeper"].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.holder.principal_id
  principal_type     = "ServicePrincipal"
  condition          = local.only_holding
  condition_version  = "2.0"
}

resource "azurerm_role_assignment" "deliverer_reads" {
  scope              = azurerm_storage_container.this["archive"].id
  role_definition_id = azurerm_role_definition.this["reader"].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.deliverer.principal_id
  principal_type     = "ServicePrincipal"
}

resource "azurerm_role_assignment" "deliverer_says" {
  count = var.deliverer_sends_personal_fields ? 1 : 0

  scope              = azurerm_storage_container.this["subjects"].id
  role_definition_id = azurerm_role_definition.this["writer"].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.deliverer.principal_id
  principal_type     = "ServicePrincipal"
  condition          = local.only_saying
  condition_version  = "2.0"
}

resource "azurerm_role_assignment" "auditors" {
  count = var.auditors_group_id == null ? 0 : 1

  scope                = azurerm_storage_container.this["archive"].id
  role_definition_name = "Storage Blob Data Reader"
  principal_id         = var.auditors_group_id
  principal_type       = "Group"
}

resource "azurerm_role_assignment" "privacy_officers" {
  count = var.privacy_officers_group_id == null ? 0 : 1

  scope              = azurerm_storage_container.this["subjects"].id
  role_definition_id = azurerm_role_definition.this["privacy officer"].role_definition_resource_id
  principal_id       = var.privacy_officers_group_id
  principal_type     = "Group"
}

resource "azurerm_role_assignment" "privacy_officers_read" {
  count = var.privacy_officers_group_id == null ? 0 : 1

  scope                = azurerm_storage_container.this["archive"].id
  role_definition_name = "Storage Blob Data Reader"
  principal_id         = var.privacy_officers_group_id
  principal_type       = "Group"
}

resource "azurerm_role_assignment" "policy_officers" {
  count = var.policy_officers_group_id == null ? 0 : 1

  scope              = azurerm_storage_account.this["archive"].id
  role_definition_id = azurerm_role_definition.this["policy officer"].role_definition_resource_id
  principal_id       = var.policy_officers_group_id
  principal_type     = "Group"
}
