"""The vault that wraps covers, and the keeper, said by Bicep and by Terraform alike."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.bicep import Template, templates
from tests.support.slips import differing, in_bicep, in_terraform
from tests.support.terraform import Configuration, configuration

BICEP = templates()
TERRAFORM = configuration()
KEYS = "Microsoft.KeyVault/vaults/keys"
Facts = dict[str, Any]

WANTED: Facts = {
    # A vault that can lose its keys, soon; and is reached by nobody from outside.
    "vault": {"days": 7, "purge protection": False, "roles": True, "public": False},
    "kept": "CanNotDelete",
    "logs": {"AuditEvent"},
    "endpoint": ("vault", "vaultcore"),
    "cover reader": {f"{KEYS}/unwrap/action"},
    "cover keeper": {f"{KEYS}/read", f"{KEYS}/create/action", f"{KEYS}/wrap/action",
                     f"{KEYS}/unwrap/action", f"{KEYS}/delete", f"{KEYS}/purge/action"},
    "given": {("worker", "cover reader"), ("gateway", "cover reader"),
              ("deliverer", "cover reader"), ("keeper", "cover keeper")},
    "keeper in the stores": {("privacy officer", "subjects"), ("writer", "archive")},
    # It is another vault than that of the accounts' key, and is there only when asked for.
    "apart": True,
}  # fmt: skip


def bicep(found: Mapping[str, Template]) -> Facts:
    """The facts as Bicep's files have them."""
    covers, main = found["covers"], found["main"]
    bodies = {name: each["body"] for name, each in covers.resources.items()}
    vault = bodies["vault"]["properties"]
    [connection] = bodies["endpoint"]["properties"]["privateLinkServiceConnections"]
    [group] = connection["properties"]["groupIds"]
    given = main.modules["covers"][1]
    default = main.parsed["parameters"]["coversVaultName"]["default"]
    return {
        "vault": {
            "days": vault["softDeleteRetentionInDays"],
            "purge protection": "enablePurgeProtection" in vault,
            "roles": vault["enableRbacAuthorization"],
            "public": vault["publicNetworkAccess"] != "Disabled",
        },
        "kept": bodies["keep"]["properties"]["level"],
        "logs": {log["category"] for log in bodies["audit"]["properties"]["logs"]},
        "endpoint": (group, _zone(str(bodies["zone"]))),
        "cover reader": _role(covers, "reader"), "cover keeper": _role(covers, "keeper"),
        "given": set(_given(covers)),
        "keeper in the stores": set(_stores(found["roles"])),
        "apart": given["vaultName"] == "coversVaultName" and default in ("", "''"),
    }  # fmt: skip


def _zone(text: str) -> str:
    return "vaultcore" if ".vaultcore." in text else text


def _role(covers: Template, name: str) -> set[str]:
    [given] = covers.resources[name]["body"]["properties"]["permissions"]
    assert given["actions"] == []
    return {each.replace("${keys}", KEYS) for each in given["dataActions"]}


def _assigned(template: Template) -> Iterator[tuple[str, str, str]]:
    """(identity, role, scope)"""
    for each in template.resources.values():
        given = each["body"].get("properties", {})
        if "principalId" in given and isinstance(given["roleDefinitionId"], dict):
            role = given["roleDefinitionId"].get("operator", {}).get("operands", {})
            if "operand_1" in role:
                yield given["principalId"], role["operand_1"], each["body"]["scope"]


def _given(covers: Template) -> Iterator[tuple[str, str]]:
    for who, role, scope in _assigned(covers):
        assert scope == "vault"
        yield who.removesuffix("Id"), f"cover {role}"


def _stores(roles: Template) -> Iterator[tuple[str, str]]:
    for who, role, scope in _assigned(roles):
        if who == "keeperId":
            name = re.sub(r"([A-Z])", lambda found: f" {found[1].lower()}", role)
            yield name, scope.removesuffix("Store")


