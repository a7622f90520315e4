"""Which action of Azure's roles each request to the double takes, on what.

As "Permissions for calling data operations" in the reference of the blob service has it, and the
operations of Microsoft.Storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.support.blobs import authority
from tests.support.faulty.log import Seen

CONTAINERS = "Microsoft.Storage/storageAccounts/blobServices/containers"
_BLOBS = f"{CONTAINERS}/blobs"
_MANAGED = "/subscriptions/"
_HOLDS = ("setLegalHold", "clearLegalHold")


class Asked(NamedTuple):
    """`name`: of the blob, empty for a container's own."""

    action: str
    container: str
    name: str = ""


def asked(requests: Iterable[Seen], standing: Iterable[tuple[str, str]]) -> Iterator[Asked]:
    """What they take; `standing`: container and name of each blob that was there before."""
    there = set(standing)
    for each in requests:
        if each.path.startswith(_MANAGED):
            yield _managed(each)
        elif not each.path.endswith(authority.PATH):
            _, _, container, *rest = each.path.split("/", 3)
            name = "".join(rest)
            yield Asked(_action(each, name, (container, name) in there), container, name)
            if each.method == "PUT" and each.status == 201:
                there.add((container, name))


def _managed(each: Seen) -> Asked:
    container, _, act = each.path.partition("/containers/")[2].partition("/")
    if each.method == "GET" and container and not act:
        return Asked(f"{CONTAINERS}/read", container)
    if each.method == "POST" and act in _HOLDS:
        return Asked(f"{CONTAINERS}/{act}/action", container)
    raise AssertionError(f"no action is known of {each}")


def _action(each: Seen, name: str, is_there: bool) -> str:
    comp = each.query.get("comp", "")
    match each.method, comp:
        case (("GET" | "HEAD"), ("" | "list")):
            own = not name and comp != "list"
            return f"{CONTAINERS}/read" if own else f"{_BLOBS}/read"
        case "PUT", ("legalhold" | "immutabilityPolicies"):
            return f"{_BLOBS}/immutableStorage/runAsSuperUser/action"
        case "PUT", "":  # who may only add is refused a name that is taken
            return f"{_BLOBS}/write" if is_there and each.status == 201 else f"{_BLOBS}/add/action"
        case "DELETE", "":
            return f"{_BLOBS}/delete"
    raise AssertionError(f"no action is known of {each}")
