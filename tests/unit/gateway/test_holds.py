"""Legal holds over the API: filed, standing against erasures at once, released by two callers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from audit_stream.app.holds import open_holds
from audit_stream.gateway.caller import SCOPES, Caller
from audit_stream.gateway.hold_routes import HOLDS
from audit_stream.gateway.holding import is_caller
from audit_stream.gateway.redaction_routes import REDACTIONS
from audit_stream.holds.filing import Holds
from audit_stream.holds.hold import Hold
from tests.support.asking import Asked, serving
from tests.support.indexing import CUSTOMERS, PUBS
from tests.unit.gateway.conftest import installed, log_all
from tests.unit.gateway.test_adoption import CUSTOMER, MESSAGE, TENANT, private
from tests.unit.gateway.test_answers import verified

PUB = next(pub for pub in PUBS if pub["message_uuid"] == MESSAGE)
TOPIC, GENERATION, PARTITION, OFFSET = PUB["source"].split("/")
MATTERS = (f"LIT-{n}" for n in itertools.count())


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    settings = installed(tmp_path_factory.mktemp("holds"))
    asyncio.run(log_all(settings))
    with serving(settings) as found:
        yield found


@pytest.fixture
def counsel(office: Asked) -> dict[str, str]:
    return office.token("*", scopes=("audit:hold",))


def declare(office: Asked, token: dict[str, str], **asked: Any) -> httpx.Response:
    body = {"matter": next(MATTERS), "custodian": "desk", "reason": "ORD-4", "approved_by": "max",
            **asked}  # fmt: skip
    return office.client.post(HOLDS, json=body, headers=token)


def act(office: Asked, token: dict[str, str], hold: str, what: str, **body: str) -> httpx.Response:
    return office.client.post(f"{HOLDS}/{hold}/{what}", json=body or None, headers=token)


def against(office: Asked, **asked: Any) -> list[str]:
    """Holds that stand against an erasure."""
    body = {"dry_run": True, "platform_tenant_id": TENANT, **(asked or {"customer": CUSTOMER})}
    found = office.client.post(REDACTIONS, json=body, headers=office.token("*"))
    return list(found.json()["dry_run"]["holds"])


def carry_out(office: Asked, hold: str) -> None:
    """As `hold run` does once it is in the register."""
    asyncio.run(Holds(private(office.settings)).change(hold, Hold.declared))


@pytest.mark.parametrize(
    "what",
    [
        {"customer": CUSTOMER}, {"customer": ["x", CUSTOMER], "platform_tenant_id": TENANT},
        {"message": MESSAGE}, {"workflow": [PUB["originating_workflow_id"]]},
        {"range": f"{TOPIC}/{GENERATION}/{PARTITION}/0-{OFFSET}"},
    ],
)  # fmt: skip
def test_what_is_filed_stands_against_an_erasure_at_once(
    office: Asked, counsel: dict[str, str], what: dict[str, Any]
) -> None:
    before = against(office)
    answer = declare(office, counsel, **what)
    assert answer.status_code == 201
    hold = verified(office, answer)["hold"]
    assert (hold["state"], hold["release"]) == ("filed", None)
    assert CUSTOMER not in answer.text
    assert sorted(against(office)) == sorted([*before, hold["hold_id"]])
    filed = office.client.post(REDACTIONS, headers=office.token("*"), json={
        "customer": CUSTOMER, "request_ref": f"DSR-{hold['hold_id']}", "basis": "GDPR Art.17",
    })  # fmt: skip
    assert hold["hold_id"] in filed.json()["dry_run"]["holds"]


def test_what_is_not_held_is_not_stood_against(office: Asked, counsel: dict[str, str]) -> None:
    other = next(customer for tenant, customer in CUSTOMERS if tenant == TENANT != CUSTOMER)
    hold = declare(office, counsel, customer=f"{other}-nobody").json()["hold"]["hold_id"]
    assert hold not in against(office, customer=CUSTOMER)


def test_the_same_again_finds_the_first(office: Asked, counsel: dict[str, str]) -> None:
    first = declare(office, counsel, customer="twice", matter="LIT-twice")
    again = declare(office, counsel, customer="twice", matter="LIT-twice")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["hold"]["hold_id"] == again.json()["hold"]["hold_id"]


def test_a_release_takes_a_second_caller(office: Asked, counsel: dict[str, str]) -> None:
    second = office.token("*", scopes=("audit:hold",))
    hold = declare(office, counsel, message="m-of-release").json()["hold"]["hold_id"]
    early = act(office, counsel, hold, "release", reason="SETTLED-9")
    assert (early.status_code, "not declared yet" in early.json()["detail"]) == (422, True)
    assert act(office, second, hold, "approval").status_code == 422  # nothing is to be approved
    carry_out(office, hold)
    left = act(office, counsel, hold, "release", reason="SETTLED-9").json()
    assert (left["status"], left["hold"]["release"]["reason"]) == ("leaving", "SETTLED-9")
    own = act(office, counsel, hold, "approval")
    assert (own.status_code, "second person" in own.text) == (422, False)
    assert act(office, second, hold, "approval").json()["status"] == "approved"
    assert act(office, second, hold, "release", reason="a b").status_code == 400
    listed = office.client.get(HOLDS, headers=counsel).json()["holds"]
    (mine,) = [each for each in listed if each["hold_id"] == hold]
    assert (mine["state"], mine["declared"]) == ("approved", False)  # the register has none yet


def declare_in_register(office: Asked) -> None:
    """The entry, as whoever has the segment key appends it."""
    asyncio.run(_declare_in_register(office))


async def _declare_in_register(office: Asked) -> None:
    async with open_holds(office.settings) as keeper:
        await keeper.carry_out_filed()


def test_a_lost_hold_is_seen_and_released_by_two(office: Asked, counsel: dict[str, str]) -> None:
    second, of_one = (office.token("*", scopes=("audit:hold",)), office.token(TENANT))
    hold = declare(office, counsel, customer="of a lost hold").json()["hold"]["hold_id"]
    declare_in_register(office)
    kept = asyncio.run(private(office.settings).get(f"private/holds/{hold}"))
    assert kept is not None
    asyncio.run(private(office.settings).remove(kept))
    assert state_of(office, counsel, hold) == ("lost", True)
    assert act(office, of_one, hold, "release", reason="END").status_code == 404
    assert act(office, second, hold, "approval").status_code == 422
    assert act(office, counsel, hold, "release", reason="END").json()["status"] == "leaving"
    assert act(office, counsel, hold, "approval").status_code == 422
    assert hold in against(office)  # everybody is held until it is in the register
    assert act(office, second, hold, "approval").json()["status"] == "approved"
    declare_in_register(office)
    assert hold not in against(office)
    kept = asyncio.run(private(office.settings).get(f"private/holds/{hold}"))
    assert kept is not None
    asyncio.run(private(office.settings).remove(kept))  # lost once more, and over
    assert state_of(office, counsel, hold) == ("released", False)


def state_of(office: Asked, token: dict[str, str], hold: str) -> tuple[str, bool]:
    listed = office.client.get(HOLDS, headers=token).json()["holds"]
    (mine,) = [each for each in listed if each["hold_id"] == hold]
    return mine["state"], mine["declared"]


def test_a_hold_takes_two_and_a_place_every_tenant(office: Asked, counsel: dict[str, str]) -> None:
    me = office.token("*")
    mine = declare(office, me, customer="somebody").json()["hold"]["declared_by"]
    assert declare(office, me, customer="another", approved_by=mine).status_code == 422
    of_one = office.token(TENANT)
    for place in ({"message": MESSAGE}, {"workflow": "w"}, {"range": "t/1/0/0-9"}):
        assert declare(office, of_one, **place).status_code == 403
    assert declare(office, of_one, customer="c", platform_tenant_id="other").status_code == 403
    own = declare(office, of_one, customer=CUSTOMER).json()["hold"]["hold_id"]
    seen = office.client.get(HOLDS, headers=of_one).json()["holds"]
    assert [each["hold_id"] for each in seen] == [own]
    others = declare(office, counsel, customer="c").json()["hold"]["hold_id"]
    for what, body in (("release", {"reason": "r"}), ("approval", {})):
        assert act(office, of_one, others, what, **body).status_code == 404
        assert act(office, of_one, "h-nothing", what, **body).status_code == 404


@pytest.mark.parametrize(
    ("caller", "approver", "same"),
    [("jwt:lea", "lea", True), ("jwt:lea", "jwt:lea", True), ("t-1", "t-1", True),
     ("jwt:lea", "Lea", True),
     ("jwt:lea", "max", False), ("t-1", "jwt:t-1", False)],
)  # fmt: skip
def test_who_comes_by_jwt_does_not_approve_under_the_bare_subject(
    caller: str, approver: str, same: bool
) -> None:
    assert is_caller(Caller(id=caller, tenants=("*",), scopes=()), approver) is same


@pytest.mark.parametrize(
    "asked",
    [
        {}, {"customer": "c", "message": "m"}, {"customer": []}, {"customer": [""]},
        {"message": "a b"}, {"message": "jane@example.com"}, {"range": "t/1/0/9-0"},
        {"message": "m", "platform_tenant_id": TENANT}, {"customer": "c", "matter": "Jane Doe"},
        {"customer": "c", "approved_by": "jane@example.com"}, {"customer": "c", "reason": None},
        {"customer": "c", "other": 1},
    ],
)  # fmt: skip
def test_what_cannot_be_declared_is_refused(
    office: Asked, counsel: dict[str, str], asked: dict[str, Any]
) -> None:
    assert declare(office, counsel, **asked).status_code == 400


def test_whoever_stands_for_nobody_cannot_be_held(office: Asked, counsel: dict[str, str]) -> None:
    answer = declare(office, counsel, customer=" ")
    assert (answer.status_code, "stands for nobody" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize("scope", [None, *SCOPES])
def test_each_route_takes_the_scope_to_hold(office: Asked, scope: str | None) -> None:
    token = office.token("*", scopes=() if scope is None else (scope,))
    hold = declare(office, office.token("*"), customer="scopes").json()["hold"]["hold_id"]
    statuses = [
        declare(office, token, customer="c").status_code,
        office.client.get(HOLDS, headers=token).status_code,
        act(office, token, hold, "release", reason="r").status_code,
        act(office, token, hold, "approval").status_code,
    ]
    assert statuses == ([201, 200, 422, 422] if scope == "audit:hold" else [403] * 4)
    nobody = [declare(office, {}), office.client.get(HOLDS), act(office, {}, hold, "approval")]
    assert [each.status_code for each in nobody] == [401] * 3


def test_who_is_held_is_in_no_file_and_no_journal(office: Asked, counsel: dict[str, str]) -> None:
    before = len(office.journal())
    declare(office, counsel, customer="SECRET-CUSTOMER", platform_tenant_id=TENANT)
    office.client.get(HOLDS, headers=counsel)
    acts = [(each["kind"], each["query"], each["tenants"]) for each in office.journal()[before:]]
    assert acts == [("hold", "file", [TENANT]), ("hold", "list", [])]
    folder = office.settings.archive_path.parent
    for path in folder.rglob("*"):
        assert not path.is_file() or b"SECRET-CUSTOMER" not in path.read_bytes()
