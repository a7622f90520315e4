"""The gateway as the process that it is: told to stop, it closes, and ends well."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from audit_stream.gateway.caller import SCOPES
from audit_stream.gateway.tokens import TokenFile
from audit_stream.kafka.embedded import free_ports
from audit_stream.settings import Settings
from tests.support.eventually import eventually
from tests.unit.gateway.conftest import installed

ROOT = Path(__file__).parents[3]
NAMES = (
    "archive", "archive_name", "keyring", "index_dir", "broker", "gateway_tokens", "answer_keys",
    "journal_dir",
)  # fmt: skip


def environment(settings: Settings, port: int, web: int) -> dict[str, str]:
    own = {f"AUDIT_{name.upper()}": str(getattr(settings, name)) for name in NAMES}
    ports = {"AUDIT_GATEWAY_PORT": str(port), "AUDIT_WEB_PORT": str(web)}
    return os.environ | own | ports | {"PYTHONPATH": str(ROOT)}


def check_told(metrics: str) -> None:
    told = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
    assert told['audit_stream_ready{condition="index"}'] == "1.0"
    assert told["audit_stream_open_alarms"] == "0.0"
    assert told["audit_stream_journal_unsealed_seconds"] == "0.0"  # the part is still open
    assert 0 < float(told["audit_stream_index_behind_seconds"]) < 60


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_gateway_that_is_stopped_seals_what_was_read_and_exits_0(
    tmp_path: Path, number: signal.Signals
) -> None:
    settings, (port, web) = installed(tmp_path), free_ports(2)
    _, token = TokenFile(settings.gateway_tokens).create(("*",), SCOPES, None)
    command = [sys.executable, "-m", "audit_stream", "gateway"]
    process = subprocess.Popen(command, env=environment(settings, port, web), cwd=tmp_path)

    async def listens() -> bool:
        assert process.poll() is None
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", port)) == 0

    try:
        asyncio.run(eventually(listens))
        answer = httpx.get(
            f"http://127.0.0.1:{port}/api/v1/audit/notifications",
            params={"message_uuid": "8f3a9c21-4b5e-4d7f-9a1c-2e8f7b6d5c4a"},
            headers={"Authorization": f"Bearer {token}"},
        )  # fmt: skip
        assert answer.status_code == 404
        assert not (settings.archive_path / "access").exists()
        check_told(httpx.get(f"http://127.0.0.1:{web}/metrics").text)
        process.send_signal(number)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert len(list((settings.archive_path / "access").rglob("*.ndjson"))) == 1
