// The write-once archive on Azure, and what stands around it: two storage accounts, their key, roles
// without delete, private endpoints, logs. docs/how-to/deploy.md goes through it step by step.
//
//     az deployment group create --resource-group RG --template-file main.bicep \
//         --parameters main.parameters.json  # from main.parameters.example.json
//
// It creates the retention policy UNLOCKED: whoever owns the account can still delete everything.
// Locking cannot be undone and is a second step, taken by a person, never by this template.
targetScope = 'resourceGroup'

@description('Region of everything; it must have availability zones and a paired region.')
param location string = resourceGroup().location

@description('Storage account of the archive: 3 to 24 letters and digits.')
@minLength(3)
@maxLength(24)
param archiveAccount string

@description('Storage account of the subject objects, which are rewritten and deleted. One of its own: versions and soft delete are switched for a whole account, and what a person had erased would live on in either.')
@minLength(3)
@maxLength(24)
param subjectsAccount string

@description('Key vault of the key that encrypts both accounts. Losing that key loses the archive.')
@minLength(3)
@maxLength(24)
param vaultName string

@description('Key vault, another one, whose keys wrap the keyring\'s covers; empty: covers are clear files.')
@maxLength(24)
param coversVaultName string = ''

param archiveContainer string = 'audit-archive'
param subjectsContainer string = 'audit-subjects'

@description('Container of the positions of who delivers to a SIEM, beside the subject objects; empty: they lie in a volume.')
param positionsContainer string = ''

@description('Whether the deliverer sends personal fields: it then has keys, and reads whose a record is.')
param delivererSendsPersonalFields bool = false

@description('Days a stored object can be neither changed nor deleted: 2557 is never less than seven years. A trial may have 1.')
@minValue(1)
@maxValue(146000)
param retentionDays int = 2557

@description('Set it to true once the policy was locked: a locked policy can be extended, not deployed again.')
param policyIsLocked bool = false

@description('The second profile, version-level WORM: only where single objects need holds or retention of their own. It cannot be taken back.')
param versionLevelWorm bool = false

@description('Virtual network of the workers, and the subnet that takes the private endpoints.')
param networkId string
param subnetId string

@description('An endpoint for the second region too, for reading while the first one is away.')
param secondaryEndpoint bool = true

@description('Object ids of three groups; an empty one is not assigned.')
param auditorsGroupId string = ''
param privacyOfficersGroupId string = ''
param policyOfficersGroupId string = ''

@description('Days that the logs of both accounts can be queried.')
@minValue(30)
@maxValue(730)
param logDays int = 730

resource worker 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'audit-stream-worker'
  location: location
}

// Of its own: who answers strangers must not be able to add to what is archived.
resource gateway 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'audit-stream-gateway'
  location: location
}

// Of its own: it alone may remove from the archive, and what the service keeps it cannot.
resource disposer 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'audit-stream-disposer'
  location: location
}

// Who erases: it rewrites subject objects and the keyring, and is nobody who archives or answers.
resource keeper 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'audit-stream-keeper'
  location: location
}

// Who holds: it alone sets and lifts legal holds, so that who erases can lift none.
resource holder 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'audit-stream-holder'
  location: location
}

// Who delivers to a SIEM: it reads what is archived, and adds nothing to it.
resource deliverer 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'audit-stream-deliverer'
  location: location
}

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: 'audit-stream-logs'
  location: location
  properties: {
    retentionInDays: logDays
    sku: {
      name: 'PerGB2018'
    }
  }
}

module vault 'modules/vault.bicep' = {
  name: 'audit-stream-vault'
  params: {
    location: location
    vaultName: vaultName
    workspaceId: logs.id
  }
}

module archive 'modules/account.bicep' = {
  name: 'audit-stream-archive'
  params: {
    location: location
    accountName: archiveAccount
    containerName: archiveContainer
    // Read access to the second region: it serves while the first is away. It lags, so it is never
    // asked whether something was stored.
    sku: 'Standard_RAGZRS'
    versioning: versionLevelWorm
    versionLevelWorm: versionLevelWorm
    // Until the policy is locked this is what stands between a mistake and the data.
    softDeleteDays: 90
    retentionDays: policyIsLocked ? 0 : retentionDays
    keyName: vault.outputs.keyName
    vaultUri: vault.outputs.vaultUri
    encryptionIdentityId: vault.outputs.encryptionIdentityId
    workspaceId: logs.id
  }
}

