// The vault whose keys wrap the keyring's covers: docs/how-to/wrap-the-cover.md. It is not the vault of
// the accounts' key, which must never lose a key. This one must: a key that is purged is an erasure.
param location string
param vaultName string
param workspaceId string
param networkId string
param subnetId string
param workerId string
param gatewayId string
param keeperId string

@description('Of a deliverer that sends personal fields; empty: it has no keys.')
param delivererId string

var keys = 'Microsoft.KeyVault/vaults/keys'

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
    // The shortest there is. No enablePurgeProtection: nobody could purge then, and it is not to be
    // said at all, for Azure refuses `false`.
    enableSoftDelete: true
    softDeleteRetentionInDays: 7
    publicNetworkAccess: 'Disabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: 'Deny'
    }
  }
}

// Workers, gateways, who sends personal fields: the cover is opened and nothing else.
resource reader 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'audit-stream cover reader')
  properties: {
    roleName: 'audit-stream cover reader (${resourceGroup().name})'
    description: 'Have a cover\'s data key unwrapped. Sees, makes and deletes no key.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: []
        dataActions: [
          '${keys}/unwrap/action'
        ]
      }
    ]
  }
}

// Who erases. Neither backup nor restore nor recover: each of them brings back what was destroyed.
resource keeper 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'audit-stream cover keeper')
  properties: {
    roleName: 'audit-stream cover keeper (${resourceGroup().name})'
    description: 'Make an epoch\'s key, wrap by it, delete and purge it. Cannot bring one back.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        actions: []
        dataActions: [
          '${keys}/read'
          '${keys}/create/action'
          '${keys}/wrap/action'
          '${keys}/unwrap/action'
          '${keys}/delete'
          '${keys}/purge/action'
        ]
      }
    ]
  }
}

resource workerReads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, workerId, reader.id)
  scope: vault
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: reader.id
  }
}

resource gatewayReads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, gatewayId, reader.id)
  scope: vault
  properties: {
    principalId: gatewayId
    principalType: 'ServicePrincipal'
    roleDefinitionId: reader.id
  }
}

resource delivererReads 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(delivererId)) {
  name: guid(vault.id, delivererId, reader.id)
  scope: vault
  properties: {
    principalId: delivererId
    principalType: 'ServicePrincipal'
    roleDefinitionId: reader.id
  }
}

resource keeperKeeps 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, keeperId, keeper.id)
  scope: vault
  properties: {
    principalId: keeperId
    principalType: 'ServicePrincipal'
    roleDefinitionId: keeper.id
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

// Of the vault; keys are deleted past the management plane, where no lock reaches.
resource keep 'Microsoft.Authorization/locks@2020-05-01' = {
  name: 'audit-stream-keep'
  scope: vault
  properties: {
    level: 'CanNotDelete'
    notes: 'Without its keys no personal field of the archive can be opened.'
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = {
  name: 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
  location: 'global'
}

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = {
  parent: zone
  name: 'audit-stream'
  location: 'global'
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: networkId
    }
  }
}

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: 'audit-stream-covers'
  location: location
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: 'audit-stream-covers'
        properties: {
          privateLinkServiceId: vault.id
          groupIds: [
            'vault'
          ]
        }
      }
    ]
  }
}

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: 'vault'
        properties: {
          privateDnsZoneId: zone.id
        }
      }
    ]
  }
}
