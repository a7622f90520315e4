"""The Bicep template: what Azure's types know of it, and what the archive needs of it.

Not run here, for want of the compiler and of Azure: `az bicep build`, what-if, a deployment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.bicep import AZURE, Template, parse, templates

ALL = templates()
MAIN, ACCOUNT, ROLES, VAULT = (ALL[name] for name in ("main", "account", "roles", "vault"))
every_file = pytest.mark.parametrize("name", ALL)
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"


def body(template: Template, symbol: str) -> Mapping[str, Any]:
    return template.resources[symbol]["body"]


@every_file
def test_azures_types_know_every_property(name: str) -> None:
    assert ALL[name].faults() == []


@pytest.mark.parametrize(
    ("said", "instead", "fault"),
    [
        ("isVersioningEnabled: versioning", "isVersioningOn: versioning", "no 'isVersioningOn'"),
        ("kind: 'StorageV2'", "kind: 'StorageV3'", "'StorageV3' is none of"),
        ("allowSharedKeyAccess: false", "allowSharedKeyAccess: 0", "0 is no bool"),
        ("  kind: 'StorageV2'\n", "", "'kind' is missing"),
        ("containers@2024-01-01", "containers@2024-01-02", "no table of"),
    ],
)
def test_the_check_sees_a_slip(said: str, instead: str, fault: str) -> None:
    text = ACCOUNT.path.read_text("utf-8")
    assert said in text
    faults = parse(ACCOUNT.path, text.replace(said, instead)).faults()
    assert any(fault in found for found in faults), faults


@every_file
def test_modules_are_given_what_they_take(name: str) -> None:
    for path, given in ALL[name].modules.values():
        module = ALL[path.stem]
        assert set(given) <= set(module.parsed["parameters"])
        assert module.required <= set(given)


@every_file
def test_outputs_taken_from_a_module_are_there(name: str) -> None:
    template = ALL[name]
    for module, output in re.findall(r"\b(\w+)\.outputs\.(\w+)", template.path.read_text("utf-8")):
        path, _ = template.modules[module]
        assert output in ALL[path.stem].parsed["outputs"]


@every_file
def test_every_parameter_and_variable_is_used(name: str) -> None:
    template = ALL[name]
    text = template.path.read_text("utf-8")
    for kind in ("parameters", "variables"):
        for symbol in template.parsed.get(kind, {}):
            assert len(re.findall(rf"(?<!')\b{symbol}\b", text)) > 1, symbol


def test_the_example_parameters_fit() -> None:
    text = (AZURE / "main.parameters.example.json").read_text("utf-8")
    given = set(json.loads(text)["parameters"])
    assert given <= set(MAIN.parsed["parameters"])
    assert MAIN.required <= given


def test_an_account_is_closed_to_keys_to_the_public_and_to_old_tls() -> None:
    properties = body(ACCOUNT, "account")["properties"]
    wanted = {
        "minimumTlsVersion": "TLS1_2", "supportsHttpsTrafficOnly": True,
        "allowSharedKeyAccess": False, "allowBlobPublicAccess": False,
        "allowCrossTenantReplication": False, "publicNetworkAccess": "Disabled",
        "isHnsEnabled": False, "isSftpEnabled": False, "isNfsV3Enabled": False,
    }  # fmt: skip
    assert wanted.items() <= properties.items()
    assert properties["encryption"]["keySource"] == "Microsoft.Keyvault"


def test_the_subjects_container_cannot_keep_versions() -> None:
    _, archive = MAIN.modules["archive"]
    _, subjects = MAIN.modules["subjects"]
    assert subjects["versionLevelWorm"] is False
    assert archive["accountName"] != subjects["accountName"]


def test_the_policy_is_created_unlocked_and_nothing_locks_it() -> None:
    policy = body(ACCOUNT, "policy")["properties"]
    assert policy["allowProtectedAppendWrites"] is False
    assert set(policy) == {
        "immutabilityPeriodSinceCreationInDays", "allowProtectedAppendWrites",
        "allowProtectedAppendWritesAll",
    }  # fmt: skip
    for template in ALL.values():
        assert "deploymentScripts" not in template.path.read_text("utf-8")


def test_versions_are_only_for_the_second_profile() -> None:
    _, archive = MAIN.modules["archive"]
    assert archive["versioning"] == archive["versionLevelWorm"] == "versionLevelWorm"
    assert MAIN.parsed["parameters"]["versionLevelWorm"]["default"] is False


def role(name: str) -> tuple[set[str], set[str]]:
    """(actions, data actions) of a role definition."""
    (given,) = body(ROLES, name)["properties"]["permissions"]
    containers = ROLES.parsed["variables"]["containers"]["value"]

    def spelled(key: str) -> set[str]:
        return {each.replace("${containers}", containers) for each in given[key]}

    return spelled("actions"), spelled("dataActions")


def test_the_worker_can_add_and_do_nothing_else() -> None:
    actions, data = role("writer")
    assert data == {f"{BLOBS}/read", f"{BLOBS}/add/action"}
    assert actions == {"Microsoft.Storage/storageAccounts/blobServices/containers/read"}


def test_who_may_replace_or_delete_and_where() -> None:
    """Subject objects are erased; in the archive only what has expired is removed, nothing
    replaced."""
    roles = {name for name in ROLES.resources if "permissions" in str(ROLES.resources[name])}
    for right, who in (
        ("write", {"privacyOfficer", "privateKeeper"}),
        ("delete", {"privacyOfficer", "privateKeeper", "disposer"}),
        ("deleteBlobVersion/action", {"disposer"}),
    ):  # fmt: skip
        assert {name for name in roles if f"{BLOBS}/{right}" in role(name)[1]} == who
    for name, scope in (("privacyOfficer", "subjectsStore"), ("disposer", "archiveStore")):
        given = [each for each, found in ROLES.resources.items()
                 if f"'{name}'" in str(found["body"].get("properties"))]  # fmt: skip
        assert {body(ROLES, each)["scope"] for each in given} == {scope}
    files = [each["body"] for each in ROLES.resources.values()
             if "'privateKeeper'" in str(each["body"].get("properties"))]  # fmt: skip
    assert {each["properties"]["principalId"] for each in files} == {"gatewayId", "holderId"}
    for each in files:
        assert each["scope"] == "subjectsStore"
        assert "condition" in each["properties"]  # by which they touch no subject object


def test_looking_changes_nothing_and_no_role_has_a_wildcard() -> None:
    actions, data = role("postureReader")
    assert data == set()
    assert all(action.endswith("/read") for action in actions)
    assert "*" not in ROLES.path.read_text("utf-8")


def test_the_policy_officer_locks_and_holds_and_sees_no_object() -> None:
    actions, data = role("policyOfficer")
    assert data == set()
    last = {action.rpartition("containers/")[2] for action in actions}
    assert {"immutabilityPolicies/lock/action", "setLegalHold/action"} <= last
    assert not any(action.endswith("delete") for action in actions)


def test_what_the_worker_is_given() -> None:
    given = {
        (each["scope"], str(each["properties"]["roleDefinitionId"]))
        for found in ROLES.resources.values()
        if (each := found["body"]).get("properties", {}).get("principalId") == "workerId"
    }
    assert {scope for scope, _ in given} == {"archiveStore", "archive", "subjects", "subjectsStore"}
    assert len(given) == 4


def test_both_accounts_and_the_key_are_kept_from_deletion_and_logged() -> None:
    for template, scope in ((ACCOUNT, "account"), (VAULT, "vault")):
        lock = body(template, "keep")
        assert lock["scope"] == scope
        assert lock["properties"]["level"] == "CanNotDelete"
    categories = {log["category"] for log in body(ACCOUNT, "logs")["properties"]["logs"]}
    assert categories == {"StorageRead", "StorageWrite", "StorageDelete"}


def test_the_key_cannot_be_purged() -> None:
    properties = body(VAULT, "vault")["properties"]
    assert properties["enablePurgeProtection"] is True
    assert properties["softDeleteRetentionInDays"] == 90
