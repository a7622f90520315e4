"""Make `arm.json` anew: `python make_arm.py CLONE`, a clone of github.com/Azure/bicep-types-az.

For each resource type and API version of FILES: the properties that can be set, each with whether
it is required and what it holds. A kind is `string`, `int`, `bool`, `any`, a list of allowed words,
`{"array": kind}`, or `{"object": {name: [required, kind]}, "more": kind or null}`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

FILES = {
    "generated/storage/microsoft.storage/2024-01-01": [
        "Microsoft.Storage/storageAccounts",
        "Microsoft.Storage/storageAccounts/blobServices",
        "Microsoft.Storage/storageAccounts/blobServices/containers",
        "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies",
    ],
    "generated/keyvault/microsoft.keyvault/2023-07-01": [
        "Microsoft.KeyVault/vaults",
        "Microsoft.KeyVault/vaults/keys",
    ],
    "generated/authorization/microsoft.authorization/2022-04-01": [
        "Microsoft.Authorization/roleDefinitions",
        "Microsoft.Authorization/roleAssignments",
    ],
    "generated/resources_0/microsoft.authorization/2020-05-01": ["Microsoft.Authorization/locks"],
    "generated/resources_2/microsoft.authorization/2020-05-01": ["Microsoft.Authorization/locks"],
    "generated/monitor_1/microsoft.insights/2021-05-01-preview": [
        "Microsoft.Insights/diagnosticSettings"
    ],
    "generated/msi/microsoft.managedidentity/2023-01-31": [
        "Microsoft.ManagedIdentity/userAssignedIdentities"
    ],
    "generated/network/microsoft.network/2024-05-01": [
        "Microsoft.Network/privateEndpoints",
        "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
    ],
    "generated/privatedns/microsoft.network/2020-06-01": [
        "Microsoft.Network/privateDnsZones",
        "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
    ],
    "generated/operationalinsights/microsoft.operationalinsights/2023-09-01": [
        "Microsoft.OperationalInsights/workspaces"
    ],
}
REQUIRED, READ_ONLY = 1, 2
PLAIN = {"StringType": "string", "IntegerType": "int", "BooleanType": "bool", "AnyType": "any"}
DEPTH = 6  # privateEndpoints refer to themselves by way of networks


class Types:
    """One types.json."""

    def __init__(self, types: list[dict[str, Any]]) -> None:
        self._types = types

    def resources(self) -> dict[str, Any]:
        """Name with version → its body."""
        return {t["name"]: t["body"] for t in self._types if t["$type"] == "ResourceType"}

    def kind(self, reference: dict[str, str], depth: int = 0) -> Any:
        """What a reference stands for, in the table's words."""
        found = self._types[int(reference["$ref"].partition("#/")[2])]
        match found["$type"]:
            case "StringLiteralType":
                return [found["value"]]
            case "UnionType":
                return self._union([self.kind(each, depth) for each in found["elements"]])
            case "ArrayType":
                return {"array": self.kind(found["itemType"], depth + 1)}
            case "ObjectType" | "DiscriminatedObjectType" if depth < DEPTH:
                return self._object(found, depth)
            case other:
                return PLAIN.get(other, "any")

    @staticmethod
    def _union(kinds: list[Any]) -> Any:
        """Known words only, also where Azure would take others: a new word is worth a look."""
        words = sorted(word for kind in kinds if isinstance(kind, list) for word in kind)
        return words or ("string" if "string" in kinds else "any")

    def _object(self, found: dict[str, Any], depth: int) -> Any:
        properties = found.get("properties") or found.get("baseProperties") or {}
        more = found.get("additionalProperties")
        return {
            "object": {
                name: [bool(each["flags"] & REQUIRED), self.kind(each["type"], depth + 1)]
                for name, each in properties.items()
                if not each["flags"] & READ_ONLY
            },
            "more": None if more is None else self.kind(more, depth + 1),
        }


def main(clone: str) -> None:
    """Write the table."""
    table: dict[str, Any] = {}
    for folder, names in FILES.items():
        text = subprocess.check_output(
            ["git", "-C", clone, "show", f"HEAD:{folder}/types.json"], text=True
        )
        types = Types(json.loads(text))
        version = folder.rpartition("/")[2]
        found = {name.lower(): body for name, body in types.resources().items()}
        for name in names:
            if (key := f"{name}@{version}".lower()) in found:
                table[f"{name}@{version}"] = types.kind(found[key])
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(table[name], sort_keys=True)}" for name in sorted(table)
    )
    Path(__file__).with_name("arm.json").write_text("{\n" + lines + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