module subjects 'modules/account.bicep' = {
  name: 'audit-stream-subjects'
  params: {
    location: location
    accountName: subjectsAccount
    containerName: subjectsContainer
    sku: 'Standard_GZRS'
    // Neither versions nor soft delete nor retention: what was erased must be gone.
    versioning: false
    versionLevelWorm: false
    softDeleteDays: 0
    retentionDays: 0
    keyName: vault.outputs.keyName
    vaultUri: vault.outputs.vaultUri
    encryptionIdentityId: vault.outputs.encryptionIdentityId
    workspaceId: logs.id
  }
}

module roles 'modules/roles.bicep' = {
  name: 'audit-stream-roles'
  params: {
    archiveAccount: archive.outputs.accountName
    archiveContainer: archiveContainer
    subjectsAccount: subjects.outputs.accountName
    subjectsContainer: subjectsContainer
    versionLevelWorm: versionLevelWorm
    delivererSendsPersonalFields: delivererSendsPersonalFields
    workerId: worker.properties.principalId
    gatewayId: gateway.properties.principalId
    disposerId: disposer.properties.principalId
    keeperId: keeper.properties.principalId
    holderId: holder.properties.principalId
    delivererId: deliverer.properties.principalId
    auditorsGroupId: auditorsGroupId
    privacyOfficersGroupId: privacyOfficersGroupId
    policyOfficersGroupId: policyOfficersGroupId
  }
}

module positions 'modules/positions.bicep' = if (!empty(positionsContainer)) {
  name: 'audit-stream-positions'
  params: {
    subjectsAccount: subjects.outputs.accountName
    containerName: positionsContainer
    delivererId: deliverer.properties.principalId
  }
}

module network 'modules/network.bicep' = {
  name: 'audit-stream-network'
  params: {
    location: location
    networkId: networkId
    subnetId: subnetId
    archiveAccountId: archive.outputs.accountId
    subjectsAccountId: subjects.outputs.accountId
    secondaryEndpoint: secondaryEndpoint
  }
}

module covers 'modules/covers.bicep' = if (!empty(coversVaultName)) {
  name: 'audit-stream-covers'
  params: {
    location: location
    vaultName: coversVaultName
    workspaceId: logs.id
    networkId: networkId
    subnetId: subnetId
    workerId: worker.properties.principalId
    gatewayId: gateway.properties.principalId
    keeperId: keeper.properties.principalId
    delivererId: delivererSendsPersonalFields ? deliverer.properties.principalId : ''
  }
}

// The workers' settings.
output AUDIT_ARCHIVE string = 'azure://${archiveAccount}/${archiveContainer}'
output AUDIT_SUBJECTS string = 'azure://${subjectsAccount}/${subjectsContainer}'
output AUDIT_AZURE_CLIENT_ID string = worker.properties.clientId
output AUDIT_AZURE_SUBSCRIPTION string = subscription().subscriptionId
output AUDIT_AZURE_RESOURCE_GROUP string = resourceGroup().name
output AUDIT_KEYRING_VAULT string = empty(coversVaultName) ? '' : 'https://${coversVaultName}${environment().suffixes.keyvaultDns}'
output workerIdentityId string = worker.id

// A gateway's: the same, but for this AUDIT_AZURE_CLIENT_ID.
output gatewayClientId string = gateway.properties.clientId
output gatewayIdentityId string = gateway.id

// Of the job that runs `audit-stream retention run`: likewise.
output disposerClientId string = disposer.properties.clientId
output disposerIdentityId string = disposer.id

// The keeper's likewise.
output keeperClientId string = keeper.properties.clientId
output keeperIdentityId string = keeper.id

// The holder's likewise.
output holderClientId string = holder.properties.clientId
output holderIdentityId string = holder.id

// The deliverer's likewise, and its positions' place.
output delivererClientId string = deliverer.properties.clientId
output delivererIdentityId string = deliverer.id
output AUDIT_DELIVERY_POSITIONS string = empty(positionsContainer) ? '' : 'azure://${subjectsAccount}/${positionsContainer}'