def terraform(found: Configuration) -> Facts:
    """The facts as Terraform's files have them."""
    resources, kept = found.resources, found.locals
    vault = resources["azurerm_key_vault.covers"]
    [connection] = resources["azurerm_private_endpoint.covers"]["private_service_connection"]
    [group] = connection["subresource_names"]
    logs = resources["azurerm_monitor_diagnostic_setting.covers"]["enabled_log"]
    roles = {
        name: {each.replace("${local.keys}", kept["keys"]) for each in role["data_actions"]}
        for name, role in kept["cover_roles"].items()
    }
    return {
        "vault": {
            "days": vault["soft_delete_retention_days"],
            "purge protection": vault["purge_protection_enabled"],
            "roles": vault["rbac_authorization_enabled"],
            "public": vault["public_network_access_enabled"],
        },
        "kept": resources["azurerm_management_lock.covers"]["lock_level"],
        "logs": {log["category"] for log in logs},
        "endpoint": (group, _zone(resources["azurerm_private_dns_zone.covers"]["name"])),
        **roles,
        "given": {(re.findall(r"identity\.(\w+)\.", user["id"])[0], user["role"])
                  for user in kept["cover_users"].values()},
        "keeper in the stores": set(_terraform_stores(resources)),
        "apart": vault["name"] == "${var.covers_vault}" and vault["count"] == "${local.with_vault}"
        and found.variables["covers_vault"]["default"] in (None, "null"),
    }  # fmt: skip


def _terraform_stores(resources: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for given in resources.values():
        if "identity.keeper.principal_id" in str(given.get("principal_id")):
            keys = ("role_definition_id", "scope")
            role, place = (re.findall(r'\["(.*?)"\]', given[key])[0] for key in keys)
            yield role, place


@pytest.mark.parametrize("said", WANTED)
def test_both_say_it(said: str) -> None:
    assert bicep(BICEP)[said] == WANTED[said]
    assert terraform(TERRAFORM)[said] == WANTED[said]


@pytest.mark.parametrize(
    ("said", "file", "text", "instead"),
    [
        ("vault", "covers", "InDays: 7", "InDays: 90"),
        ("vault", "covers", "    enableSoftDelete: true",
         "    enablePurgeProtection: true\n    enableSoftDelete: true"),
        ("vault", "covers", "publicNetworkAccess: 'Disabled'", "publicNetworkAccess: 'Enabled'"),
        ("logs", "covers", "'AuditEvent'", "'Other'"),
        ("endpoint", "covers", "'.vaultcore.'", "'.vault.'"),
        ("cover reader", "covers", "          '${keys}/unwrap/action'\n        ]",
         "          '${keys}/read'\n        ]"),
        ("cover keeper", "covers", "'${keys}/purge/action'", "'${keys}/backup/action'"),
        ("given", "covers", "roleDefinitionId: keeper.id", "roleDefinitionId: reader.id"),
        ("keeper in the stores", "roles", "keeperId, privacyOfficer.id)\n  scope: subjectsStore",
         "keeperId, privacyOfficer.id)\n  scope: archiveStore"),
        ("apart", "main", "vaultName: coversVaultName", "vaultName: vaultName"),
    ],
)  # fmt: skip
def test_a_slip_in_bicep_is_seen(said: str, file: str, text: str, instead: str) -> None:
    assert differing(bicep(in_bicep(BICEP, file, text, instead)), WANTED) == {said}


@pytest.mark.parametrize(
    ("said", "file", "text", "instead"),
    [
        ("vault", "covers", "= 7 ", "= 90 "),
        ("vault", "covers", "purge_protection_enabled      = false",
         "purge_protection_enabled      = true"),
        ("kept", "covers", '"CanNotDelete"', '"ReadOnly"'),
        ("logs", "covers", '"AuditEvent"', '"Other"'),
        ("endpoint", "covers", "privatelink.vaultcore.", "privatelink.vault."),
        ("cover reader", "covers", '["${local.keys}/unwrap/action"]', '["${local.keys}/read"]'),
        ("cover keeper", "covers", "/purge/action", "/recover/action"),
        ("given", "covers", 'gateway   = { role = "cover reader"',
         'gateway   = { role = "cover keeper"'),
        ("keeper in the stores", "roles",
         '"keeper_erases" {\n  scope              = azurerm_storage_container.this["subjects"]',
         '"keeper_erases" {\n  scope              = azurerm_storage_container.this["archive"]'),
        ("apart", "covers", "= var.covers_vault\n", "= var.vault\n"),
    ],
)  # fmt: skip
def test_a_slip_in_terraform_is_seen(said: str, file: str, text: str, instead: str) -> None:
    slipped = in_terraform(TERRAFORM, file, text, instead)
    assert differing(terraform(slipped), WANTED) == {said}
