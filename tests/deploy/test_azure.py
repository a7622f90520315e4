"""What the archive rests on, said by Bicep and by Terraform alike: neither may lose a part."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from audit_stream.evidence.log_names import ACCESS_FOLDER
from audit_stream.privacy.private_object import FOLDER
from tests.support.assigned import BLOBS, adds_only, bicep_given, rewrites_only, terraform_given
from tests.support.bicep import Template, templates
from tests.support.slips import differing, in_bicep, in_terraform
from tests.support.terraform import Configuration, configuration

BICEP = templates()
TERRAFORM = configuration()
Facts = dict[str, Any]
_SEGMENTS = (
    f"((!(ActionMatches{{'{BLOBS}/delete'}}) AND "
    f"!(ActionMatches{{'{BLOBS}/deleteBlobVersion/action'}})) OR "
    f"@Resource[{BLOBS}:path] StringStartsWith 'segments/')"
)

WANTED: Facts = {
    # Two regions for both; the archive's second one can be read.
    "redundancy": {"archive": "RAGZRS", "subjects": "GZRS"},
    "retained": {"archive"},
    "retention days": 2557,
    "locks the policy": False,
    "append writes": {False},
    "versions": {"archive": False, "subjects": False},
    "soft delete days": {"archive": 90, "subjects": 0},
    "open": {"shared keys": False, "public network": False, "anonymous": False},
    "minimum TLS": "TLS1_2",
    "key": ("Microsoft.Keyvault", "RSA", 3072),
    "key can be purged": False,
    "endpoints": {("archive", "blob"), ("subjects", "blob"), ("archive", "blob_secondary")},
    "zone": "privatelink.blob",
    "logs": {"StorageRead", "StorageWrite", "StorageDelete"},
    "vault's logs": {"AuditEvent"},
    "writer": {f"{BLOBS}/read", f"{BLOBS}/add/action"},
    "reader": {f"{BLOBS}/read"},
    "private keeper": {f"{BLOBS}/add/action", f"{BLOBS}/write", f"{BLOBS}/delete"},
    # Role, container and condition of each assignment: each adds or rewrites under these folders.
    "gateway": {
        ("writer", "archive", adds_only(ACCESS_FOLDER), "2.0"),
        ("reader", "subjects", None, None),
        ("privateKeeper", "subjects",
         rewrites_only(*(f"{FOLDER}{each}/" for each in
                         ("fleet", "requests", "holds", "hold-keys", "openings"))), "2.0"),
    },
    "disposer": {f"{BLOBS}/read", f"{BLOBS}/add/action", f"{BLOBS}/delete",
                 f"{BLOBS}/deleteBlobVersion/action"},
    # Who may delete in the archive, beside people, and what; where else that identity is let in.
    "disposes": {("disposer", "archive", _SEGMENTS), ("privacyOfficer", "subjects", None),
                 ("postureReader", "archive", None)},
    "outputs": {"AUDIT_ARCHIVE", "AUDIT_SUBJECTS", "AUDIT_AZURE_CLIENT_ID",
                "AUDIT_AZURE_SUBSCRIPTION", "AUDIT_AZURE_RESOURCE_GROUP", "AUDIT_KEYRING_VAULT",
                "AUDIT_DELIVERY_POSITIONS"},
}  # fmt: skip


def bicep(found: Mapping[str, Template]) -> Facts:
    """The facts as Bicep's files have them."""
    main, account, vault = found["main"], found["account"], found["vault"]
    default = {name: each["default"] for name, each in main.parsed["parameters"].items()}
    given = {name: main.modules[name][1] for name in ("archive", "subjects")}
    properties = account.resources["account"]["body"]["properties"]
    service = account.resources["blobs"]["body"]["properties"]
    assert service["isVersioningEnabled"] == "versioning"
    assert service["deleteRetentionPolicy"] == service["containerDeleteRetentionPolicy"]
    policy = account.resources["policy"]["body"]["properties"]
    key = vault.resources["key"]["body"]["properties"]
    return {
        "redundancy": {k: v["sku"].removeprefix("Standard_") for k, v in given.items()},
        "retained": {k for k, v in given.items() if v["retentionDays"] != 0},
        "retention days": default["retentionDays"],
        "locks the policy": "state" in policy or "deploymentScripts" in str(found),
        "append writes": {v for k, v in policy.items() if k.startswith("allow")},
        "versions": {k: default.get(v["versioning"], v["versioning"]) for k, v in given.items()},
        "soft delete days": {k: v["softDeleteDays"] for k, v in given.items()},
        "open": {
            "shared keys": properties["allowSharedKeyAccess"],
            "public network": properties["publicNetworkAccess"] != "Disabled",
            "anonymous": properties["allowBlobPublicAccess"],
        },
        "minimum TLS": properties["minimumTlsVersion"],
        "key": (properties["encryption"]["keySource"], key["kty"], key["keySize"]),
        "key can be purged": not vault.resources["vault"]["body"]["properties"][
            "enablePurgeProtection"
        ],
        "endpoints": _bicep_endpoints(found["network"]),
        "zone": _zone(found["network"].resources["zone"]["body"]["name"]),
        "logs": _bicep_logs(account, "logs"),
        "vault's logs": _bicep_logs(vault, "audit"),
        "writer": _bicep_role(found["roles"], "writer"),
        "reader": _bicep_role(found["roles"], "reader"),
        "private keeper": _bicep_role(found["roles"], "privateKeeper"),
        "gateway": set(bicep_given(found["roles"], "gateway")),
        "disposer": _bicep_role(found["roles"], "disposer"),
        "disposes": {given[:3] for given in bicep_given(found["roles"], "disposer")},
        "outputs": {name for name in main.parsed["outputs"] if name.startswith("AUDIT_")},
    }


