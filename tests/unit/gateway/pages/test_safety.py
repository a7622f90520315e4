"""What a page lets through: sign-in, forms of others, headers, tenants, scopes, the journal."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

import pytest

from audit_stream.gateway.pages.routes import PATHS
from audit_stream.gateway.tokens import TokenFile
from tests.support.asking import serving
from tests.support.sample import TENANTS
from tests.support.visiting import Visitor, forms, tags, text_of
from tests.unit.gateway.conftest import installed
from tests.unit.gateway.pages.conftest import Site

GETS = ("/", "/overview", "/archive", "/quarantine", "/access", "/report", "/report.csv")
WHOLE = ("/overview", "/archive", "/quarantine", "/access")
POSTS = ("/look-up", "/bundle", "/sign-out")
OFFICE_GETS = ("/compliance", "/compliance/request", "/holds")
OFFICE_POSTS = (
    "/compliance/look", "/compliance/file", "/compliance/approve", "/compliance/withdraw",
    "/compliance/opening", "/holds/file", "/holds/release", "/holds/approve",
)  # fmt: skip
CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


def test_without_a_session_there_is_only_the_way_in(site: Site) -> None:
    visitor = site.visitor()
    office = {*OFFICE_GETS, *OFFICE_POSTS}
    assert {*GETS, *POSTS, *office, "/sign-in", "/style.css"} == set(PATHS)
    for path in (*GETS, *OFFICE_GETS):
        answer = visitor.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert answer.content == b""
    for path in (*POSTS, *OFFICE_POSTS):
        answer = visitor.post(path, {"form": "x", "message_uuid": site.sample.read})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert visitor.get("/sign-in").status_code == visitor.get("/style.css").status_code == 200


def test_a_wrong_token_is_told_so_and_nowhere_repeated(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    visitor, wrong = site.visitor(), "ast_wrong-token"
    with caplog.at_level(logging.DEBUG):
        answer = visitor.submit(visitor.get("/sign-in"), "/sign-in", token=wrong)
    assert answer.status_code == 401
    assert "not known here" in text_of(answer)
    assert wrong not in answer.text + caplog.text
    assert "audit-session" not in "".join(answer.headers.get_list("set-cookie"))
    assert "www-authenticate" not in answer.headers  # no dialogue of the browser's own


def test_signing_in_gives_a_new_id_and_signing_out_ends_it(site: Site) -> None:
    visitor, token = site.visitor(), site.asked.token()
    visitor.bring_session("chosen-by-someone-else")
    visitor.sign_in(token)
    first = visitor.client.cookies["audit-session"]
    assert first != "chosen-by-someone-else"
    visitor.sign_in(token)
    second = visitor.client.cookies["audit-session"]
    assert second != first
    old = site.visitor()
    old.bring_session(first)
    assert old.get("/").status_code == 303
    answer = visitor.submit(visitor.get("/"), "/sign-out")
    assert answer.headers["location"] == "/sign-in"
    old.bring_session(second)
    assert old.get("/").status_code == 303


def test_a_revoked_token_ends_its_sessions(site: Site) -> None:
    visitor = site.signed_in()
    token_id = re.search(r"Signed in as (\w+)", text_of(visitor.get("/")))
    assert token_id
    TokenFile(site.asked.settings.gateway_tokens).revoke(token_id[1])
    assert visitor.get("/").status_code == 303


@pytest.mark.parametrize("action", ["/look-up", "/bundle", "/sign-out"])
def test_a_form_must_be_of_the_session_and_the_site(site: Site, action: str) -> None:
    visitor, other = site.signed_in(), site.signed_in()
    page = visitor.get("/")
    fields = {"message_uuid": site.sample.read} if action != "/sign-out" else {}
    good = forms(page, "/sign-out")[0].fields["form"]
    theirs = forms(other.get("/"), "/sign-out")[0].fields["form"]
    for form in ({"x": "y"}, {"form": ""}, {"form": theirs}, {"form": good[:-1]}, {"form": "ü"}):
        answer = visitor.post(action, fields | form)
        assert answer.status_code == 403
        assert "not of your session" in text_of(answer)
    for header in ("cross-site", "same-site"):
        answer = visitor.post(action, {**fields, "form": good}, **{"Sec-Fetch-Site": header})
        assert answer.status_code == 403
    assert visitor.get("/").status_code == 200  # none of it signed anybody out
    answer = visitor.post(action, {**fields, "form": good})
    assert answer.status_code == (303 if action == "/sign-out" else 200)


def test_nobody_can_be_signed_in_by_someone_else(site: Site) -> None:
    token = site.asked.token()["Authorization"].split()[1]
    attacker, victim = site.visitor(), site.visitor()
    form = forms(attacker.get("/sign-in"), "/sign-in")[0].fields["form"]
    victim.get("/sign-in")
    for fields in ({"token": token}, {"token": token, "form": form}):
        answer = victim.post("/sign-in", fields)
        assert (answer.status_code, "expired" in text_of(answer)) == (403, True)
    own = forms(victim.get("/sign-in"), "/sign-in")[0].fields["form"]
    answer = victim.post(
        "/sign-in", {"token": token, "form": own}, **{"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 403
    bare = site.visitor()  # keeps no cookie
    answer = bare.post("/sign-in", {"token": token, "form": form})
    assert (answer.status_code, "over https only" in text_of(answer)) == (403, True)
    assert victim.get("/").status_code == 303


def test_what_is_no_form_is_refused(site: Site, visitor: Visitor) -> None:
    good = forms(visitor.get("/"), "/look-up")[0].fields["form"]
    url = "/look-up"
    json = visitor.client.post(url, json={"form": good, "message_uuid": "x"})
    assert json.status_code == 415
    for content, status in (
        (f"form={good}&form={good}", 400), (f"form={good}&x=1", 400), (f"form={good}", 400),
        ("a&b&c", 400), ("%ff=%ff", 400), ("a=1&" * 30, 400), ("a=" + "x" * 20_000, 413),
    ):  # fmt: skip
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        assert visitor.client.post(url, content=content, headers=kind).status_code == status
    answer = visitor.post(f"{url}?message_uuid=x", {"form": good})
    assert answer.status_code == 400
    assert visitor.client.put(url).status_code == 405


def all_pages(site: Site, visitor: Visitor) -> dict[str, Any]:
    """Every kind of page there is."""
    found = {path: visitor.get(path) for path in GETS}
    found |= {path: visitor.get(path) for path in OFFICE_GETS}
    found["look"] = visitor.submit(
        found["/compliance"], "/compliance/look", kind="customer", who=site.sample.customer
    )
    found["sign-in"] = site.visitor().get("/sign-in")
    found["message"] = visitor.look_up(message_uuid=site.sample.read)
    found["conflict"] = visitor.look_up(message_uuid=site.sample.contradicted)
    found["unknown"] = visitor.look_up(message_uuid="nobody")
    found["refused"] = visitor.look_up(message_uuid="")
    found["page"] = visitor.look_up(
        customer_external_id=site.sample.customer, platform_tenant_id=site.sample.tenant
    )
    return found


def test_every_page_has_the_headers_and_nothing_that_runs(site: Site, visitor: Visitor) -> None:
    for name, page in all_pages(site, visitor).items():
        headers = page.headers
        assert headers["cache-control"] == "no-store", name
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == (
            "no-referrer" if name == "/report.csv" else "same-origin"
        )
        assert len(headers.get_list("content-security-policy")) == 1
        if name == "/report.csv":
            continue
        assert headers["content-security-policy"] == CSP, name
        for tag, attributes in tags(page):
            assert tag not in ("script", "iframe", "object", "embed", "base"), name
            assert not any(each == "style" or each.startswith("on") for each in attributes)
            for link in ("href", "src", "action"):
                target = attributes.get(link) or "/"
                assert target.startswith(("/", "#", "data:,")), (name, target)
                assert not target.startswith("//")


def test_what_is_entered_is_shown_as_text_only(visitor: Visitor) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}'
    answer = visitor.look_up(message_uuid=evil)
    assert answer.status_code == 404
    assert "<script" not in answer.text
    assert "<img" not in answer.text
    assert forms(answer, "/look-up")[0].fields["message_uuid"] == evil


def test_ids_are_in_no_address_and_no_log(
    site: Site, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        visitor.look_up(message_uuid=site.sample.read, customer_external_id=site.sample.customer)
        visitor.look_up(customer_external_id="CUST-99999", platform_tenant_id=TENANTS[0])
        visitor.get("/sign-in")  # an answer's line comes behind it, and before the next one's
    said = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("audit_stream"))
    assert "POST /look-up 200" in said
    assert "POST /look-up 404" in said
    for secret in (site.sample.read, site.sample.customer, "CUST-99999"):
        assert secret not in said
    for entry in site.asked.journal()[-2:]:
        assert "CUST" not in str(entry)


def test_every_look_is_in_the_journal(site: Site, visitor: Visitor) -> None:
    before = len(site.asked.journal())
    visitor.get("/")
    assert len(site.asked.journal()) == before  # an empty form shows nothing
    page = visitor.look_up(message_uuid=site.sample.read)
    visitor.look_up(message_uuid="nobody")
    visitor.submit(page, "/bundle")
    visitor.look_up(
        customer_external_id=site.sample.customer, platform_tenant_id=site.sample.tenant
    )
    for path in GETS[1:]:
        visitor.get(path)
    found = [
        (each["kind"], each["query"], each["status"], each["messages"], each["found"] > 0)
        for each in site.asked.journal()[before:]
    ]
    read = site.sample.read
    assert found == [
        ("read", "message", 200, [read], True), ("read", "message", 404, [], False),
        ("export", "message", 200, [read], True), ("read", "customer", 200, [], True),
        *(("view", path[1:].partition(".")[0], 200, [], False) for path in GETS[1:]),
    ]  # fmt: skip


def test_what_cannot_be_written_down_is_not_shown(
    site: Site, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visitor.get("/")

    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    answer = visitor.submit(page, "/look-up", message_uuid=site.sample.read)
    assert answer.status_code == 503
    assert "tenant_" not in text_of(answer).partition("Signed in")[0]
    assert [visitor.get(path).status_code for path in GETS[1:]] == [503] * 6


def test_nobody_comes_in_unseen(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor, token = site.visitor(), site.asked.token()["Authorization"].split()[1]
    page = visitor.get("/sign-in")

    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails)
        answer = visitor.submit(page, "/sign-in", token=token)
        assert answer.status_code == 503
    assert visitor.get("/").status_code == 303


def test_a_refused_page_counts_once_against_the_rate(tmp_path: Path) -> None:
    settings = installed(tmp_path).model_copy(update={"gateway_rate": 2.0})  # four at once
    with serving(settings) as asked:
        visitor = Visitor(asked.url)
        visitor.sign_in(asked.token("tenant_prod_01"))
        for path in WHOLE[:2]:
            refused = visitor.get(path)
            assert (refused.status_code, "Signed in as" in text_of(refused)) == (403, True)
        visitor.client.close()


@pytest.mark.parametrize("held", [*TENANTS])
def test_a_tenant_s_token_sees_that_tenant_alone(site: Site, held: str) -> None:
    visitor = site.signed_in(held)
    owner = text_of(site.signed_in().look_up(message_uuid=site.sample.read))
    mine = held in owner
    answer = visitor.look_up(message_uuid=site.sample.read)
    unknown = visitor.look_up(message_uuid="00000000-0000-4000-8000-000000000000")
    assert answer.status_code == (200 if mine else 404)
    if not mine:
        blank = [re.sub(r'value="[^"]*"', "", each.text) for each in (answer, unknown)]
        assert re.sub(r"\d\d:\d\d:\d\d", "", blank[0]) == re.sub(r"\d\d:\d\d:\d\d", "", blank[1])
    assert forms(visitor.get("/"), "/look-up")[0].fields.keys() == {
        "form", "message_uuid", "customer_external_id", "carrier_message_id",
    }  # fmt: skip
    for path in WHOLE:
        refused = visitor.get(path)
        assert (refused.status_code, "every tenant" in text_of(refused)) == (403, True)
    other = next(tenant for tenant in TENANTS if tenant != held)
    for page in (visitor.get("/report"), visitor.get("/report.csv")):
        assert held in page.text
        assert other not in page.text


def test_scopes_are_heeded_and_said(site: Site) -> None:
    reader = site.signed_in(scopes=("audit:read",))
    page = reader.look_up(message_uuid=site.sample.read)
    assert forms(page, "/bundle") == []
    assert "may not download evidence bundles" in text_of(page)
    form = forms(page, "/look-up")[0].fields["form"]
    answer = reader.post("/bundle", {"form": form, "message_uuid": site.sample.read})
    assert (answer.status_code, "audit:export" in text_of(answer)) == (403, True)
    exporter = site.signed_in(scopes=("audit:export",))
    assert [exporter.get(path).status_code for path in GETS] == [403] * len(GETS)
    form = forms(exporter.get("/"), "/sign-out")[0].fields["form"]
    answer = exporter.post("/look-up", {"form": form, "message_uuid": site.sample.read})
    assert answer.status_code == 403
    answer = exporter.post("/bundle", {"form": form, "message_uuid": site.sample.read})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
