// The blob services inside the workers' network, under their usual names.
param location string
param networkId string
param subnetId string
param archiveAccountId string
param subjectsAccountId string
param secondaryEndpoint bool

var primary = [
  {
    name: 'audit-stream-archive'
    account: archiveAccountId
    group: 'blob'
  }
  {
    name: 'audit-stream-subjects'
    account: subjectsAccountId
    group: 'blob'
  }
]
var secondary = [
  {
    name: 'audit-stream-archive-secondary'
    account: archiveAccountId
    group: 'blob_secondary'
  }
]
var endpoints = secondaryEndpoint ? concat(primary, secondary) : primary

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = {
  name: 'privatelink.blob.${environment().suffixes.storage}'
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

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = [for item in endpoints: {
  name: item.name
  location: location
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: item.name
        properties: {
          privateLinkServiceId: item.account
          groupIds: [
            item.group
          ]
        }
      }
    ]
  }
}]

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [for (item, index) in endpoints: {
  parent: endpoint[index]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: 'blob'
        properties: {
          privateDnsZoneId: zone.id
        }
      }
    ]
  }
}]
