"""The notary's process: what it keeps in memory while it is at work."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from pathlib import Path

import pytest

from audit_stream.app.notary import run_notary
from audit_stream.privacy.keyring import Keyring
from audit_stream.settings import Settings
from tests.support import golden
from tests.support.eventually import eventually


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The golden archive, whose log is not begun."""
    monkeypatch.setenv("AUDIT_LOG_BATCH_SECONDS", "1")
    return golden.in_settings(tmp_path / "g", monkeypatch)


def keyrings() -> set[int]:
    return {id(each) for each in gc.get_objects() if isinstance(each, Keyring)}


async def test_a_notary_at_work_keeps_no_keyring_in_memory(archive: Path) -> None:
    """The keys of years are destroyed elsewhere while it runs, and it signs with the log key."""
    before = keyrings()
    running = asyncio.create_task(run_notary(Settings.load(None), serve=False))

    async def logged() -> bool:
        return running.done() or any((archive / "log").glob("*.json"))

    await eventually(logged)
    found = keyrings() - before
    if not running.done():  # else nobody would take the signal
        os.kill(os.getpid(), signal.SIGTERM)
    await running
    assert not found
