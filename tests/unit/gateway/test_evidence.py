"""Bundles by the API and by `export`, checked by the program that needs nothing of ours."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_stream.archive.fleet import EPOCH, tell_epoch
from audit_stream.archive.history import History
from audit_stream.archive.private import PrivateObjects
from audit_stream.bundle.messages import Collector
from audit_stream.cli.main import run_command
from audit_stream.evidence.checkpoint import Checkpoint
from audit_stream.evidence.log_tree import Frontier
from audit_stream.keys.file import load_keyring, log_signer
from audit_stream.notary.log import ArchiveLog
from audit_stream.stores.file import FileStore
from audit_stream.stores.subjects import FileSubjectStore
from tests.support.asking import Asked
from tests.support.indexing import CUSTOMERS

SHIPPED = Path(__file__).parents[3] / "audit_stream" / "bundle" / "shipped" / "verify.py"
UNANCHORED = 10


def checked(bundle: Path, asked: Asked, folder: Path, *more: str) -> tuple[int, str]:
    """Exit code and output of verify.py, which trusts the log's key."""
    key = log_signer(load_keyring(asked.settings.keyring).keyring).key
    policy = folder / "policy.txt"
    policy.write_text(f"log {key}\nquorum none\n")
    done = subprocess.run(
        [sys.executable, "-I", str(SHIPPED), str(bundle), "--policy", str(policy), *more],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def asked_for(asked: Asked, headers: dict[str, str], **body: Any) -> Any:
    return asked.client.post("/api/v1/audit/evidence", json=body, headers=headers)


def test_the_api_gives_a_bundle_that_checks_without_us(asked: Asked, tmp_path: Path) -> None:
    (tenant, customer), messages = next(iter(CUSTOMERS.items()))
    answer = asked_for(
        asked, asked.token(tenant), message_uuid=messages[0][1], customer_external_id=customer
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    written = asked.journal()[-1]
    assert (written["kind"], written["status"]) == ("export", 200)
    assert written["messages"] == [messages[0][1]]
    path = tmp_path / "evidence.zip"
    path.write_bytes(answer.content)
    code, said = checked(path, asked, tmp_path)
    assert code == UNANCHORED, said
    with zipfile.ZipFile(path) as bundle:
        assert "response.jws" in bundle.namelist()
        assert customer in bundle.read("report.html").decode()
    flipped = bytearray(answer.content)
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(bytes(flipped))
    assert checked(path, asked, tmp_path)[0] == 40


def test_who_may_not_export_gets_none_and_it_is_on_record(asked: Asked) -> None:
    reader = asked.token("*", scopes=("audit:read",))
    (_, _customer), messages = next(iter(CUSTOMERS.items()))
    assert asked_for(asked, reader, message_uuid=messages[0][1]).status_code == 403
    unknown = asked_for(asked, asked.token("*"), message_uuid="unknown")
    assert unknown.status_code == 404
    assert unknown.json().keys() >= {"signature", "as_of", "archived_through"}
    assert asked_for(asked, asked.token("t"), customer_external_id="x").status_code == 400
    assert any(e["kind"] == "export" and e["status"] == 404 for e in asked.journal())


@pytest.fixture
def environment(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("archive", "archive_name", "keyring", "index_dir"):
        monkeypatch.setenv(f"AUDIT_{name.upper()}", str(getattr(asked.settings, name)))


@pytest.mark.usefixtures("environment")
def test_export_writes_the_same_beside_a_running_gateway(asked: Asked, tmp_path: Path) -> None:
    (tenant, customer), messages = max(CUSTOMERS.items(), key=lambda item: len(item[1]))
    path = tmp_path / "all.zip"
    words = ["export", "--customer", customer, "--tenant", tenant, "-o", str(path)]
    assert run_command(words) == 0
    code, said = checked(path, asked, tmp_path)
    assert code == UNANCHORED, said
    with zipfile.ZipFile(path) as bundle:
        lines = [n for n in bundle.namelist() if n.startswith("records/") and n.endswith(".line")]
        found = {json.loads(bundle.read(name))["pub"]["message_uuid"] for name in lines}
    assert found == {message for _, message in messages}
    assert run_command(["export", "--message", "unknown", "-o", str(path)]) == 1
    assert run_command(["export", "-o", str(path)]) == 2


def kept_of(asked: Asked, size: int, folder: Path, *, other: bool = False) -> Path:
    """A checkpoint of the log's first leaves, as somebody kept it; or of `other` leaves."""
    signer = log_signer(load_keyring(asked.settings.keyring).keyring)

    async def leaves() -> list[bytes]:
        log = ArchiveLog(FileStore(asked.settings.archive_path), signer.key)
        return [leaf.hash async for batch in log.batches(0) for leaf in batch.leaves]

    first = asyncio.run(leaves())[:size]
    root = Frontier().add(reversed(first) if other else first).root
    checkpoint = Checkpoint(origin=signer.key.name, size=size, root=root)
    path = folder / "kept.txt"
    path.write_bytes(signer.sign(checkpoint.text()).encode())
    return path


@pytest.mark.usefixtures("environment")
def test_export_shows_that_the_log_continues_what_its_reader_kept(
    asked: Asked, tmp_path: Path
) -> None:
    (_, messages), path = next(iter(CUSTOMERS.items())), tmp_path / "next.zip"
    words = ["export", "--message", messages[0][1], "-o", str(path), "--checkpoint"]
    kept = kept_of(asked, 3, tmp_path)
    assert run_command([*words, str(kept)]) == 0
    code, said = checked(path, asked, tmp_path, "--checkpoint", str(kept))
    assert (code, "not checked  10" in said) == (UNANCHORED, False), said
    with zipfile.ZipFile(path) as bundle:
        [name] = [each for each in bundle.namelist() if each.startswith("consistency/")]
    assert name.startswith("consistency/3-")
    older = kept_of(asked, 4, tmp_path)
    _, said = checked(path, asked, tmp_path, "--checkpoint", str(older))
    assert "there is no consistency/4-" in said


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("size", [3, 10**6])
def test_what_the_log_does_not_continue_is_not_exported(
    asked: Asked, tmp_path: Path, size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (_, messages), path = next(iter(CUSTOMERS.items())), tmp_path / "next.zip"
    kept = kept_of(asked, size, tmp_path, other=True)
    words = ["export", "--message", messages[0][1], "-o", str(path), "--checkpoint", str(kept)]
    assert run_command(words) == 1
    assert not path.exists()
    assert "archive log" in capsys.readouterr().err


@pytest.fixture
def private(asked: Asked) -> Iterator[PrivateObjects]:
    """The archive's; what is told of its epoch is taken back."""
    index_key = load_keyring(asked.settings.keyring).keyring.index_key
    private = PrivateObjects(FileSubjectStore(asked.settings.subjects_path), index_key)

    async def take_back() -> None:
        if (told := await private.get(EPOCH)) is not None:
            await private.remove(told)

    yield private
    asyncio.run(take_back())


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("reading", [(Collector, "collect"), (History, "of")])
def test_who_is_erased_while_it_is_read_is_not_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    private: PrivateObjects, reading: tuple[type, str],
) -> None:  # fmt: skip
    """Who reads with the keys of before says so to nobody: the erasure does not wait for it."""
    kind, name = reading
    read = getattr(kind, name)

    async def overtaken(*args: Any, **more: Any) -> Any:
        found = await read(*args, **more)
        await tell_epoch(private, 2)
        return found

    monkeypatch.setattr(kind, name, overtaken)
    (_, messages), path = next(iter(CUSTOMERS.items())), tmp_path / "late.zip"
    message = messages[0][1]
    words = ["show", message] if kind is History else ["export", "--message", message, "-o", path]
    assert run_command([str(each) for each in words]) == 2
    said = capsys.readouterr()
    assert "has the epoch 1, the archive is at 2" in said.err
    assert (said.out, path.exists()) == ("", False)
