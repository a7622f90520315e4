"""What the API answers over a real socket: verified, signed, and nothing that is not asked for."""

from __future__ import annotations

import re
from typing import Any

import httpx
import orjson
import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from audit_stream.evidence.batch import decode_batch
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.encoding import b64u
from audit_stream.evidence.record import integrity_hash
from audit_stream.evidence.segment import decode
from tests.support.asking import Asked
from tests.support.indexing import CUSTOMERS, PUBS, by_message, customer_of

THIRTEEN = [
    "audit_id", "message_uuid", "customer_external_id", "communication_type", "delivery_status",
    "carrier_receipt_timestamp", "carrier_error_code", "originating_workflow_id",
    "originating_agent_id", "regulatory_tag", "platform_tenant_id", "ingestion_timestamp",
    "integrity_hash",
]  # fmt: skip


@pytest.fixture(scope="module")
def token(asked: Asked) -> dict[str, str]:
    return asked.token("*")


def verified(asked: Asked, answer: httpx.Response) -> dict[str, Any]:
    """The body, once its signature is checked with the published keys."""
    document: dict[str, Any] = answer.json()
    keys = KeySet.import_key_set(asked.client.get("/.well-known/jwks.json").json())
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    head, empty, signature = document["signature"].split(".")
    assert empty == ""
    payload = canonical(unsigned)
    found = jws.deserialize_compact(f"{head}.{b64u(payload)}.{signature}", keys)
    assert found.payload == payload
    assert found.headers() == {
        "alg": "ES256", "kid": found.headers()["kid"], "typ": "audit-response+jws",
    }  # fmt: skip
    return document


def latest(tenant: str, message: str) -> dict[str, Any]:
    pubs = [p for p in PUBS if (p["platform_tenant_id"], p["message_uuid"]) == (tenant, message)]
    return max(pubs, key=lambda pub: pub["revision"])


def test_every_message_is_answered_with_its_effective_record(
    asked: Asked, token: dict[str, str]
) -> None:
    for tenant, message in by_message():
        answer = asked.get(token, message_uuid=message, platform_tenant_id=tenant)
        found = verified(asked, answer)
        pub = latest(tenant, message)
        record = found["audit_record"]
        assert sorted(record) == sorted(THIRTEEN)
        assert record["customer_external_id"] == customer_of(pub)
        assert record["integrity_hash"] == f"sha256:{integrity_hash(pub).hex()}"
        for name in set(THIRTEEN) - {"customer_external_id", "integrity_hash"}:
            assert record[name] == pub[name]
        assert found["status"] == "verified"
        assert [each["source"] for each in found["history"]] == by_message()[tenant, message]


def test_each_record_says_where_it_is_proven(asked: Asked, token: dict[str, str]) -> None:
    tenant, message = next(iter(by_message()))
    found = verified(asked, asked.get(token, message_uuid=message, platform_tenant_id=tenant))
    folder = asked.settings.archive_path
    leaves = [
        leaf
        for path in sorted((folder / "log").iterdir())
        for leaf in decode_batch(path.read_bytes(), path.name).leaves
    ]
    for each in found["history"]:
        evidence = each["evidence"]
        segment = decode((folder / evidence["segment"]).read_bytes(), "x")
        line = orjson.loads(segment.record_lines()[evidence["record_index"]])
        assert line["integrity_hash"] == each["integrity_hash"]
        assert leaves[evidence["log_index"]].name == evidence["segment"]
    assert found["as_of"]["size"] == len(leaves)
    assert found["as_of"]["anchored"] is False


def test_the_two_ids_must_belong_together(asked: Asked, token: dict[str, str]) -> None:
    (_, customer), messages = next(iter(CUSTOMERS.items()))
    message = messages[0][1]
    good = asked.get(token, message_uuid=message, customer_external_id=customer)
    assert good.status_code == 200
    wrong = asked.get(token, message_uuid=message, customer_external_id="somebody else")
    unknown = asked.get(token, message_uuid="unknown", customer_external_id=customer)
    nowhere = asked.get(token, message_uuid=message, platform_tenant_id="elsewhere")
    bodies = [verified_problem(asked, each) for each in (wrong, unknown, nowhere)]
    for body in bodies:
        del body["verification_timestamp"], body["signature"]
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["archived_through"].keys() == {pub["source"].split("/")[0] for pub in PUBS}
    assert customer not in wrong.text


