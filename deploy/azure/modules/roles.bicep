// Who may do what: roles of our own, since every built-in one that may write may delete, too.
param archiveAccount string
param archiveContainer string
param subjectsAccount string
param subjectsContainer string
param versionLevelWorm bool
param delivererSendsPersonalFields bool
param workerId string
param gatewayId string
param disposerId string
param keeperId string
param holderId string
param delivererId string
param auditorsGroupId string
param privacyOfficersGroupId string
param policyOfficersGroupId string

var containers = 'Microsoft.Storage/storageAccounts/blobServices/containers'
// Storage Blob Data Reader, built in.
var blobReaderRole = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'

// Where a gateway may add: its access journals, and nothing of the archive's word.
var onlyJournals = '(!(ActionMatches{\'${containers}/blobs/add/action\'}) OR @Resource[${containers}/blobs:path] StringStartsWith \'access/\')'

// What the disposer may remove from the archive: segments, and nothing that proves them.
var onlySegments = '((!(ActionMatches{\'${containers}/blobs/delete\'}) AND !(ActionMatches{\'${containers}/blobs/deleteBlobVersion/action\'})) OR @Resource[${containers}/blobs:path] StringStartsWith \'segments/\')'

// What the gateway may rewrite in the subjects' container: its word of the key epoch that it has
// loaded, requests, holds and openings. No subject object.
var notRewriting = '!(ActionMatches{\'${containers}/blobs/add/action\'}) AND !(ActionMatches{\'${containers}/blobs/write\'}) AND !(ActionMatches{\'${containers}/blobs/delete\'})'
var onlyFiling = '((${notRewriting}) OR @Resource[${containers}/blobs:path] StringStartsWith \'private/fleet/\' OR @Resource[${containers}/blobs:path] StringStartsWith \'private/requests/\' OR @Resource[${containers}/blobs:path] StringStartsWith \'private/holds/\' OR @Resource[${containers}/blobs:path] StringStartsWith \'private/hold-keys/\' OR @Resource[${containers}/blobs:path] StringStartsWith \'private/openings/\')'

// What the holder may rewrite there: holds, and what it knows of the segments that it holds.
var onlyHolding = '((${notRewriting}) OR @Resource[${containers}/blobs:path] StringStartsWith \'private/holds/\' OR @Resource[${containers}/blobs:path] StringStartsWith \'private/hold-keys/\' OR @Resource[${containers}/blobs:path] StringStartsWith \'private/held/\')'

// What a deliverer of personal fields may add there: that it has keys, and whom it sends to.
var onlySaying = '(!(ActionMatches{\'${containers}/blobs/add/action\'}) OR @Resource[${containers}/blobs:path] StringStartsWith \'private/fleet/\' OR @Resource[${containers}/blobs:path] StringStartsWith \'private/receivers/\')'

resource archive 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: archiveAccount
}

resource archiveBlobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' existing = {
  parent: archive
  name: 'default'
}

resource archiveStore 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' existing = {
  parent: archiveBlobs
  name: archiveContainer
}

resource subjects 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: subjectsAccount
}

resource subjectsBlobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' existing = {
  parent: subjects
  name: 'default'
}

resource subjectsStore 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' existing = {
  parent: subjectsBlobs
  name: subjectsContainer
}

// The worker, in both containers. `add` creates a blob and cannot replace one; `write` could, and in
// the subjects' container, where nothing is kept, replacing is destroying.
resource writer 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'audit-stream writer')
  properties: {
    roleName: 'audit-stream writer (${resourceGroup().name})'
    description: 'Add objects and read them. Cannot change or delete one.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: [
          '${containers}/read'
        ]
        dataActions: [
          '${containers}/blobs/read'
          '${containers}/blobs/add/action'
        ]
      }
    ]
  }
}

// The gateway and the holder, in the subjects' container: they find persons there, and change no subject
// object. The deliverer, in the archive.
resource reader 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'audit-stream reader')
  properties: {
    roleName: 'audit-stream reader (${resourceGroup().name})'
    description: 'Read objects. Cannot add, change or delete one.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: [
          '${containers}/read'
        ]
        dataActions: [
          '${containers}/blobs/read'
        ]
      }
    ]
  }
}

// The gateway and the holder, in the subjects' container, under some folders of `private/` only.
resource privateKeeper 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'audit-stream private keeper')
  properties: {
    roleName: 'audit-stream private keeper (${resourceGroup().name})'
    description: 'Add, rewrite and remove private objects, where a condition allows it.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: []
        dataActions: [
          '${containers}/blobs/add/action'
          '${containers}/blobs/write'
          '${containers}/blobs/delete'
        ]
      }
    ]
  }
}

