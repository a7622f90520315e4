"""A saved answer, verified by a tool that shares no code with us: Debian's `jose`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from audit_stream.bundle.build import attached
from tests.support.asking import Asked
from tests.support.indexing import PUBS

needs_jose = pytest.mark.skipif(shutil.which("jose") is None, reason="apt-get install jose")


def verifies(answer: str, keys: Path, folder: Path) -> bool:
    saved = folder / "answer.jws"
    saved.write_text(answer)
    done = subprocess.run(
        ["jose", "jws", "ver", "-i", str(saved), "-k", str(keys), "-O", "-"],
        capture_output=True, timeout=30,
    )  # fmt: skip
    return done.returncode == 0


@needs_jose
def test_jose_verifies_what_was_answered_and_nothing_else(asked: Asked, tmp_path: Path) -> None:
    keys = tmp_path / "jwks.json"
    keys.write_text(asked.client.get("/.well-known/jwks.json").text)
    headers = asked.token("*")
    pub = PUBS[0]
    good = asked.get(
        headers, message_uuid=pub["message_uuid"], platform_tenant_id=pub["platform_tenant_id"]
    ).json()
    assert verifies(attached(good), keys, tmp_path)
    unknown = asked.get(headers, message_uuid="unknown").json()
    assert verifies(attached(unknown), keys, tmp_path)
    for name, value in (("status", "unverified"), ("conflict", True), ("assurance", "worm_locked")):
        assert not verifies(attached(good | {name: value}), keys, tmp_path)
    record = good["audit_record"] | {"delivery_status": "READ", "audit_id": "another"}
    assert not verifies(attached(good | {"audit_record": record}), keys, tmp_path)
