"""The pages of officers: an erasure from the form to its certificate, a hold from both ends."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.counting import OPENING, opening_name
from audit_stream.erasure.request import State
from audit_stream.erasure.requests import Requests
from audit_stream.evidence.register import Register
from audit_stream.evidence.signing import LineSigner
from audit_stream.holds.filing import Holds
from audit_stream.holds.hold import Hold
from audit_stream.stores.subjects import FileSubjectStore
from tests.support import golden
from tests.support.registers import hold, put, redaction
from tests.support.sample import NAME, TENANTS
from tests.support.visiting import Form, Visitor, forms, text_of
from tests.unit.gateway.pages.conftest import Site

REFS = (f"DSR-{n}" for n in itertools.count())


def looked(site: Site, visitor: Visitor, who: str = "", kind: str = "customer"):
    page = visitor.get("/compliance")
    return visitor.submit(page, "/compliance/look", kind=kind, who=who or site.sample.customer)


def filed(site: Site, visitor: Visitor) -> str:
    """A request's reference."""
    ref = next(REFS)
    answer = visitor.submit(looked(site, visitor), "/compliance/file", request_ref=ref)
    assert (answer.status_code, answer.headers["location"]) == (
        303, f"/compliance/request?ref={ref}",
    )  # fmt: skip
    return ref


def shown(visitor: Visitor, ref: str):
    return visitor.get("/compliance/request", ref=ref)


def private(site: Site) -> PrivateObjects:
    folder = site.sample.settings.archive_path.parent / "archive-subjects"
    return PrivateObjects(FileSubjectStore(folder), golden.KEYRING.index_key)


def change(site: Site, ref: str, **changes: object) -> None:
    asyncio.run(Requests(private(site)).change(ref, lambda each: replace(each, **changes)))


def test_a_dry_run_shows_numbers_and_files_nothing(site: Site, visitor: Visitor) -> None:
    page = looked(site, visitor)
    assert "records would be erased" in text_of(page)
    assert site.sample.tenant in text_of(page)
    assert forms(page, "/compliance/file")[0].fields["who"] == site.sample.customer
    none = looked(site, visitor, "CUST-nobody")
    assert "0 records would be erased" in text_of(none)
    other = looked(site, visitor, site.sample.customer.lower())
    assert "other spellings" in text_of(other)
    ref = next(REFS)
    (choice,) = [
        name for name in forms(other, "/compliance/file")[0].fields if name.startswith("variant-")
    ]
    visitor.submit(other, "/compliance/file", request_ref=ref, **{choice: "yes"})
    assert "0, none" not in text_of(shown(visitor, ref))


def test_a_second_person_approves(site: Site, visitor: Visitor) -> None:
    ref, second = filed(site, visitor), site.signed_in()
    own = shown(visitor, ref)
    assert "another person approves it" in text_of(own)
    assert forms(own, "/compliance/approve") == []
    form = forms(own, "/sign-out")[0].fields["form"]
    answer = visitor.post("/compliance/approve", {"form": form, "request_ref": ref})
    assert (answer.status_code, "second" in text_of(answer)) == (422, False)
    assert "filed the request" in text_of(answer)
    answer = second.submit(shown(second, ref), "/compliance/approve")
    assert answer.status_code == 303
    assert "State: approved" in text_of(shown(visitor, ref))
    assert visitor.submit(shown(visitor, ref), "/compliance/withdraw").status_code == 303
    assert "State: withdrawn" in text_of(shown(visitor, ref))


def test_the_list_says_what_is_due_and_why_it_waits(site: Site, visitor: Visitor) -> None:
    late, held = filed(site, visitor), filed(site, visitor)
    yesterday = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
    change(site, late, due=yesterday)
    change(site, held, state=State.HELD, held_by=("h-0123456789abcdef",))
    text = text_of(visitor.get("/compliance"))
    assert f"{yesterday}, overdue" in text
    assert "approved, held back" in text
    assert "h-0123456789abcdef" in text_of(shown(visitor, held))


def test_a_certificate_is_shown_with_what_proves_it(site: Site, visitor: Visitor) -> None:
    ref, other = filed(site, visitor), site.signed_in()
    target = {"at": "2026-11-25T12:00:00.000Z", "target": "siem-1",
              "receipt": "excused by <b>jdoe</b>: scrapped"}  # fmt: skip
    said = redaction(0, request_ref=ref, epochs=[1, 2], targets=[target])
    signer = LineSigner(golden.KEYRING.segment_key or b"")
    [entry] = asyncio.run(
        put(site.sample.store, Register.REDACTIONS, said.said(), archive=NAME, signer=signer)
    )
    change(site, ref, state=State.DONE, tags=(), certificate=entry.number, epoch=2,
           certificate_id=said.certificate_id)  # fmt: skip
    value = {"hashes": [], "secret": "ab" * 32, "v": OPENING}
    asyncio.run(private(site).create(opening_name(ref), value))
    page = shown(visitor, ref)
    assert f"Certificate {said.certificate_id}" in text_of(page)
    assert "signed by its key" in text_of(page)
    assert "not in the archive’s log yet" in text_of(page)
    assert said.commitment in page.text
    assert "Told to erase: siem-1" in text_of(page)
    assert "excused by &lt;b&gt;jdoe&lt;/b&gt;: scrapped" in page.text
    assert forms(shown(other, ref), "/compliance/opening") == []
    given = visitor.submit(page, "/compliance/opening")
    assert (given.json(), "attachment" in given.headers["content-disposition"]) == (value, True)
    assert visitor.submit(page, "/compliance/opening").status_code == 404


