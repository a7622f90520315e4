// A storage account with one container. The archive's keeps everything, the subjects' keeps nothing
// that was deleted: what differs are the parameters.
param location string
param accountName string
param containerName string

@allowed([
  'Standard_RAGZRS'
  'Standard_GZRS'
])
param sku string

param versioning bool
param versionLevelWorm bool

@description('Days that deleted blobs and containers can be restored; 0 is off.')
@minValue(0)
@maxValue(365)
param softDeleteDays int

@description('Days of the container\'s retention policy, created unlocked; 0 creates none.')
@minValue(0)
param retentionDays int

param keyName string
param vaultUri string
param encryptionIdentityId string
param workspaceId string

var softDelete = softDeleteDays == 0 ? {
  enabled: false
} : {
  enabled: true
  days: softDeleteDays
}

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: accountName
  location: location
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${encryptionIdentityId}': {}
    }
  }
  properties: {
    accessTier: 'Hot'
    minimumTlsVersion: 'TLS1_2' // 1.3 cannot be demanded here; AUDIT_AZURE_TLS13 does
    supportsHttpsTrafficOnly: true
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    publicNetworkAccess: 'Disabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: 'Deny'
    }
    isHnsEnabled: false
    isSftpEnabled: false
    isNfsV3Enabled: false
    isLocalUserEnabled: false
    encryption: {
      keySource: 'Microsoft.Keyvault'
      identity: {
        userAssignedIdentity: encryptionIdentityId
      }
      keyvaultproperties: {
        keyname: keyName // no version: a rotated key is taken by itself
        keyvaulturi: vaultUri
      }
      requireInfrastructureEncryption: true
      services: {
        blob: {
          enabled: true
          keyType: 'Account'
        }
      }
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    isVersioningEnabled: versioning
    deleteRetentionPolicy: softDelete
    containerDeleteRetentionPolicy: softDelete
    changeFeed: {
      enabled: false
    }
    restorePolicy: {
      enabled: false
    }
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: containerName
  properties: {
    publicAccess: 'None'
    immutableStorageWithVersioning: versionLevelWorm ? {
      enabled: true
    } : null
  }
}

resource policy 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2024-01-01' = if (retentionDays > 0) {
  parent: container
  name: 'default'
  properties: {
    immutabilityPeriodSinceCreationInDays: retentionDays
    allowProtectedAppendWrites: false
    allowProtectedAppendWritesAll: false
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit-stream'
  scope: blobs
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageRead'
        enabled: true
      }
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

resource keep 'Microsoft.Authorization/locks@2020-05-01' = {
  name: 'audit-stream-keep'
  scope: account
  properties: {
    level: 'CanNotDelete'
    notes: 'An account can be deleted with all that is in it while its policy is unlocked.'
  }
}

output accountName string = account.name
output accountId string = account.id
