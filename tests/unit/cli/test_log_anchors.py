"""`audit-stream notary --once` with anchors and without a broker, and `log anchors` behind it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from audit_stream.cli.main import run_command
from audit_stream.evidence.note import parse_vkey
from audit_stream.evidence.timestamp import check_timestamp, parse_authorities
from tests.support import golden
from tests.support.tsa import LocalAuthority, serving, timestamps
from tests.unit.anchors.test_witness import KEY, Server

Captured = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalAuthority]:
    """The golden archive, whose log is not begun, an authority and a witness."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(golden.GOLDEN, tmp_path / "g")
    for path in ("keyring.json", "cover-1.bin"):
        (tmp_path / "g" / path).chmod(0o600)
    authority = LocalAuthority(tmp_path / "authority")
    with ExitStack() as served:
        url = served.enter_context(serving(timestamps(authority)))
        witness = served.enter_context(serving(Server(), "/add-checkpoint"))
        settings = {
            "ARCHIVE": (tmp_path / "g" / "archive").as_uri(),
            "ARCHIVE_NAME": golden.KEYRING.archive,
            "SUBJECTS": (tmp_path / "g").as_uri(), "KEYRING": str(tmp_path / "g" / "keyring.json"),
            "BROKER": "kafka://127.0.0.1:1", "ALLOW_ASSURANCE": "mutable", "WEB_PORT": "0",
            "ANCHOR_TSA_URLS": f"here={url}/tsr",
            "ANCHOR_TSA_CERTIFICATES": str(authority.roots),
            "ANCHOR_WITNESSES": f"{KEY}@{witness}",
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(f"AUDIT_{name}", value)
        yield authority


async def _notary() -> None:
    """As a process of its own, while the servers here answer it."""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "audit_stream", "notary", "--once"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def asked(capsys: Captured, *words: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = run_command(["log", "anchors", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_who_vouches_is_told_by_the_trust_of_who_asks(
    local: LocalAuthority, tmp_path: Path, capsys: Captured
) -> None:
    code, said = asked(capsys)
    assert (code, said["size"]) == (1, None)
    asyncio.run(_notary())
    asyncio.run(_notary())

    code, said = asked(capsys)
    assert (code, said["quorum"]) == (0, True)
    newest = max((tmp_path / "g" / "archive" / "anchor").iterdir()).name
    assert said["size"] == int(newest)
    assert list(said["timestamps"]) == ["CN=tsa"]
    assert list(said["witnesses"]) == [f"{KEY.name}+{KEY.id.hex()}"]

    assert run_command(["log", "key"]) == 0
    log = parse_vkey(capsys.readouterr().out.strip())
    policy = tmp_path / "mine.policy"
    policy.write_text(f"log {log}\nwitness w {KEY}\nquorum w\n")
    code, said = asked(capsys, "--policy", str(policy))
    assert (code, list(said["witnesses"]), said["timestamps"]) == (0, ["w"], {})
    policy.write_text(f"log {log}\nquorum none\n")
    assert asked(capsys, "--policy", str(policy))[0] == 1
    (tmp_path / "mine.policy.tsa.pem").write_bytes(local.roots.read_bytes())
    code, said = asked(capsys, "--policy", str(policy))
    assert (code, said["witnesses"], list(said["timestamps"])) == (0, {}, ["CN=tsa"])

    assert run_command(["log", "anchors"]) == 0
    assert "UTC  CN=tsa" in capsys.readouterr().out
    policy.write_text("quorum nobody\n")
    assert run_command(["log", "anchors", "--policy", str(policy)]) == 2
    assert "line 1" in capsys.readouterr().err


def test_the_archive_verifies_and_a_changed_token_is_found(
    local: LocalAuthority, tmp_path: Path, capsys: Captured
) -> None:
    asyncio.run(_notary())
    asyncio.run(_notary())
    archive = tmp_path / "g" / "archive"
    token = min((archive / "anchor").iterdir()) / "here.tsr"
    batches = [json.loads(path.read_bytes()) for path in (archive / "log").iterdir()]
    batch = next(each for each in batches if each["new_size"] == int(token.parent.name))
    roots = parse_authorities(local.roots.read_bytes(), "the roots")
    assert check_timestamp(token.read_bytes(), batch["checkpoint"].encode(), roots, "it")
    assert run_command(["verify"]) == 0
    token.chmod(0o600)
    token.write_bytes(token.read_bytes()[:-1] + b"\x00")
    assert run_command(["verify"]) == 1
    assert "V22" in capsys.readouterr().out


@pytest.mark.usefixtures("local")
@pytest.mark.parametrize("words", [["log", "check"], ["verify", "--checkpoint"]])
def test_a_kept_checkpoint_that_is_not_there_is_a_wrong_use(
    words: list[str], capsys: Captured
) -> None:  # fmt: skip
    assert run_command([*words, "kept.txt"]) == 2
    said = capsys.readouterr().err
    assert "kept.txt: cannot read the file: No such file or directory" in said