def verified_problem(asked: Asked, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    return verified(asked, answer)


def test_a_customer_alone_gives_pages_of_messages(asked: Asked, token: dict[str, str]) -> None:
    (tenant, customer), messages = max(CUSTOMERS.items(), key=lambda item: len(item[1]))
    assert len(messages) > 2
    found, cursor = [], None
    for _ in range(len(messages)):
        more = {} if cursor is None else {"cursor": cursor}
        answer = asked.post(
            token, customer_external_id=customer, platform_tenant_id=tenant, limit=2, **more
        )
        page = verified(asked, answer)
        found += [each["audit_record"]["message_uuid"] for each in page["messages"]]
        if (cursor := page["cursor"]) is None:
            break
    assert found == [message for _, message in messages]


def test_a_token_sees_its_tenants_only(asked: Asked) -> None:
    tenants = {tenant for tenant, _ in by_message()}
    for tenant in tenants:
        headers = asked.token(tenant)
        for owner, message in by_message():
            answer = asked.get(headers, message_uuid=message, platform_tenant_id=owner)
            assert answer.status_code == (200 if owner == tenant else 404)


def test_a_tenant_that_a_token_names_twice_is_asked_once(asked: Asked) -> None:
    tenant, message = next(iter(by_message()))
    headers = asked.token(tenant, tenant)
    assert asked.get(headers, message_uuid=message).status_code == 200
    (_, customer), _ = next(item for item in CUSTOMERS.items() if item[0][0] == tenant)
    assert asked.post(headers, customer_external_id=customer).status_code == 200


def test_without_a_good_token_nothing_is_answered(asked: Asked) -> None:
    expired = asked.token("*", expires=1)
    for headers in ({}, {"Authorization": "Basic x"}, {"Authorization": "Bearer"},
                    {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer a.b.c"},
                    expired):  # fmt: skip
        answer = asked.get(headers, message_uuid="x")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    lacking = asked.token("*", scopes=("audit:hold",))
    assert asked.get(lacking, message_uuid="x").status_code == 403


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({}, "name message_uuid"),
        ({"message_uuid": ""}, "1 to 256 characters"),
        ({"message_uuid": "x" * 257}, "1 to 256 characters"),
        ({"message_uuid": "a\x00b"}, "none of them control"),
        ({"message_uuid": "x", "from": "2026-01-01"}, "clocks of carriers"),
        ({"created_since": "2026-01-01"}, "clocks of carriers"),
        ({"message_uuid": "x", "colour": "red"}, "colour is no parameter"),
        ({"message_uuid": "x", "limit": "3"}, "alone"),
        ({"customer_external_id": "x", "limit": "0"}, "1 to 100"),
        ({"customer_external_id": "x", "limit": "x"}, "1 to 100"),
        ({"customer_external_id": "x", "platform_tenant_id": "t", "cursor": "%%"}, "cursor"),
        ({"customer_external_id": "x"}, "platform_tenant_id must be named"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_reason(
    asked: Asked, token: dict[str, str], query: dict[str, str], says: str
) -> None:
    answer = asked.get(token, **query)
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["detail"]
    typed = {n: int(v) if n == "limit" and v.isdigit() else v for n, v in query.items()}
    assert asked.post(token, **typed).json()["detail"] == answer.json()["detail"]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "text/plain", 415), (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400), (b"\xff", "application/json", 400),
        (b'{"message_uuid":1}', "application/json", 400),
        (b'{"message_uuid":"' + b"x" * 20_000 + b'"}', "application/json", 413),
    ],
)  # fmt: skip
def test_bodies_are_bounded_and_checked(
    asked: Asked, token: dict[str, str], content: bytes, kind: str, status: int
) -> None:
    path = "/api/v1/audit/notifications/search"
    answer = asked.client.post(path, content=content, headers={**token, "Content-Type": kind})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_unknown_paths_and_methods_are_problems_too(asked: Asked, token: dict[str, str]) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404), ("DELETE", "/api/v1/audit/notifications", 405), ("GET", "/x", 404)
    ):  # fmt: skip
        answer = asked.client.request(method, path, headers=token)
        assert answer.status_code == status
        assert answer.json()["status"] == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers or "uvicorn" not in answer.headers["server"]


def test_every_read_is_in_the_journal_before_its_answer(
    asked: Asked, token: dict[str, str]
) -> None:
    (tenant, customer), messages = next(iter(CUSTOMERS.items()))

    before = len(asked.journal())
    asked.get(token, message_uuid=messages[0][1], customer_external_id=customer)
    asked.get(token, customer_external_id="nobody-at-all", platform_tenant_id=tenant)
    new = asked.journal()[before:]
    assert [(e["query"], e["status"], e["messages"]) for e in new] == [
        ("message+customer", 200, [messages[0][1]]), ("customer", 404, []),
    ]  # fmt: skip
    asked.post(token, customer_external_id=customer, platform_tenant_id=tenant)
    (page,) = asked.journal()[before + 2 :]
    assert (page["found"], page["messages"], page["tenants"]) == (len(messages), [], [tenant])
    text = "".join(path.read_text() for path in asked.settings.journal_dir.iterdir())
    assert customer not in text
    assert "nobody-at-all" not in text


def test_nothing_personal_and_no_token_in_the_log(
    asked: Asked, token: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    (_, customer), messages = next(iter(CUSTOMERS.items()))
    with caplog.at_level("DEBUG"):
        asked.get(token, message_uuid=messages[0][1], customer_external_id=customer)
        asked.client.get(f"/{customer}", headers=token)
        asked.get({"Authorization": "Bearer secret-of-somebody"}, message_uuid="m")
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("audit_stream"))
    assert "200" in ours
    for hidden in (customer, messages[0][1], token["Authorization"][7:], "secret-of-somebody"):
        assert hidden not in ours


def test_a_revoked_token_is_refused_at_once(asked: Asked) -> None:
    from audit_stream.gateway.tokens import TokenFile

    headers = asked.token("*")
    message = PUBS[0]["message_uuid"]
    assert asked.get(headers, message_uuid=message).status_code in (200, 400)
    file = TokenFile(asked.settings.gateway_tokens)
    file.revoke(file.tokens()[-1].id)
    assert asked.get(headers, message_uuid=message).status_code == 401
    assert headers["Authorization"][7:] not in asked.settings.gateway_tokens.read_text()


def test_the_openapi_document_names_every_answer(asked: Asked) -> None:
    document = asked.client.get("/openapi.json").json()
    look_up = document["paths"]["/api/v1/audit/notifications"]["get"]
    assert set(look_up["responses"]) >= {"200", "400", "401", "403", "404", "409", "429", "503"}
    assert {p["name"] for p in look_up["parameters"]} >= {"message_uuid", "cursor"}
    assert re.fullmatch(r"3\.\d\.\d", document["openapi"])