// What the worker asks of itself before it trusts its archive. It changes nothing.
resource postureReader 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'audit-stream posture reader')
  properties: {
    roleName: 'audit-stream posture reader (${resourceGroup().name})'
    description: 'See whether the policy is locked, how the account is set up, and who may delete.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: [
          'Microsoft.Storage/storageAccounts/read'
          'Microsoft.Storage/storageAccounts/blobServices/read'
          '${containers}/read'
          '${containers}/immutabilityPolicies/read'
          'Microsoft.Authorization/roleAssignments/read'
          'Microsoft.Authorization/roleDefinitions/read'
          'Microsoft.Authorization/locks/read'
        ]
        dataActions: []
      }
    ]
  }
}

resource privacyOfficer 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'audit-stream privacy officer')
  properties: {
    roleName: 'audit-stream privacy officer (${resourceGroup().name})'
    description: 'Erase: read, rewrite and delete subject objects.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: [
          '${containers}/read'
        ]
        dataActions: [
          '${containers}/blobs/read'
          '${containers}/blobs/add/action'
          '${containers}/blobs/write'
          '${containers}/blobs/delete'
        ]
      }
    ]
  }
}

// The job of `audit-stream retention run`. What retention or a hold keeps, the service keeps from it,
// too; the last right is for containers with versions. It adds the kept headers and the certificate.
resource disposer 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'audit-stream disposer')
  properties: {
    roleName: 'audit-stream disposer (${resourceGroup().name})'
    description: 'Dispose of what has expired: read, add and delete objects. Cannot change one.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: [
          '${containers}/read'
        ]
        dataActions: [
          '${containers}/blobs/read'
          '${containers}/blobs/add/action'
          '${containers}/blobs/delete'
          '${containers}/blobs/deleteBlobVersion/action'
        ]
      }
    ]
  }
}

// `audit-stream hold run`. Of the policy it can change nothing.
resource holder 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'audit-stream holder')
  properties: {
    roleName: 'audit-stream holder (${resourceGroup().name})'
    description: 'Set and clear legal holds of a container. Sees no object.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: [
          '${containers}/read'
          '${containers}/setLegalHold/action'
          '${containers}/clearLegalHold/action'
        ]
        dataActions: []
      }
    ]
  }
}

// The same where each version is held by itself. The right is that of its retention, too: what is locked
// gets only longer by it.
resource versionHolder 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (versionLevelWorm) {
  name: guid(resourceGroup().id, 'audit-stream version holder')
  properties: {
    roleName: 'audit-stream version holder (${resourceGroup().name})'
    description: 'Set and clear legal holds of versions, and keep them longer.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: []
        dataActions: [
          '${containers}/blobs/immutableStorage/runAsSuperUser/action'
        ]
      }
    ]
  }
}

// A person. Not `immutabilityPolicies/delete`: an unlocked policy goes by the hand of an owner only.
resource policyOfficer 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'audit-stream policy officer')
  properties: {
    roleName: 'audit-stream policy officer (${resourceGroup().name})'
    description: 'Lock and extend the retention policy, set and clear legal holds. Sees no object.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: [
          'Microsoft.Storage/storageAccounts/read'
          'Microsoft.Storage/storageAccounts/blobServices/read'
          '${containers}/read'
          '${containers}/immutabilityPolicies/read'
          '${containers}/immutabilityPolicies/write'
          '${containers}/immutabilityPolicies/lock/action'
          '${containers}/immutabilityPolicies/extend/action'
          '${containers}/setLegalHold/action'
          '${containers}/clearLegalHold/action'
        ]
        dataActions: []
      }
    ]
  }
}

resource workerAdds 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(archiveStore.id, workerId, writer.id)
  scope: archiveStore
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: writer.id
  }
}

resource workerLooks 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(archive.id, workerId, postureReader.id)
  scope: archive
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: postureReader.id
  }
}

resource workerLooksAtSubjects 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subjects.id, workerId, postureReader.id)
  scope: subjects
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: postureReader.id
  }
}

resource workerAddsSubjects 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subjectsStore.id, workerId, writer.id)
  scope: subjectsStore
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: writer.id
  }
}

resource gatewayAddsJournals 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(archiveStore.id, gatewayId, writer.id)
  scope: archiveStore
  properties: {
    principalId: gatewayId
    principalType: 'ServicePrincipal'
    roleDefinitionId: writer.id
    condition: onlyJournals
    conditionVersion: '2.0'
  }
}

