"""`reconcile` without a broker, or without an archive it can read, cannot judge: it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.cli.main import run_command
from audit_stream.keys.file import create_keyring


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    archive = tmp_path / "archive"
    archive.mkdir()
    create_keyring(tmp_path / "keys" / "keyring.json", "test")
    monkeypatch.setenv("AUDIT_ARCHIVE", archive.as_uri())
    monkeypatch.setenv("AUDIT_KEYRING", str(tmp_path / "keys" / "keyring.json"))
    monkeypatch.setenv("AUDIT_BROKER", "kafka://127.0.0.1:1")
    return tmp_path


@pytest.mark.usefixtures("installation")
def test_without_a_broker_it_cannot_judge(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["reconcile"]) == 3
    assert "no Kafka broker answers" in capsys.readouterr().err
