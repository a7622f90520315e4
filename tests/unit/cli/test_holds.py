"""`audit-stream hold`: from declaration to release, by two persons, and what it never says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from audit_stream.app import holds
from audit_stream.app.holds import open_holds, tell_enforced
from audit_stream.cli.main import run_command
from audit_stream.evidence.hold import Kind, hold_of
from audit_stream.evidence.register import decode_entry
from audit_stream.holds.enforcing import Enforced
from audit_stream.holds.filing import held_tags
from audit_stream.kafka.embedded import free_ports
from audit_stream.keys.file import create_keyring, load_keyring, write_view
from audit_stream.keys.lock import keyring_lock
from audit_stream.ports import HoldLevel
from audit_stream.settings import Settings
from audit_stream.telemetry.metrics import Metrics
from tests.support.chains import NAME
from tests.support.eventually import until
from tests.support.holding import wanted
from tests.support.keyrings import erase

Captured = pytest.CaptureFixture[str]
CUSTOMER = "CUST-88231"
SUBJECT = ("t1", "external", CUSTOMER)
WHO = ("--matter", "LIT-1", "--custodian", "desk", "--reason", "ORD-1", "--by", "counsel",
       "--approver", "chief")  # fmt: skip
PERSON = ("--customer", CUSTOMER, "--tenant", "t1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    create_keyring(tmp_path / "keys" / "keyring.json", NAME)
    settings = {
        "ARCHIVE": (tmp_path / "archive").as_uri(), "ARCHIVE_NAME": NAME,
        "KEYRING": str(tmp_path / "keys" / "keyring.json"),
        "SUBJECTS": (tmp_path / "subjects").as_uri(), "BROKER": "kafka://127.0.0.1:1",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"AUDIT_{name}", value)
    return tmp_path


def hold(capsys: Captured, *words: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert run_command(["hold", words[0], "--json", *words[1:]]) == code, capsys.readouterr().err
    out = capsys.readouterr().out
    return json.loads(out) if out else None


def test_declared_listed_released_by_two(folder: Path, capsys: Captured) -> None:
    declared = hold(capsys, "add", *PERSON, *WHO)
    hold_id = declared["hold_id"]
    assert (declared["state"], set(declared["scope"])) == ("active", {"kind", "commitment"})
    assert hold(capsys, "add", *PERSON, *WHO)["hold_id"] == hold_id
    [listed] = hold(capsys, "list")["holds"]
    assert (listed["declared"], listed["enforced"]) == (True, False)  # a folder holds nothing
    assert hold(capsys, "status", code=1)["missing"] == 1
    assert hold(capsys, "run", code=1)["missing"] == [hold_id]
    released = hold(capsys, "release", hold_id, "--by", "counsel", "--reason", "END-1")
    assert released["state"] == "leaving"
    hold(capsys, "approve", hold_id, "--by", "counsel", code=1)
    assert hold(capsys, "approve", hold_id, "--by", "chief")["state"] == "released"
    assert hold(capsys, "status")["missing"] == 0
    assert hold(capsys, "run")["declared"] == 0
    assert [each["state"] for each in hold(capsys, "list")["holds"]] == ["lifted"]
    names = sorted((folder / "archive" / "holds").iterdir())
    said = [hold_of(decode_entry(each.read_bytes(), f"holds/{each.name}")) for each in names]
    assert [(each.action.value, each.declared_by, each.approved_by) for each in said] == [
        ("declared", "counsel", "chief"), ("released", "counsel", "chief")
    ]  # fmt: skip


def test_no_store_and_no_output_has_the_customer_or_their_tag(
    folder: Path, capsys: Captured
) -> None:
    hold(capsys, "add", *PERSON, *WHO)
    for command in ("list", "status", "run"):
        run_command(["hold", command])
    said = capsys.readouterr()
    tags = held_tags(load_keyring(folder / "keys" / "keyring.json").keyring, SUBJECT, ())
    stored = b"".join(
        path.read_bytes() for path in folder.rglob("*") if path.is_file() and "keys" not in
        path.parts
    )  # fmt: skip
    assert b"audit-hold/1" in stored
    for secret in (CUSTOMER, *(tag.hex() for tag in tags)):
        assert secret not in said.out + said.err
        assert secret.encode() not in stored
    assert not any(tag in stored for tag in tags)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--customer", CUSTOMER),
        (*PERSON, "--message", "m-1"),
        ("--message", "m-1", "--workflow", "w-1"),
        ("--message", "jane@example.org"),
        ("--range", "topic/1/0"),
    ],
)
def test_what_is_no_scope_is_refused(
    folder: Path, capsys: Captured, words: tuple[str, ...]
) -> None:
    hold(capsys, "add", *words, *WHO, code=1)
    assert not (folder / "archive" / "holds").exists()


@pytest.mark.parametrize("nobody", ["", " ", "unknown"])
@pytest.mark.parametrize("option", ["--customer", "--address"])
def test_whoever_stands_for_nobody_is_refused(
    folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, option: str, nobody: str
) -> None:
    """No record has such a tag: the hold would seem to stand, and hold nothing."""
    monkeypatch.setenv("AUDIT_PLACEHOLDER_IDS", "unknown, none")
    hold(capsys, "add", *PERSON, option, nobody, *WHO, code=1)
    assert not (folder / "archive" / "holds").exists()
    assert hold(capsys, "list")["holds"] == []


def test_a_view_without_the_segment_key_files_and_the_keeper_declares(
    folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = folder / "keys" / "keyring.json"
    write_view(load_keyring(whole), whole, "gateway", folder / "view")
    monkeypatch.setenv("AUDIT_KEYRING", str(folder / "view" / "keyring.json"))
    assert hold(capsys, "add", "--message", "m-1", *WHO)["state"] == "filed"
    monkeypatch.setenv("AUDIT_KEYRING", str(whole))
    [done] = hold(capsys, "run", code=1)["carried_out"]
    assert (done["action"], done["number"]) == ("declared", 0)
    assert [each["state"] for each in hold(capsys, "list")["holds"]] == ["active"]


def test_while_another_has_the_lock_the_id_of_what_was_filed_is_said(
    folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds: who declared it must know as what, and the log that they did."""
    monkeypatch.setattr(holds, "keyring_lock", partial(keyring_lock, wait=0.1))
    with keyring_lock(folder / "keys" / "keyring.json"):
        assert run_command(["hold", "add", "--message", "m-1", *WHO, "--json"]) == 2
    said = capsys.readouterr()
    filed = json.loads(said.out)
    assert filed["state"] == "filed"
    assert f"{filed['hold_id']} is filed and holds" in said.err
    assert "audit-stream hold run" in said.err
    assert "another process has held" in said.err
    assert f"hold {filed['hold_id']}: filed by counsel" in said.err
    [listed] = hold(capsys, "list")["holds"]
    assert (listed["hold_id"], listed["declared"]) == (filed["hold_id"], False)
    assert hold(capsys, "add", "--message", "m-1", *WHO)["state"] == "active"  # the same again