resource gatewayReadsSubjects 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subjectsStore.id, gatewayId, reader.id)
  scope: subjectsStore
  properties: {
    principalId: gatewayId
    principalType: 'ServicePrincipal'
    roleDefinitionId: reader.id
  }
}

resource gatewayFiles 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subjectsStore.id, gatewayId, privateKeeper.id)
  scope: subjectsStore
  properties: {
    principalId: gatewayId
    principalType: 'ServicePrincipal'
    roleDefinitionId: privateKeeper.id
    condition: onlyFiling
    conditionVersion: '2.0'
  }
}

resource disposerDisposes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(archiveStore.id, disposerId, disposer.id)
  scope: archiveStore
  properties: {
    principalId: disposerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: disposer.id
    condition: onlySegments
    conditionVersion: '2.0'
  }
}

resource disposerLooks 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(archive.id, disposerId, postureReader.id)
  scope: archive
  properties: {
    principalId: disposerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: postureReader.id
  }
}

resource disposerRewrites 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subjectsStore.id, disposerId, privacyOfficer.id)
  scope: subjectsStore
  properties: {
    principalId: disposerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: privacyOfficer.id
  }
}

resource keeperErases 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subjectsStore.id, keeperId, privacyOfficer.id)
  scope: subjectsStore
  properties: {
    principalId: keeperId
    principalType: 'ServicePrincipal'
    roleDefinitionId: privacyOfficer.id
  }
}

// Certificates are added to the archive.
resource keeperAdds 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(archiveStore.id, keeperId, writer.id)
  scope: archiveStore
  properties: {
    principalId: keeperId
    principalType: 'ServicePrincipal'
    roleDefinitionId: writer.id
  }
}

// Holds are declared in the archive.
resource holderAdds 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(archiveStore.id, holderId, writer.id)
  scope: archiveStore
  properties: {
    principalId: holderId
    principalType: 'ServicePrincipal'
    roleDefinitionId: writer.id
  }
}

resource holderHolds 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(archiveStore.id, holderId, holder.id)
  scope: archiveStore
  properties: {
    principalId: holderId
    principalType: 'ServicePrincipal'
    roleDefinitionId: holder.id
  }
}

resource holderHoldsVersions 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (versionLevelWorm) {
  name: guid(archiveStore.id, holderId, versionHolder.id)
  scope: archiveStore
  properties: {
    principalId: holderId
    principalType: 'ServicePrincipal'
    roleDefinitionId: versionHolder.id
  }
}

resource holderReadsSubjects 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subjectsStore.id, holderId, reader.id)
  scope: subjectsStore
  properties: {
    principalId: holderId
    principalType: 'ServicePrincipal'
    roleDefinitionId: reader.id
  }
}

resource holderKeeps 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subjectsStore.id, holderId, privateKeeper.id)
  scope: subjectsStore
  properties: {
    principalId: holderId
    principalType: 'ServicePrincipal'
    roleDefinitionId: privateKeeper.id
    condition: onlyHolding
    conditionVersion: '2.0'
  }
}

resource delivererReads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(archiveStore.id, delivererId, reader.id)
  scope: archiveStore
  properties: {
    principalId: delivererId
    principalType: 'ServicePrincipal'
    roleDefinitionId: reader.id
  }
}

resource delivererSays 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (delivererSendsPersonalFields) {
  name: guid(subjectsStore.id, delivererId, writer.id)
  scope: subjectsStore
  properties: {
    principalId: delivererId
    principalType: 'ServicePrincipal'
    roleDefinitionId: writer.id
    condition: onlySaying
    conditionVersion: '2.0'
  }
}

resource auditorsRead 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(auditorsGroupId)) {
  name: guid(archiveStore.id, auditorsGroupId, blobReaderRole)
  scope: archiveStore
  properties: {
    principalId: auditorsGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobReaderRole)
  }
}

resource officersErase 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(privacyOfficersGroupId)) {
  name: guid(subjectsStore.id, privacyOfficersGroupId, privacyOfficer.id)
  scope: subjectsStore
  properties: {
    principalId: privacyOfficersGroupId
    principalType: 'Group'
    roleDefinitionId: privacyOfficer.id
  }
}

resource officersRead 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(privacyOfficersGroupId)) {
  name: guid(archiveStore.id, privacyOfficersGroupId, blobReaderRole)
  scope: archiveStore
  properties: {
    principalId: privacyOfficersGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobReaderRole)
  }
}

resource officersLock 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(policyOfficersGroupId)) {
  name: guid(archive.id, policyOfficersGroupId, policyOfficer.id)
  scope: archive
  properties: {
    principalId: policyOfficersGroupId
    principalType: 'Group'
    roleDefinitionId: policyOfficer.id
  }
}
