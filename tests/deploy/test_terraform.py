"""The Terraform configuration: what the provider knows of it; roles are Bicep's.

Not run here, for want of the provider and of Azure: `terraform validate`, a plan, an apply.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.bicep import templates
from tests.support.hcl import unformatted
from tests.support.terraform import FILES, FOLDER, PROVIDER, Configuration, configuration

OURS = configuration()


def test_it_is_formatted(tmp_path: Path) -> None:
    assert unformatted(*FILES) == []
    slip = tmp_path / "slip.tf"
    slip.write_text("a =  1\n", encoding="utf-8")
    assert unformatted(slip) == [str(slip)]


def test_the_provider_knows_every_argument_and_attribute() -> None:
    assert OURS.faults() == []


@pytest.mark.parametrize(
    ("said", "instead", "fault"),
    [
        ("shared_access_key_enabled ", "shared_access_keys_enabled", "no 'shared_access_keys"),
        ("sftp_enabled                      = false", 'sftp_enabled = "no"', "is no bool"),
        ("  immutability_period_in_days           = var.retention_days\n", "", "is missing"),
        ('azurerm_storage_container.this["archive"].id', "azurerm_storage_container.that.id",
         "not declared"),
        ("encryption.id", "encryption.ids", "has no ids"),
        ("var.archive_account", "var.archive_acount", "only used"),
        ("    days = delete_retention_policy", "    day = delete_retention_policy", "no 'day'"),
    ],
)  # fmt: skip
def test_the_check_sees_a_slip(said: str, instead: str, fault: str) -> None:
    assert said in OURS.texts["main.tf"]
    texts = {**OURS.texts, "main.tf": OURS.texts["main.tf"].replace(said, instead)}
    faults = Configuration(texts).faults()
    assert any(fault in found for found in faults), faults


def test_the_provider_is_of_the_version_that_was_looked_at() -> None:
    (block,) = OURS.blocks["terraform"]
    (providers,) = block["required_providers"]
    assert providers["azurerm"]["version"] == f"~> {PROVIDER.rpartition('.')[0]}"


def test_the_example_fits_the_variables() -> None:
    text = (FOLDER / "terraform.tfvars.example").read_text("utf-8")
    given = set(re.findall(r"^(\w+)\s*=", text, re.M))
    assert given <= set(OURS.variables)
    assert {name for name, found in OURS.variables.items() if "default" not in found} <= given


def resource(address: str) -> dict[str, Any]:
    return dict(OURS.resources[address])


def test_locking_is_a_persons_act_and_is_left_alone_afterwards() -> None:
    policy = resource("azurerm_storage_container_immutability_policy.archive")
    assert policy["locked"] is False
    assert policy["lifecycle"][0]["ignore_changes"] == ["locked"]
    assert not any("lock" in name for name in OURS.variables)


def test_an_account_is_closed_to_keys_to_the_public_and_to_old_tls() -> None:
    account = resource("azurerm_storage_account.this")
    wanted = {
        "min_tls_version": "TLS1_2", "https_traffic_only_enabled": True,
        "shared_access_key_enabled": False, "allow_nested_items_to_be_public": False,
        "cross_tenant_replication_enabled": False, "public_network_access_enabled": False,
        "infrastructure_encryption_enabled": True,
    }  # fmt: skip
    assert wanted.items() <= account.items()
    assert account["blob_properties"][0]["versioning_enabled"] is False


def test_what_must_not_go_is_held_by_terraform_and_by_azure() -> None:
    for address in ("azurerm_storage_account.this", "azurerm_key_vault.this",
                    "azurerm_key_vault.covers",
                    "azurerm_key_vault_key.archive",
                    "azurerm_storage_container_immutability_policy.archive"):  # fmt: skip
        assert resource(address)["lifecycle"][0]["prevent_destroy"] is True, address
    locks = [found for name, found in OURS.resources.items() if "management_lock" in name]
    assert {lock["lock_level"] for lock in locks} == {"CanNotDelete"}
    assert len(locks) == 3


def bicep_roles() -> dict[str, tuple[set[str], set[str]]]:
    """Role → (actions, data actions), as Bicep has them."""
    found = {}
    for symbol in templates()["roles"].resources.values():
        properties = symbol["body"].get("properties", {})
        if "permissions" in properties:
            (given,) = properties["permissions"]
            name = properties["roleName"].removeprefix("audit-stream ").partition(" (")[0]
            found[name] = (set(given["actions"]), set(given["dataActions"]))
    return found


def test_roles_are_bicep_s_roles() -> None:
    """But for that of version-level WORM, for which the provider has no argument."""
    roles = {
        name: tuple(
            {each.replace("${local.containers}", "${containers}") for each in given[key]}
            for key in ("actions", "data_actions")
        )
        for name, given in OURS.locals["roles"].items()
    }
    assert len(roles) == 8
    assert roles == {k: v for k, v in bicep_roles().items() if k != "version holder"}
    assert OURS.locals["containers"] == "Microsoft.Storage/storageAccounts/blobServices/containers"


def test_the_worker_gets_the_same_roles_in_the_same_places() -> None:
    given = {(name.partition(" of ")[0], scope) for name, scope in OURS.locals["worker"].items()}
    store, account = "azurerm_storage_container.this", "azurerm_storage_account.this"
    assert {(name, re.sub(r'[${}"\\]', "", scope)) for name, scope in given} == {
        ("writer", f"{store}[archive].id"), ("writer", f"{store}[subjects].id"),
        ("posture reader", f"{account}[archive].id"),
        ("posture reader", f"{account}[subjects].id"),
    }  # fmt: skip
