// Where a deliverer keeps how far it got: a container in the account that keeps no versions.
param subjectsAccount string
param containerName string
param delivererId string

var containers = 'Microsoft.Storage/storageAccounts/blobServices/containers'

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: subjectsAccount
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' existing = {
  parent: account
  name: 'default'
}

resource store 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: containerName
  properties: {
    publicAccess: 'None'
  }
}

resource keeper 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'audit-stream position keeper')
  properties: {
    roleName: 'audit-stream position keeper (${resourceGroup().name})'
    description: 'Read, add and rewrite objects. Cannot delete one.'
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
        ]
      }
    ]
  }
}

resource delivererKeeps 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(store.id, delivererId, keeper.id)
  scope: store
  properties: {
    principalId: delivererId
    principalType: 'ServicePrincipal'
    roleDefinitionId: keeper.id
  }
}