def test_while_another_has_the_lock_an_approval_is_logged(
    folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_id = hold(capsys, "add", "--message", "m-1", *WHO)["hold_id"]
    hold(capsys, "release", hold_id, "--by", "counsel", "--reason", "END-1")
    monkeypatch.setattr(holds, "keyring_lock", partial(keyring_lock, wait=0.1))
    with keyring_lock(folder / "keys" / "keyring.json"):
        assert run_command(["hold", "approve", hold_id, "--by", "chief"]) == 2
    said = capsys.readouterr().err
    assert f"hold {hold_id}: release approved by chief" in said
    assert f"{hold_id} is approved and holds" in said


def test_a_hold_behind_the_erasure_says_so(folder: Path, capsys: Captured) -> None:
    keyring = folder / "keys" / "keyring.json"
    first = held_tags(load_keyring(keyring).keyring, SUBJECT, ())[0]
    hold(capsys, "add", *PERSON, *WHO)
    erase(keyring, first)
    assert run_command(["hold", "add", *PERSON, *WHO]) == 0
    assert "already erased" in capsys.readouterr().err


def test_a_lost_hold_is_released_by_two(folder: Path, capsys: Captured) -> None:
    hold_id = hold(capsys, "add", *PERSON, *WHO)["hold_id"]
    (folder / "subjects" / "private" / "holds" / hold_id).unlink()
    assert [each["state"] for each in hold(capsys, "list")["holds"]] == ["lost"]
    hold(capsys, "approve", hold_id, "--by", "chief", code=1)
    released = hold(capsys, "release", hold_id, "--by", "counsel", "--reason", "END-1")
    assert released["state"] == "leaving"
    assert [each["state"] for each in hold(capsys, "list")["holds"]] == ["lost"]
    assert hold(capsys, "approve", hold_id, "--by", "chief")["state"] == "released"
    assert hold(capsys, "status")["missing"] == 0
    hold(capsys, "release", "h-0123456789abcdef", "--by", "counsel", "--reason", "END-1", code=1)


async def test_a_keeper_may_ask_all_of_it(folder: Path) -> None:
    """What an erasure uses, over the settings."""
    settings = Settings.load(None)
    async with open_holds(settings) as keeper:
        assert await keeper.carry_out_filed() == []
        assert not await keeper.declaring().active()


def test_what_is_missing_is_told_by_profile() -> None:
    metrics = Metrics()
    found = Enforced(level=HoldLevel.CONTAINER, declared=2, missing=["h-1", "h-2"])
    tell_enforced(metrics, found)
    name, value_of = "audit_stream_holds_unenforced", metrics.registry.get_sample_value
    told = {each.value: value_of(name, {"profile": each.value}) for each in HoldLevel}
    assert told == {"object": 0, "container": 2, "none": 0}


def test_the_service_carries_out_and_ends_when_told(folder: Path, capsys: Captured) -> None:
    port = free_ports(1)[0]
    asyncio.run(_file())
    words = [sys.executable, "-m", "audit_stream", "hold", "run", "--every", "1"]
    environment = os.environ | {"AUDIT_WEB_PORT": str(port)}
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: 'unenforced{profile="none"} 1.0' in _told(port))
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert [each["state"] for each in hold(capsys, "list")["holds"]] == ["active"]


async def _file() -> None:
    async with open_holds(Settings.load(None)) as keeper:
        await keeper.file(wanted(Kind.MESSAGE, values=["m-1"]))


def _told(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as found:
            return str(found.read().decode())
    except OSError:
        return ""
