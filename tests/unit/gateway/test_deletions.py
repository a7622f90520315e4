"""Platforms' deletion notices: taken, recorded and refused; nothing of what they hold is kept."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit_stream.gateway.deletions import PATH
from audit_stream.gateway.query import MOST
from audit_stream.kafka.embedded import free_ports
from tests.support.asking import Asked, serving
from tests.support.indexing import PUBS
from tests.unit.gateway.conftest import installed, log_all

PUB = PUBS[0]
UUID, TENANT = PUB["message_uuid"], PUB["platform_tenant_id"]
PERSON = "Jane Doe jane@example.org +4915112345678"


def notify(asked: Asked, body: Any, *tenants: str, scope: str = "audit:notify") -> httpx.Response:
    headers = asked.token(*tenants, scopes=(scope,))
    return asked.client.post(PATH, json=body, headers=headers)


def test_a_notice_is_recorded_and_refused(asked: Asked) -> None:
    notice = {"message_uuids": [UUID, PERSON, "unknown-1"], "customer": PERSON}
    answer = notify(asked, notice, TENANT)
    assert answer.status_code == 202
    said = answer.json()
    assert (said["status"], said["legal_hold"]) == ("refused", True)
    assert (said["named"], said["archived"]) == (3, 1)
    assert "write-once" in said["exempt_by"]
    assert said["signature"]
    entry = asked.journal()[-1]
    assert (entry["kind"], entry["query"], entry["status"]) == ("platform-deletion", "message", 202)
    assert (entry["messages"], entry["tenants"], entry["found"]) == ([UUID], [TENANT], 1)
    stored = b"".join(path.read_bytes() for path in asked.settings.journal_dir.glob("part-*"))
    assert b"Jane" not in stored
    assert b"unknown-1" not in stored


@pytest.mark.parametrize("notice", [{}, {"message_uuids": []}, {"tenant": {"id": "t", "x": [1]}}])
def test_a_notice_that_names_no_message_is_taken_as_well(asked: Asked, notice: Any) -> None:
    assert notify(asked, notice).status_code == 202
    entry = asked.journal()[-1]
    assert (entry["messages"], entry["query"], entry["found"]) == ([], "none", 0)


def test_another_tenants_message_is_as_unknown_as_none(asked: Asked) -> None:
    assert notify(asked, {"message_uuids": [UUID]}, "another").json()["archived"] == 0
    assert asked.journal()[-1]["messages"] == []
    assert notify(asked, {"message_uuids": [UUID]}).json()["archived"] == 1


@pytest.mark.parametrize(
    "ids", ["x", [1], [""], ["x\x00"], ["x" * 257], [str(n) for n in range(MOST + 1)], {"a": 1}]
)
def test_what_are_no_ids_is_not_taken(asked: Asked, ids: Any) -> None:
    before = len(asked.journal())
    assert notify(asked, {"message_uuids": ids}).status_code == 400
    assert len(asked.journal()) == before


def test_it_takes_its_own_scope_which_reads_nothing(asked: Asked) -> None:
    assert notify(asked, {}, scope="audit:read").status_code == 403
    assert asked.client.post(PATH, json={}).status_code == 401
    assert (
        asked.get(asked.token("*", scopes=("audit:notify",)), message_uuid=UUID).status_code == 403
    )


def test_notices_are_counted(tmp_path: Path) -> None:
    settings = installed(tmp_path).model_copy(update={"web_port": free_ports(1)[0]})
    asyncio.run(log_all(settings))
    with serving(settings) as asked:
        for _ in range(2):
            assert notify(asked, {}).status_code == 202
        assert notify(asked, {}, scope="audit:read").status_code == 403
        url = f"http://127.0.0.1:{settings.web_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as found:
            told = found.read().decode()
    assert "audit_stream_platform_deletions_total 2.0" in told.splitlines()
