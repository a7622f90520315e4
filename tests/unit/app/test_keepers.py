"""A store that refuses a keeper: a command ends and says so, a service has the alarms."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audit_stream.app.holds import open_holds
from audit_stream.cli.main import run_command
from audit_stream.evidence.hold import Kind
from audit_stream.kafka.embedded import free_ports
from audit_stream.keys.file import create_keyring
from audit_stream.keys.lock import keyring_lock
from audit_stream.settings import Settings
from tests.support.chains import NAME
from tests.support.eventually import until
from tests.support.holding import AT, wanted

HOLD = ("hold", "add", "--message", "m-1", "--matter", "L-1", "--custodian", "desk", "--reason",
        "O-1", "--by", "counsel", "--approver", "chief")  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation of folders."""
    keyring = tmp_path / "keys" / "keyring.json"
    create_keyring(keyring, NAME)
    settings = {
        "ARCHIVE": (tmp_path / "archive").as_uri(), "ARCHIVE_NAME": NAME, "KEYRING": str(keyring),
        "SUBJECTS": (tmp_path / "subjects").as_uri(), "BROKER": "kafka://127.0.0.1:1",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"AUDIT_{name}", value)
    return tmp_path


def refuse(folder: Path, name: str) -> Path:
    """Nothing can be stored or read at `name`: a link stands there that leads nowhere."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(path)
    return path


@pytest.mark.parametrize("store", ["archive", "second"])
def test_a_command_whose_write_is_refused_ends_says_so_and_lets_the_keyring_go(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    monkeypatch.setenv("AUDIT_ARCHIVE_SECONDARY", (folder / "second").as_uri())
    monkeypatch.setenv("AUDIT_SECONDARY_MODE", "before")
    (folder / store).mkdir()
    (folder / store / "holds").write_bytes(b"in the way of what is stored, not of what is read")
    assert run_command([*HOLD]) == 2
    said = capsys.readouterr().err
    assert "storing holds/" in said
    assert "an object stands where a folder is needed" in said
    with keyring_lock(folder / "keys" / "keyring.json", wait=0.0):
        pass  # nobody has it


@contextmanager
def service(*words: str) -> Iterator[int]:
    """A keeper's service; its port."""
    [port] = free_ports(1)
    command = [sys.executable, "-m", "audit_stream", *words, "run", "--every", "1"]
    environment = os.environ | {"AUDIT_WEB_PORT": str(port)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield port
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()


def alarms(port: int) -> set[str]:
    """The keys of those that are open."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/alarms", timeout=5) as answer:
            return {each["key"] for each in json.load(answer)}
    except OSError:
        return set()


async def file_hold() -> None:
    async with open_holds(Settings.load(None)) as keeper:
        await keeper.holds.file(wanted(Kind.MESSAGE, values=["m-1"]), AT)


def test_who_keeps_holds_serves_the_archives_alarm_until_it_works_again(folder: Path) -> None:
    asyncio.run(file_hold())
    way = refuse(folder, "archive/holds")
    with service("hold") as port:
        until(lambda: alarms(port) >= {"breaker:archive", "holds:keep"})
        way.unlink()
        until((folder / "archive" / "holds" / f"{0:020d}.json").exists, 60)
        until(lambda: not alarms(port) & {"breaker:archive", "holds:keep"})


def test_who_erases_serves_the_subject_stores_alarm_until_it_works_again(folder: Path) -> None:
    way = refuse(folder, "subjects/private/epoch")  # which each pass reads
    with service("redact") as port:
        until(lambda: alarms(port) >= {"breaker:subjects", "erasure:run"})
        way.unlink()
        until(lambda: alarms(port) == set(), 60)
