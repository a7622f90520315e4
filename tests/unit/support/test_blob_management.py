"""The double's management plane keeps Azure's rules: what is locked can only grow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from multidict import CIMultiDict

from tests.support.blobs.authority import STORAGE
from tests.support.blobs.authority import answer as authority_answer
from tests.support.blobs.management import GROUP, SUBSCRIPTION, Management
from tests.support.blobs.model import Container
from tests.support.blobs.routes import Incoming
from tests.support.blobs.service import BlobService

PATH = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Storage/"
    "storageAccounts/acc/blobServices/default/containers/audit"
)
POLICY = f"{PATH}/immutabilityPolicies/default"


class Plane:
    """A management plane with one container, and a client that may do everything."""

    def __init__(self) -> None:
        self.service = BlobService()
        self.container: Container = self.service.add_container("audit", "clw", days=10)
        self.service.access.register_workload("owner", "secret", "owner", "carw")
        self._management = Management({"acc": self.service})

    def ask(
        self, method: str, path: str, days: int | None = None, *, match: str | None = None,
        token: str = "token-of-owner-for-management",
    ) -> tuple[int, str]:  # fmt: skip
        headers = CIMultiDict({"Authorization": f"Bearer {token}"})
        if match is not None:
            headers["If-Match"] = match
        given = {} if days is None else {"immutabilityPeriodSinceCreationInDays": days}
        body = json.dumps({"properties": given}).encode()
        request = Incoming(method, path, {"api-version": "2024-01-01"}, headers, body)
        found = self._management.answer(request)
        document: dict[str, Any] = json.loads(found.body)
        return found.status, document.get("error", {}).get("code", "")


def test_a_locked_policy_can_only_grow_and_five_times() -> None:
    plane = Plane()
    assert plane.ask("PUT", POLICY, 5)[0] == 409
    assert plane.ask("DELETE", POLICY, match="*")[0] == 409
    assert plane.ask("POST", f"{POLICY}/lock", match="*")[0] == 409
    assert plane.ask("POST", f"{POLICY}/extend", 10, match="*")[0] == 409
    for days in range(11, 16):
        assert plane.ask("POST", f"{POLICY}/extend", days, match="*")[0] == 200
    assert plane.ask("POST", f"{POLICY}/extend", 16, match="*") == (409, "TooManyExtensions")
    assert plane.ask("DELETE", PATH)[0] == 409
    assert (plane.container.days, plane.container.locked) == (15, True)


def test_a_change_must_name_the_etag_that_stands() -> None:
    plane = Plane()
    plane.container.unlock()
    before = plane.container.policy_etag
    assert plane.ask("PUT", POLICY, 5)[0] == 200
    assert plane.ask("POST", f"{POLICY}/lock", match=before) == (412, "PreconditionFailed")
    assert plane.ask("POST", f"{POLICY}/lock") == (400, "MissingRequiredHeader")
    assert plane.ask("POST", f"{POLICY}/lock", match=plane.container.policy_etag)[0] == 200


@pytest.mark.parametrize("days", [0, 146_001])
def test_a_period_has_limits(days: int) -> None:
    plane = Plane()
    plane.container.unlock()
    assert plane.ask("PUT", POLICY, days)[0] == 400


def test_only_a_token_for_it_opens_it() -> None:
    plane = Plane()
    assert plane.ask("GET", PATH)[0] == 200
    for token in ("token-of-owner", "unknown", ""):
        assert plane.ask("GET", PATH, token=token)[0] == 401
    plane.service.access.register_workload("reader", "secret", "reader", "c")
    reader = "token-of-reader-for-management"
    assert plane.ask("GET", PATH, token=reader)[0] == 200
    assert plane.ask("PUT", POLICY, 5, token=reader)[0] == 403
    assert plane.ask("GET", PATH.replace("/acc/", "/other/"))[0] == 404
    assert plane.ask("GET", PATH.replace(GROUP, "other"))[0] == 404


def token(plane: Plane, **form: str) -> dict[str, Any]:
    body = "&".join(f"{name}={value}" for name, value in form.items()).encode()
    request = Incoming("POST", "/tenant/oauth2/v2.0/token", {}, {}, body)
    found: dict[str, Any] = json.loads(authority_answer(plane.service.access, request).body)
    return found


def test_the_authority_gives_a_token_for_one_audience() -> None:
    plane = Plane()
    known = {"client_id": "owner", "client_assertion": "secret"}
    assert token(plane, **known, scope=STORAGE)["access_token"] == "token-of-owner"
    other = token(plane, **known, scope="https://elsewhere/.default")["access_token"]
    assert other == "token-of-owner-for-management"
    for wrong in ({"client_assertion": "guess"}, {"client_id": "other"}):
        assert "access_token" not in token(plane, **(known | wrong), scope=STORAGE)
