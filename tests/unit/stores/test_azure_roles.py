"""Which roles can remove or overwrite: Azure's own wildcards and exceptions."""

from __future__ import annotations

import pytest

from audit_stream.stores.azure_roles import powers

BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
WRITER = {"actions": ["Microsoft.Storage/storageAccounts/blobServices/containers/read"],
          "dataActions": [f"{BLOBS}/read", f"{BLOBS}/add/action"]}  # fmt: skip


@pytest.mark.parametrize(
    ("permissions", "expected"),
    [
        ([], set()),
        ([WRITER], set()),
        ([{"actions": ["*/read"], "dataActions": [f"{BLOBS}/read"]}], set()),
        ([{"dataActions": [f"{BLOBS}/delete"]}], {"delete objects"}),
        ([{"dataActions": [f"{BLOBS}/WRITE"]}], {"overwrite objects"}),
        ([{"dataActions": ["*"], "notDataActions": [f"{BLOBS}/*"]}], set()),
        ([{"dataActions": [f"{BLOBS}/immutableStorage/runAsSuperUser/action"]}],
         {"change retention of versions"}),
        ([{"actions": ["Microsoft.Storage/*/delete"]}],
         {"delete containers", "change or delete an unlocked policy", "delete the account"}),
        ([{"actions": ["*"], "notActions": ["Microsoft.Authorization/*"]}],
         {"delete containers", "change or delete an unlocked policy", "clear legal holds",
          "delete the account", "read the account's keys"}),
        # What one part leaves out another gives.
        ([{"actions": ["*"], "notActions": ["*"]},
          {"actions": ["Microsoft.Storage/storageAccounts/listKeys/action"]}],
         {"read the account's keys"}),
    ],
)  # fmt: skip
def test_powers(permissions: list[dict[str, list[str]]], expected: set[str]) -> None:
    assert set(powers(permissions)) == expected


def test_a_role_with_everything_is_told_once_for_each_power() -> None:
    found = powers([{"actions": ["*"], "dataActions": ["*"]}, {"actions": ["*"]}])
    assert len(found) == len(set(found)) == 9
