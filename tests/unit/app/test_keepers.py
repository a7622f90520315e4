"""A store that refuses a keeper: a command ends and says so, a service has the alarms."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audit_stream.app.holds import open_holds
from audit_stream.archive.register import RegisterReader
from audit_stream.cli.main import run_command
from audit_stream.evidence.hold import Kind
from audit_stream.evidence.register import Entry, Register
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.kafka.embedded import free_ports
from audit_stream.keys.file import create_keyring, load_keyring
from audit_stream.keys.lock import keyring_lock
from audit_stream.settings import Settings
from audit_stream.stores.file import FileStore
from tests.support.chains import NAME
from tests.support.eventually import until
from tests.support.holding import wanted

HOLD = ("hold", "add", "--matter", "L-1", "--custodian", "desk", "--reason", "O-1", "--by",
        "counsel", "--approver", "chief", "--message")  # fmt: skip


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
    assert run_command([*HOLD, "m-1"]) == 2
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


async def file_hold(message: str = "m-1") -> None:
    async with open_holds(Settings.load(None)) as keeper:
        await keeper.file(wanted(Kind.MESSAGE, values=[message]))


async def entries(folder: Path, keys: TrustedKeys) -> list[Entry]:
    """Of the register of holds, for who trusts these keys."""
    store = FileStore(folder / "archive")
    return list(await RegisterReader(store, keys, NAME, Register.HOLDS).new_entries())


def test_who_keeps_holds_serves_the_archives_alarm_until_it_works_again(folder: Path) -> None:
    asyncio.run(file_hold())
    way = refuse(folder, "archive/holds")
    with service("hold") as port:
        until(lambda: alarms(port) >= {"breaker:archive", "holds:keep"})
        way.unlink()
        until((folder / "archive" / "holds" / f"{0:020d}.json").exists, 60)
        until(lambda: not alarms(port) & {"breaker:archive", "holds:keep"})


def test_who_keeps_holds_signs_with_the_successor_of_the_keyring_from_the_next_pass_on(
    folder: Path,
) -> None:
    """What the new key signed, it follows: behind what it took for junk it would begin a fork."""
    keyring, successor = folder / "keys" / "keyring.json", folder / "next" / "keyring.json"
    old, stored = load_keyring(keyring), folder / "archive" / "holds"
    with service("hold"):
        asyncio.run(file_hold("m-1"))
        until((stored / f"{0:020d}.json").exists)
        assert run_command(["keyring", "rotate", str(successor.parent)]) == 0
        both = load_keyring(successor)
        with keyring_lock(keyring):
            for name in ("public.txt", keyring.name):
                shutil.copy(successor.with_name(name), keyring.with_name(name))
        assert run_command([*HOLD, "m-2"]) == 0
        asyncio.run(file_hold("m-3"))
        until((stored / f"{2:020d}.json").exists)
    found = asyncio.run(entries(folder, both.trusted))
    assert [each.kid for each in found] == [old.signer.kid, both.signer.kid, both.signer.kid]


def test_who_erases_serves_the_subject_stores_alarm_until_it_works_again(folder: Path) -> None:
    way = refuse(folder, "subjects/private/epoch")  # which each pass reads
    with service("redact") as port:
        until(lambda: alarms(port) >= {"breaker:subjects", "erasure:run"})
        way.unlink()
        until(lambda: alarms(port) == set(), 60)
