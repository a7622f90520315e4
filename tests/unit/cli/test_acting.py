"""Who acts: every act of two persons leaves a log line with the id and the login."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import re
from pathlib import Path

import pytest

from audit_stream.archive.private import PrivateObjects
from audit_stream.cli.acting import actor, login
from audit_stream.cli.main import run_command
from audit_stream.erasure.request import Found, Request
from audit_stream.erasure.requests import Requests
from audit_stream.evidence.disposal import Stretch
from audit_stream.keys.file import create_keyring, load_keyring
from audit_stream.retention.purge import Purge
from audit_stream.retention.purges import Purges
from audit_stream.stores.subjects import FileSubjectStore
from tests.support.chains import NAME

AT = "2026-11-26T08:00:00.000Z"
REQUEST = Request(
    ref="DSR-1", kind="customer", basis="GDPR Art.17(1)(b)", tags=(b"\x01" * 16,),
    found=Found(records=3, tenants=("t1",), first=AT, last=AT), requested_by="privacy",
    requested_at=AT, due="2026-12-26",
)  # fmt: skip
PURGE = Purge(
    id="dc-0123456789abcdef", basis="over", bytes=1, days=7, records=1, regulatory_tag="A_V1",
    requested_at=AT, requested_by="clerk", segments=1, years=(),
    stretches=(Stretch(topic="t", generation=1, partition=0, base=0, next=1, segments=1,
                       records=1, leaves="00" * 32),),
)  # fmt: skip
HOLD = ("add", "--message", "m-1", "--matter", "L-1", "--custodian", "desk", "--reason", "O-1",
        "--approver", "chief")  # fmt: skip
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrivateObjects:
    keyring = tmp_path / "keys" / "keyring.json"
    create_keyring(keyring, NAME)
    settings = {
        "ARCHIVE": (tmp_path / "archive").as_uri(), "ARCHIVE_NAME": NAME, "KEYRING": str(keyring),
        "SUBJECTS": (tmp_path / "subjects").as_uri(), "BROKER": "kafka://127.0.0.1:1",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"AUDIT_{name}", value)
    store = FileSubjectStore(tmp_path / "subjects")
    found = PrivateObjects(store, load_keyring(keyring).keyring.index_key)
    asyncio.run(Requests(found).file(REQUEST))
    asyncio.run(Purges(found).file(PURGE))
    return found


@pytest.mark.parametrize(
    ("command", "words", "line"),
    [
        ("hold", (*HOLD, "--by", "counsel"), r"hold h-[0-9a-f]{16}: filed by counsel"),
        ("redact", ("approve", "DSR-1", "--by", "counsel"), "request DSR-1: approved by counsel"),
        ("redact", ("withdraw", "DSR-1"), "request DSR-1: withdrawn by {login}"),
        ("retention", ("approve", PURGE.id, "--by", "officer"),
         "purge dc-0123456789abcdef: approved by officer"),
        ("retention", ("withdraw", PURGE.id),
         "purge dc-0123456789abcdef: withdrawn by {login}"),
    ],
)  # fmt: skip
def test_an_act_is_logged_with_the_id_and_the_login(
    private: PrivateObjects, capsys: Captured, command: str, words: tuple[str, ...], line: str
) -> None:
    assert run_command([command, words[0], "--json", *words[1:]]) == 0
    said = capsys.readouterr()
    json.loads(said.out)  # the answer alone
    user = re.escape(getpass.getuser())
    assert re.search(rf"{line.replace('{login}', user)} \(login {user}\)$", said.err, re.M)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("hold", (*HOLD, "--by", "Chief")),
        ("redact", ("approve", "DSR-1", "--by", "Privacy")),
        ("retention", ("approve", PURGE.id, "--by", "CLERK")),
    ],
)
def test_who_filed_it_is_no_second_person_and_nothing_is_logged(
    private: PrivateObjects, capsys: Captured, command: str, words: tuple[str, ...]
) -> None:
    assert run_command([command, *words]) == 1
    said = capsys.readouterr()
    assert re.search("(second|another) person must approve it", said.err)
    assert "login" not in said.err


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)  # nobody's
    assert actor(None) == login() == "uid-4000000001"
    assert actor("lea") == "lea"