def _bicep_endpoints(network: Template) -> set[tuple[str, str]]:
    lists = (network.parsed["variables"][name]["value"] for name in ("primary", "secondary"))
    assert {"endpoint", "names"} <= set(network.resources)
    return {(item["account"].removesuffix("AccountId"), item["group"])
            for each in lists for item in each}  # fmt: skip


def _bicep_logs(template: Template, symbol: str) -> set[str]:
    logs = template.resources[symbol]["body"]["properties"]["logs"]
    return {log["category"] for log in logs if log["enabled"] is True}


def _bicep_role(roles: Template, name: str) -> set[str]:
    (given,) = roles.resources[name]["body"]["properties"]["permissions"]
    containers = roles.parsed["variables"]["containers"]["value"]
    return {each.replace("${containers}", containers) for each in given["dataActions"]}


def _zone(name: str) -> str:
    return ".".join(name.split(".")[:2])


def terraform(found: Configuration) -> Facts:
    """The facts as Terraform's files have them."""
    resources, accounts = found.resources, found.locals["accounts"]
    account = resources["azurerm_storage_account.this"]
    blobs = account["blob_properties"][0]
    policies = [v for k, v in resources.items() if "immutability_policy" in k]
    key = resources["azurerm_key_vault_key.archive"]
    logs = "azurerm_monitor_diagnostic_setting"
    return {
        "redundancy": {k: v["replication"] for k, v in accounts.items()},
        "retained": {
            name for policy in policies
            for name in re.findall(r'"(\w+)"', policy["storage_container_resource_manager_id"])
        },
        "retention days": found.variables["retention_days"]["default"],
        "locks the policy": any(policy["locked"] is not False for policy in policies),
        "append writes": {v for p in policies for k, v in p.items() if "append" in k},
        "versions": dict.fromkeys(accounts, blobs["versioning_enabled"]),
        "soft delete days": {k: sum(v["soft_delete_days"]) for k, v in accounts.items()},
        "open": {
            "shared keys": account["shared_access_key_enabled"],
            "public network": account["public_network_access_enabled"],
            "anonymous": account["allow_nested_items_to_be_public"],
        },
        "minimum TLS": account["min_tls_version"],
        "key": (
            "Microsoft.Keyvault" if "customer_managed_key" in account else None,
            key["key_type"], key["key_size"],
        ),
        "key can be purged": not resources["azurerm_key_vault.this"]["purge_protection_enabled"],
        "endpoints": _terraform_endpoints(found),
        "zone": _zone(resources["azurerm_private_dns_zone.blob"]["name"]),
        "logs": _terraform_logs(resources[f"{logs}.account"]),
        "vault's logs": _terraform_logs(resources[f"{logs}.vault"]),
        "writer": _terraform_role(found, "writer"),
        "reader": _terraform_role(found, "reader"),
        "private keeper": _terraform_role(found, "private keeper"),
        "gateway": set(terraform_given(found, "gateway")),
        "disposer": _terraform_role(found, "disposer"),
        "disposes": set(_terraform_disposes(found)),
        "outputs": {
            name for block in found.blocks["output"] if "settings" in block
            for name in block["settings"]["value"]
        },
    }  # fmt: skip


