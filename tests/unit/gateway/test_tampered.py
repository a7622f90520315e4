"""An archive that was tampered with: 409 with what failed, and an alarm."""

from __future__ import annotations

import asyncio
from pathlib import Path

from audit_stream.evidence.segment import decode
from audit_stream.gateway.answer import BUNDLE
from tests.support.asking import Asked, serving
from tests.support.indexing import PUBS
from tests.unit.gateway.conftest import installed, log_all


def test_a_changed_segment_is_a_409_that_says_what_failed(tmp_path: Path) -> None:
    settings = installed(tmp_path)
    asyncio.run(log_all(settings))
    with serving(settings) as asked:
        pub = PUBS[0]
        assert answered(asked, pub) == 200
        topic, generation, partition, offset = pub["source"].split("/")
        folder = settings.archive_path / f"segments/{topic}/{int(generation):05d}"
        for path in sorted((folder / f"{int(partition):05d}").iterdir()):
            header = decode(path.read_bytes(), "x").header
            if header.base <= int(offset) < header.next:
                path.write_bytes(path.read_bytes()[:-3])
    with serving(settings) as asked:  # anew: nothing is cached
        answer = asked.get(
            asked.token("*"), message_uuid=pub["message_uuid"],
            platform_tenant_id=pub["platform_tenant_id"],
        )  # fmt: skip
        assert answer.status_code == 409
        assert answer.headers["content-type"] == "application/problem+json"
        body = answer.json()
        assert body["failed"].startswith("segments/")
        assert body["signature"]
        bundle = asked.client.post(BUNDLE, headers=asked.token("*"), json={
            "message_uuid": pub["message_uuid"], "platform_tenant_id": pub["platform_tenant_id"],
        })  # fmt: skip
        assert bundle.status_code == 409
        assert bundle.json()["signature"]


def answered(asked: Asked, pub: dict[str, str]) -> int:
    return asked.get(
        asked.token("*"), message_uuid=pub["message_uuid"],
        platform_tenant_id=pub["platform_tenant_id"],
    ).status_code  # fmt: skip
