"""Which roles of Azure can remove or overwrite what is stored, or take the right to.

Permissions are ``actions`` and ``dataActions`` less ``notActions`` and ``notDataActions``, with
``*`` for any text; case does not matter. Source: "Understand Azure role definitions", Microsoft
Learn. Another assignment may give what this one leaves out: each is judged alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_STORAGE = "Microsoft.Storage/storageAccounts"
_BLOBS = f"{_STORAGE}/blobServices/containers/blobs"
#: What each operation amounts to, by the words of a finding.
_DATA = {
    "delete objects": (f"{_BLOBS}/delete", f"{_BLOBS}/deleteBlobVersion/action",
                       f"{_BLOBS}/permanentDelete/action"),
    "overwrite objects": (f"{_BLOBS}/write", f"{_BLOBS}/move/action"),
    "change retention of versions": (f"{_BLOBS}/immutableStorage/runAsSuperUser/action",),
}  # fmt: skip
_ACTIONS = {
    "delete containers": (f"{_STORAGE}/blobServices/containers/delete",),
    "change or delete an unlocked policy": (
        f"{_STORAGE}/blobServices/containers/immutabilityPolicies/write",
        f"{_STORAGE}/blobServices/containers/immutabilityPolicies/delete",
    ),
    "clear legal holds": (f"{_STORAGE}/blobServices/containers/clearLegalHold/action",),
    "delete the account": (f"{_STORAGE}/delete",),
    "read the account's keys": (f"{_STORAGE}/listKeys/action",),
    "grant roles": ("Microsoft.Authorization/roleAssignments/write",),
}


def powers(permissions: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """What a role with these permissions can do to an archive, in words; empty for a harmless one.

    `permissions`: as in a role definition's ``properties.permissions``.
    """
    found = []
    for part in permissions:
        data = part.get("dataActions") or (), part.get("notDataActions") or ()
        actions = part.get("actions") or (), part.get("notActions") or ()
        found += [power for power, names in _DATA.items() if _any(names, *data)]
        found += [power for power, names in _ACTIONS.items() if _any(names, *actions)]
    return tuple(dict.fromkeys(found))


def _any(names: Sequence[str], given: Sequence[str], less: Sequence[str]) -> bool:
    return any(_matches(name, given) and not _matches(name, less) for name in names)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(_regex(pattern).fullmatch(name) for pattern in patterns)


def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.IGNORECASE)