def _terraform_endpoints(found: Configuration) -> set[tuple[str, str]]:
    endpoint = found.resources["azurerm_private_endpoint.this"]
    assert endpoint["for_each"] == "${local.endpoints}"
    said = re.findall(r'account = "(\w+)", group = "(\w+)"', found.locals["endpoints"])
    return {(account, group) for account, group in said}


def _terraform_role(found: Configuration, name: str) -> set[str]:
    given = found.locals["roles"][name]["data_actions"]
    return {each.replace("${local.containers}", found.locals["containers"]) for each in given}


def _terraform_disposes(found: Configuration) -> Iterator[tuple[str, str, str | None]]:
    given = found.resources["azurerm_role_assignment.disposer"]
    assert given["for_each"] == "${local.disposer}"
    assert "identity.disposer.principal_id" in given["principal_id"]
    assert "each.key" in given["role_definition_id"]
    for name, scope in found.locals["disposer"].items():
        role = re.sub(r" (\w)", lambda letter: letter[1].upper(), name.partition(" of ")[0])
        yield role, re.findall(r'\["(.*?)"\]', scope)[0], None
    for each in terraform_given(found, "disposer"):
        yield each[:3]


def _terraform_logs(setting: Mapping[str, Any]) -> set[str]:
    return {log["category"] for log in setting["enabled_log"]}


@pytest.mark.parametrize("said", WANTED)
def test_bicep_says_it(said: str) -> None:
    assert bicep(BICEP)[said] == WANTED[said]


@pytest.mark.parametrize("said", WANTED)
def test_terraform_says_it(said: str) -> None:
    assert terraform(TERRAFORM)[said] == WANTED[said]


