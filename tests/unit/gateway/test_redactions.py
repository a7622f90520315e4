"""Requests to erase over the API: looked up by the index, filed, approved by a second caller, never
with anybody's identity in a file, a log line, the journal or a URL."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.counting import OPENING, opening_name
from audit_stream.erasure.request import State
from audit_stream.erasure.requests import Requests
from audit_stream.gateway.caller import SCOPES
from audit_stream.gateway.redaction_routes import OPENING as OPENING_ROUTE
from audit_stream.gateway.redaction_routes import REDACTIONS
from audit_stream.ports import Versioned
from audit_stream.settings import Settings
from audit_stream.stores.subjects import FileSubjectStore
from tests.support.asking import Asked, serving
from tests.support.eventually import until
from tests.support.indexing import CUSTOMERS, PUBS, customer_of
from tests.support.raw_http import connect
from tests.unit.gateway.conftest import installed, log_all
from tests.unit.gateway.test_adoption import CUSTOMER, KEY, MESSAGE, TENANT, subjects
from tests.unit.gateway.test_answers import verified

BASIS = "GDPR Art.17(1)(b)"
THEIRS = [
    pub for pub in PUBS if pub["platform_tenant_id"] == TENANT and customer_of(pub) == CUSTOMER
]
OTHER = next(tenant for tenant, _ in CUSTOMERS if tenant != TENANT)
REFS = (f"DSR-{n}" for n in itertools.count())


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    settings = installed(tmp_path_factory.mktemp("office"))
    asyncio.run(log_all(settings))
    with serving(settings) as found:
        yield found


@pytest.fixture(scope="module")
def officer(office: Asked) -> dict[str, str]:
    return office.token("*", scopes=("audit:redact",))


@pytest.fixture(scope="module")
def second(office: Asked) -> dict[str, str]:
    return office.token("*", scopes=("audit:redact",))


def file(office: Asked, token: dict[str, str], **asked: Any) -> httpx.Response:
    usual = {"customer": CUSTOMER, "basis": BASIS} if "message" not in asked else {"basis": BASIS}
    body = {**usual, "request_ref": next(REFS), **asked}
    return office.client.post(REDACTIONS, json=body, headers=token)


def item(office: Asked, token: dict[str, str], ref: str, what: str = "", method: str = "GET",
         ) -> httpx.Response:  # fmt: skip
    return office.client.request(method, f"{REDACTIONS}/{ref}{what}", headers=token)


def requests(settings: Settings) -> Requests:
    return Requests(PrivateObjects(subjects(settings), KEY))


def test_it_is_looked_up_and_filed(office: Asked, officer: dict[str, str]) -> None:
    answer = file(office, officer, platform_tenant_id=TENANT, request_ref="DSR-first")
    assert answer.status_code == 201
    assert answer.headers["etag"] == '"filed"'
    body = verified(office, answer)
    times = sorted(pub["ingestion_timestamp"] for pub in THEIRS)
    assert body["dry_run"] == {
        "records": len(THEIRS), "tenants": [TENANT], "first": times[0], "last": times[-1],
        "holds": [], "holds_complete": True,
        "spellings": [
            {"number": 0, "reason": "as typed", "records": len(THEIRS), "chosen": True}
        ],
    }  # fmt: skip
    request = body["request"]
    assert (request["state"], request["basis"], request["kind"]) == ("filed", BASIS, "customer")
    assert request["found"]["records"] == len(THEIRS)
    again = file(office, officer, platform_tenant_id=TENANT, request_ref="DSR-first")
    assert (again.status_code, again.json()["request"]) == (200, request)
    shown = item(office, officer, "DSR-first")
    assert (shown.json()["request"], shown.json()["certificate"]) == (request, None)


def test_without_a_tenant_all_that_the_caller_sees_are_looked_at(office: Asked) -> None:
    same = {tenant for tenant, customer in CUSTOMERS if customer == CUSTOMER}
    assert len(same) > 1
    every = file(office, office.token("*")).json()["dry_run"]
    assert set(every["tenants"]) == same
    for tenant in same:
        mine = file(office, office.token(tenant)).json()["dry_run"]
        assert mine["tenants"] == [tenant]
        assert mine["records"] < every["records"]
    refused = file(office, office.token(OTHER), platform_tenant_id=TENANT)
    assert refused.status_code == 403


def test_a_dry_run_files_nothing_and_tells_other_spellings_by_number(
    office: Asked, officer: dict[str, str]
) -> None:
    typed = f" {CUSTOMER.lower()}"
    before = office.client.get(REDACTIONS, headers=officer).json()["requests"]
    looked = office.client.post(
        REDACTIONS, json={"customer": typed, "dry_run": True, "platform_tenant_id": TENANT},
        headers=officer,
    )  # fmt: skip
    assert looked.status_code == 200
    body = looked.json()
    assert body["request"] is None
    assert body["dry_run"]["records"] == 0
    assert office.client.get(REDACTIONS, headers=officer).json()["requests"] == before
    assert CUSTOMER not in looked.text
    assert typed not in looked.text
    (other,) = [each for each in body["dry_run"]["spellings"] if each["number"]]
    assert (other["records"], other["chosen"]) == (len(THEIRS), False)
    for variants in ([other["number"]], [CUSTOMER]):
        taken = file(office, officer, customer=typed, platform_tenant_id=TENANT, variants=variants)
        assert taken.json()["dry_run"]["records"] == len(THEIRS)


def test_by_message_it_is_whoever_the_message_was_for(
    office: Asked, officer: dict[str, str]
) -> None:
    found = file(office, officer, message=MESSAGE, platform_tenant_id=TENANT)
    assert found.json()["dry_run"]["records"] == len(THEIRS)
    assert file(office, officer, message="nobody").status_code == 422
    elsewhere = file(office, office.token(OTHER), message=MESSAGE)
    assert elsewhere.status_code == 422
    assert elsewhere.json()["detail"] == "the archive has no such message"


def test_a_second_caller_approves(
    office: Asked, officer: dict[str, str], second: dict[str, str]
) -> None:
    ref = file(office, officer).json()["request"]["request_ref"]
    own = item(office, officer, ref, "/approval", "POST")
    assert own.status_code == 422
    assert "filed the request" in own.json()["detail"]
    assert item(office, officer, ref).json()["status"] == "filed"
    assert item(office, second, ref, "/approval", "POST").json()["status"] == "approved"
    assert item(office, second, ref, "/approval", "POST").json()["status"] == "approved"
    assert item(office, second, ref, method="DELETE").json()["status"] == "withdrawn"
    assert item(office, second, ref, "/approval", "POST").status_code == 422


def test_a_reference_is_one_request_s(office: Asked, officer: dict[str, str]) -> None:
    ref = file(office, officer).json()["request"]["request_ref"]
    for other in ({"basis": "CCPA 1798.105"}, {"customer": "CUST-other"}, {"message": MESSAGE}):
        answer = file(office, officer, request_ref=ref, **other)
        assert answer.status_code == 422
        assert "another request" in answer.json()["detail"]


def test_what_became_of_it_is_told_to_who_asks_again(
    office: Asked, officer: dict[str, str]
) -> None:
    for asked in ({"customer": CUSTOMER}, {"message": MESSAGE, "platform_tenant_id": TENANT}):
        ref = file(office, officer, **asked).json()["request"]["request_ref"]
        asyncio.run(requests(office.settings).change(ref, lambda each: replace(
            each, state=State.DONE, tags=(), certificate=7, certificate_id="rc-7", epoch=2,
        )))  # fmt: skip
        again = file(office, officer, request_ref=ref, **asked)
        assert (again.status_code, again.headers["etag"]) == (200, '"done"')
        certificate = {"number": 7, "certificate_id": "rc-7"}
        assert again.json()["request"]["certificate"] == certificate


OPENED = {"hashes": ["ab" * 32], "secret": "cd" * 32, "v": OPENING}


def keep_opening(office: Asked, ref: str) -> None:
    private = PrivateObjects(subjects(office.settings), KEY)
    asyncio.run(private.create(opening_name(ref), OPENED))


def carry_out(office: Asked, ref: str) -> None:
    asyncio.run(requests(office.settings).change(ref, lambda each: replace(
        each, state=State.DONE, tags=(), certificate=0, certificate_id="rc-0", epoch=2,
    )))  # fmt: skip


def test_the_opening_is_given_once_to_who_asked(
    office: Asked, officer: dict[str, str], second: dict[str, str]
) -> None:
    ref = file(office, officer).json()["request"]["request_ref"]
    keep_opening(office, ref)
    assert item(office, officer, ref, "/opening").status_code == 404  # it is not carried out
    carry_out(office, ref)
    assert item(office, second, ref, "/opening").status_code == 403
    given = item(office, officer, ref, "/opening")
    assert (given.status_code, given.json()["opening"]) == (200, OPENED)
    assert verified(office, given)
    assert item(office, officer, ref, "/opening").status_code == 404


def test_who_has_gone_before_it_came_does_not_take_the_opening(
    office: Asked, officer: dict[str, str], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """A proxy whose time is up closes its connection."""
    ref = file(office, officer).json()["request"]["request_ref"]
    keep_opening(office, ref)
    carry_out(office, ref)
    there, gone, get = threading.Event(), threading.Event(), FileSubjectStore.get

    async def late(store: FileSubjectStore, name: str) -> Versioned | None:
        if name == opening_name(ref):
            there.set()
            await asyncio.to_thread(gone.wait, 30)
        return await get(store, name)

    monkeypatch.setattr(FileSubjectStore, "get", late)
    head = f"GET {REDACTIONS}/{ref}/opening HTTP/1.1\r\nHost: x\r\nAuthorization: "
    with connect(office.url) as proxy:
        proxy.sendall(f"{head}{officer['Authorization']}\r\n\r\n".encode())
        assert there.wait(30)
        before = office.connections
    until(lambda: office.connections < before)
    answered = len(office.journal())
    with caplog.at_level("INFO", "audit_stream"):
        gone.set()
        until(lambda: f"GET {OPENING_ROUTE} 200" in caplog.text)
    given = item(office, officer, ref, "/opening")
    assert (given.status_code, given.json()["opening"]) == (200, OPENED)
    assert [each["query"] for each in office.journal()[answered:]] == ["opening"] * 2
    assert item(office, officer, ref, "/opening").status_code == 404


def test_another_tenant_s_request_is_unknown(office: Asked) -> None:
    mine = office.token(TENANT)
    ref = file(office, mine).json()["request"]["request_ref"]
    both, other = office.token(TENANT, OTHER), office.token(OTHER)
    assert item(office, both, ref).status_code == 200
    unknown = item(office, other, "DSR-nobody").json()["detail"]
    for what, method in (("", "GET"), ("/approval", "POST"), ("", "DELETE"), ("/opening", "GET")):
        answer = item(office, other, ref, what, method)
        assert (answer.status_code, answer.json()["detail"]) == (404, unknown)
    listed = office.client.get(REDACTIONS, params={"limit": 100}, headers=other).json()
    assert ref not in [each["request_ref"] for each in listed["requests"]]


def test_the_list_is_in_pages_the_newest_first(office: Asked) -> None:
    token = office.token(TENANT)
    refs = [file(office, token).json()["request"]["request_ref"] for _ in range(5)]
    found, cursor = [], {}
    while True:
        page = office.client.get(REDACTIONS, params={"limit": 2, **cursor}, headers=token).json()
        found += [each["request_ref"] for each in page["requests"]]
        if page["cursor"] is None:
            break
        cursor = {"cursor": page["cursor"]}
    assert found[:5] == refs[::-1]
    assert len(found) == len(set(found))
    for query in ({"cursor": "x"}, {"limit": 0}, {"limit": 101}, {"from": "2026"}):
        answer = office.client.get(REDACTIONS, params=query, headers=token)
        assert answer.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {}, {"customer": "c"}, {"customer": "c", "address": "a", "dry_run": True},
        {"customer": "", "dry_run": True}, {"customer": "c\n", "dry_run": True},
        {"customer": "c", "dry_run": "yes"}, {"customer": "c", "dry_run": True, "from": "2026"},
        {"customer": "c", "request_ref": "a b", "basis": BASIS},
        {"customer": "c", "request_ref": "a/b", "basis": BASIS},
        {"customer": "c", "request_ref": "jane@example.com", "basis": BASIS},
        {"customer": "c", "request_ref": "r", "basis": "\x00"},
        {"customer": "c", "dry_run": True, "variants": [True]},
        {"customer": "c", "dry_run": True, "variants": ["x"] * 201},
        {"customer": "c", "dry_run": True, "variants": [-1]},
        {"customer": "c", "dry_run": True, "variants": [1, 1.5]},
        {"customer": "c", "dry_run": True, "variants": [1, True, [1]]},
        {"customer": "c", "dry_run": True, "variants": "x"},
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(
    office: Asked, officer: dict[str, str], body: dict[str, Any]
) -> None:
    assert office.client.post(REDACTIONS, json=body, headers=officer).status_code == 400


@pytest.mark.parametrize("scope", [None, *SCOPES])
def test_each_route_takes_the_scope_to_redact(office: Asked, scope: str | None) -> None:
    ref = file(office, office.token("*")).json()["request"]["request_ref"]
    token = office.token("*", scopes=() if scope is None else (scope,))
    asked = [
        file(office, token), office.client.get(REDACTIONS, headers=token),
        item(office, token, ref), item(office, token, ref, "/approval", "POST"),
        item(office, token, ref, "/opening"), item(office, token, ref, method="DELETE"),
    ]  # fmt: skip
    statuses = [each.status_code for each in asked]
    lacking = ["lacks the scope" in each.text for each in asked]
    if scope == "audit:redact":
        assert statuses == [201, 200, 200, 200, 403, 200]  # an opening is for who filed it
        assert not any(lacking)
    else:
        assert statuses == [403] * 6
        assert all(lacking)
    nobody = [file(office, {}), item(office, {}, ref), office.client.get(REDACTIONS)]
    assert [each.status_code for each in nobody] == [401] * 3


def test_nobody_is_named_in_files_logs_or_the_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = installed(tmp_path)
    asyncio.run(log_all(settings))
    typed = [f" {CUSTOMER}", f"{CUSTOMER.lower()} ", "+4915112345678"]
    with caplog.at_level("DEBUG"), serving(settings) as office:
        officer, second = office.token("*"), office.token("*")
        ref = file(office, officer, customer=typed[0], variants=[typed[1]]).json()["request"][
            "request_ref"
        ]  # fmt: skip
        file(office, officer, customer=typed[2])
        address = {"address": typed[2], "basis": BASIS, "request_ref": "DSR-address"}
        assert office.client.post(REDACTIONS, json=address, headers=officer).status_code == 201
        item(office, second, ref, "/approval", "POST")
        acts = [(each["kind"], each["query"], each["status"]) for each in office.journal()]
        written = b"".join(
            path.read_bytes() for folder in (settings.journal_dir, settings.index_dir,
            settings.archive_path.parent / "archive-subjects" / "private")
            for path in folder.rglob("*") if path.is_file()
        )  # fmt: skip
    assert acts == [
        ("redact", "file", 200), ("redact", "file", 200), ("redact", "file", 200),
        ("redact", "approve", 200),
    ]  # fmt: skip
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert f"POST {REDACTIONS}/{{request_ref}}/approval 200" in said
    for hidden in (*typed, CUSTOMER, ref):
        ours = "\n".join(
            r.getMessage() for r in caplog.records if r.name.startswith("audit_stream")
        )
        assert hidden not in ours
        assert hidden.encode() not in written
