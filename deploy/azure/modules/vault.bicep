// The key that both accounts are encrypted under, in a vault that cannot be emptied.
param location string
param vaultName string
param workspaceId string

// Key Vault Crypto Service Encryption User, built in: wrap and unwrap, nothing else.
var cryptoUserRole = 'e147488a-f6f5-4113-8e2d-b22465e65bf6'

resource encryption 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'audit-stream-encryption'
  location: location
}

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: vaultName
  location: location
  properties: {
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      // The storage service comes as a trusted service; everybody else stays outside.
      bypass: 'AzureServices'
      defaultAction: 'Deny'
    }
  }
}

resource key 'Microsoft.KeyVault/vaults/keys@2023-07-01' = {
  parent: vault
  name: 'audit-stream-archive'
  properties: {
    kty: 'RSA'
    keySize: 3072
    keyOps: [
      'wrapKey'
      'unwrapKey'
    ]
  }
}

resource mayWrap 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, encryption.id, cryptoUserRole)
  scope: vault
  properties: {
    principalId: encryption.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', cryptoUserRole)
  }
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit-stream'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
    ]
  }
}

resource keep 'Microsoft.Authorization/locks@2020-05-01' = {
  name: 'audit-stream-keep'
  scope: vault
  properties: {
    level: 'CanNotDelete'
    notes: 'Without this key the archive cannot be read.'
  }
}

output keyName string = key.name
output vaultUri string = vault.properties.vaultUri
output encryptionIdentityId string = encryption.id