@pytest.mark.parametrize(
    ("said", "file", "text", "instead"),
    [
        ("redundancy", "main", "sku: 'Standard_GZRS'", "sku: 'Standard_RAGZRS'"),
        ("retained", "main", "    retentionDays: 0\n", "    retentionDays: 1\n"),
        ("retention days", "main", "int = 2557", "int = 2555"),
        ("locks the policy", "account", "    allowProtectedAppendWrites: false",
         "    state: 'Locked'\n    allowProtectedAppendWrites: false"),
        ("append writes", "account", "WritesAll: false", "WritesAll: true"),
        ("versions", "main", "    versioning: false", "    versioning: true"),
        ("soft delete days", "main", "softDeleteDays: 0", "softDeleteDays: 7"),
        ("open", "account", "'Disabled'", "'Enabled'"),
        ("minimum TLS", "account", "'TLS1_2'", "'TLS1_0'"),
        ("key", "account", "'Microsoft.Keyvault'", "'Microsoft.Storage'"),
        ("key can be purged", "vault", "PurgeProtection: true", "PurgeProtection: false"),
        ("endpoints", "network", "account: subjectsAccountId", "account: archiveAccountId"),
        ("zone", "network", "'privatelink.blob.", "'privatelink.dfs."),
        ("logs", "account", "category: 'StorageDelete'\n        enabled: true",
         "category: 'StorageDelete'\n        enabled: false"),
        ("vault's logs", "vault", "category: 'AuditEvent'", "category: 'Other'"),
        ("writer", "roles", "/blobs/add/action'\n        ]", "/blobs/write'\n        ]"),
        ("gateway", "roles", "StringStartsWith \\'access/", "StringStartsWith \\'a"),
        ("gateway", "roles", "    condition: onlyJournals\n", ""),
        ("gateway", "roles", "roleDefinitionId: reader.id", "roleDefinitionId: writer.id"),
        ("gateway", "roles", "\\'private/openings/", "\\'"),
        ("disposer", "roles", "          '${containers}/blobs/deleteBlobVersion/action'\n", ""),
        ("disposes", "roles", "    condition: onlySegments\n", ""),
        ("disposes", "roles", "    principalId: disposerId\n", "    principalId: workerId\n"),
        ("outputs", "main", "output AUDIT_SUBJECTS ", "output AUDIT_SUBJECT "),
    ],
)  # fmt: skip
def test_a_slip_in_bicep_is_seen(said: str, file: str, text: str, instead: str) -> None:
    assert differing(bicep(in_bicep(BICEP, file, text, instead)), WANTED) == {said}


@pytest.mark.parametrize(
    ("said", "file", "text", "instead"),
    [
        ("redundancy", "main", '"GZRS"', '"LRS"'),
        ("retained", "main", 'container.this["archive"]', 'container.this["subjects"]'),
        ("retention days", "variables", "= 2557", "= 2555"),
        ("locks the policy", "main", "= false\n\n  lifecycle", "= true\n\n  lifecycle"),
        ("append writes", "main", "writes_all_enabled   = false", "writes_all_enabled   = true"),
        ("versions", "main", "versioning_enabled  = false", "versioning_enabled  = true"),
        ("soft delete days", "main", "soft_delete_days = []", "soft_delete_days = [7]"),
        ("open", "main", "shared_access_key_enabled         = false",
         "shared_access_key_enabled         = true"),
        ("minimum TLS", "main", '"TLS1_2"', '"TLS1_0"'),
        ("key", "vault", "= 3072", "= 2048"),
        ("key can be purged", "vault", "purge_protection_enabled      = true",
         "purge_protection_enabled      = false"),
        ("endpoints", "network", '"subjects", group', '"archive", group'),
        ("zone", "network", '"privatelink.blob.', '"privatelink.dfs.'),
        ("logs", "main", '"StorageDelete"', '"StorageRead"'),
        ("vault's logs", "vault", '"AuditEvent"', '"Other"'),
        ("writer", "roles", 'blobs/add/action"]', 'blobs/write"]'),
        ("gateway", "roles", "/blobs/add/action'}) OR", "/blobs/write'}) OR"),
        ("gateway", "roles", "  condition          = local.only_journals\n", ""),
        ("gateway", "roles", "'private/openings/", "'"),
        ("disposer", "roles", 'blobs/deleteBlobVersion/action"', 'blobs/write"'),
        ("disposes", "roles", "'segments/'", "'s'"),
        ("disposes", "roles", '"privacy officer of subjects" ', '"disposer of subjects" '),
        ("outputs", "outputs", "AUDIT_SUBJECTS ", "AUDIT_SUBJECT "),
    ],
)  # fmt: skip
def test_a_slip_in_terraform_is_seen(said: str, file: str, text: str, instead: str) -> None:
    slipped = in_terraform(TERRAFORM, file, text, instead)
    assert differing(terraform(slipped), WANTED) == {said}