def forms_of(visitor: Visitor, action: str, hold_id: str) -> list[Form]:
    """Of one hold: other tests have theirs on the page."""
    found = forms(visitor.get("/holds"), action)
    return [each for each in found if each.fields["hold"] == hold_id]


def test_a_hold_is_declared_and_ended_by_two(site: Site, visitor: Visitor) -> None:
    page = visitor.get("/holds")
    said = {"kind": "customer", "who": "CUST-held", "matter": "LIT-1", "reason": "ORD-1",
            "custodian": "desk", "approved_by": "max"}  # fmt: skip
    assert visitor.submit(page, "/holds/file", **said).status_code == 303
    text = text_of(visitor.get("/holds"))
    assert "holds; to be declared" in text
    assert "CUST-held" not in text
    assert "1 legal hold stands against it" in text_of(looked(site, visitor, "CUST-held"))
    [mine] = [each for each in asyncio.run(Holds(private(site)).all()) if each.matter == "LIT-1"]
    asyncio.run(Holds(private(site)).change(mine.hold_id, Hold.declared))
    [release] = forms_of(visitor, "/holds/release", mine.hold_id)
    answer = visitor.post("/holds/release", {**release.fields, "reason": "DONE"})
    assert answer.status_code == 303
    assert forms_of(visitor, "/holds/approve", mine.hold_id) == []
    second = site.signed_in()
    [approve] = forms_of(second, "/holds/approve", mine.hold_id)
    assert second.post("/holds/approve", approve.fields).status_code == 303
    text = text_of(visitor.get("/holds"))
    assert "filed by" in text
    assert "active; its release is to be declared" in text


def test_a_lost_hold_is_shown_and_ended_as_any_other(site: Site, visitor: Visitor) -> None:
    lost = hold(77, matter="LIT-LOST")
    signer = LineSigner(golden.KEYRING.segment_key or b"")
    asyncio.run(put(site.sample.store, Register.HOLDS, lost.said(), archive=NAME, signer=signer))
    page = visitor.get("/holds")
    assert "active; its private file is gone" in text_of(page)
    assert "everybody is held" not in text_of(page)  # a message is named in the register
    [form] = forms_of(visitor, "/holds/release", lost.hold_id)
    answer = visitor.post("/holds/release", {**form.fields, "reason": "END-1"})
    assert answer.status_code == 303
    assert "its release waits for a second person" in text_of(visitor.get("/holds"))


@pytest.mark.parametrize(
    ("scope", "name", "path"),
    [("audit:redact", "Erasures", "/compliance"), ("audit:hold", "Holds", "/holds")],
)
def test_each_page_takes_its_scope(site: Site, scope: str, name: str, path: str) -> None:
    for scopes in (("audit:read",), ("audit:read", scope)):
        visitor = site.signed_in(scopes=scopes)
        may = scope in scopes
        assert visitor.get(path).status_code == (200 if may else 403)
        assert (f" {name} " in text_of(visitor.get("/"))) == may
        form = forms(visitor.get("/"), "/sign-out")[0].fields["form"]
        act = "/compliance/look" if path == "/compliance" else "/holds/file"
        answer = visitor.post(act, {"form": form, "kind": "customer", "who": "x"})
        assert answer.status_code == (403 if not may else 200 if path == "/compliance" else 400)
        elsewhere = visitor.post(act, {"form": form}, **{"Sec-Fetch-Site": "cross-site"})
        assert elsewhere.status_code == 403
        assert visitor.post(act, {"form": "x", "who": "x"}).status_code == 403


def test_another_tenant_s_request_is_not_shown(site: Site) -> None:
    tenant = site.sample.tenant
    mine, other = site.signed_in(tenant), site.signed_in(*(set(TENANTS) - {tenant}))
    ref = filed(site, mine)
    assert shown(mine, ref).status_code == 200
    assert shown(other, ref).status_code == 404
    assert ref not in text_of(other.get("/compliance"))


def test_whom_it_is_about_is_written_nowhere(site: Site, visitor: Visitor) -> None:
    before = len(site.asked.journal())
    looked(site, visitor, "CUST-SECRET-1")
    visitor.submit(
        looked(site, visitor, "CUST-SECRET-1"), "/compliance/file", request_ref=next(REFS)
    )
    acts = [(each["kind"], each["query"]) for each in site.asked.journal()[before:]]
    assert acts == [("redact", each) for each in ("list", "look", "list", "look", "file")]
    for path in site.sample.settings.archive_path.parent.rglob("*"):
        assert not path.is_file() or b"CUST-SECRET-1" not in path.read_bytes()
