"""A run that holds keys is waited for from before it loads any until it ends, however it does."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from audit_stream.app.erasing import erasing
from audit_stream.app.holds import open_holds
from audit_stream.app.registered import registered_run
from audit_stream.archive.fleet import Member, members, tell_epoch
from audit_stream.cli.retention_parts import carry_out
from audit_stream.errors import AuditError, KeyringError, RequestError
from audit_stream.kafka.embedded import free_ports
from audit_stream.keys.lock import RUN_FILE, keyring_lock
from audit_stream.settings import Settings
from tests.support import golden
from tests.support.erasing import RECORDS, SOMEBODY
from tests.support.keeping import Kept, Kill, Killed


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def settings_of(kept: Kept) -> Settings:
    return Settings.load(
        None, archive=(kept.folder / "archive").as_uri(),
        subjects=(kept.folder / "subjects").as_uri(), archive_name=golden.KEYRING.archive,
        keyring=str(kept.path), allow_assurance="mutable", topics=",".join(golden.TOPICS),
        index_dir=str(kept.folder / "index"),
    )  # fmt: skip


def fleet(kept: Kept) -> list[Member]:
    return asyncio.run(members(kept.private))


def test_a_run_holds_an_erasure_up_until_it_ends(kept: Kept) -> None:
    def run() -> None:
        with registered_run(settings_of(kept), "backfill"):
            [member] = fleet(kept)
            assert (member.role, member.epoch) == ("backfill", 1)
            looked = asyncio.run(kept.barrier(2).look())
            assert [each.process for each in looked.blockers] == [member.process]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    assert fleet(kept) == []


async def test_a_keyring_from_before_erases_and_disposes_of_nothing(kept: Kept) -> None:
    await tell_epoch(kept.private, 2)
    with pytest.raises(KeyringError, match="the archive is at 2"):
        async with erasing(settings_of(kept)):
            pass
    with pytest.raises(AuditError, match="the archive is at 2"):
        await carry_out(settings_of(kept), golden.FIRST_MS)
    assert kept.ring.keyring.epoch == 1


async def test_who_keeps_holds_or_erases_has_no_cover_mapped(kept: Kept) -> None:
    """Both may go on for long, and neither is waited for."""
    cover = str(kept.path.parent / "cover-1.bin")
    async with erasing(settings_of(kept)), open_holds(settings_of(kept)):
        assert not maps(cover)


def maps(path: str) -> bool:
    """Whether this process has a file mapped."""
    return path in Path("/proc/self/maps").read_text()


async def test_nothing_is_swept_that_a_batch_at_work_has_not_counted(kept: Kept) -> None:
    """Their keys are gone and their tags not yet: the certificate would be about no record."""
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(Killed):
        await kept.run(Kill("punctured", "after"))
    async with erasing(settings_of(kept)) as place:
        with pytest.raises(RequestError, match="at work"):
            await place.sweep()
        await kept.run()
        assert (await place.sweep()).zeroed == 0
    assert [each.count for each in await kept.certificates()] == [len(RECORDS[SOMEBODY])]


def test_a_keeper_that_runs_again_and_again_outlasts_what_passes(kept: Kept) -> None:
    [port] = free_ports(1)
    environment = os.environ | {
        "AUDIT_ARCHIVE": (kept.folder / "archive").as_uri(), "AUDIT_KEYRING": str(kept.path),
        "AUDIT_SUBJECTS": (kept.folder / "subjects").as_uri(), "AUDIT_WEB_PORT": str(port),
        "AUDIT_ARCHIVE_NAME": golden.KEYRING.archive, "AUDIT_TOPICS": ",".join(golden.TOPICS),
    }  # fmt: skip
    command = [sys.executable, "-m", "audit_stream", "redact", "run", "--every", "1"]
    with keyring_lock(kept.path, name=RUN_FILE):
        keeper = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        assert keeper.stderr is not None
        assert any("erasure:run" in line and "another process" in line for line in keeper.stderr)
    try:
        assert any("erasure:run" in line and "again" in line for line in keeper.stderr)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert b"audit_stream_erasure_due_timestamp_seconds 0.0" in answer.read()
    finally:
        keeper.terminate()
        keeper.communicate()
    assert keeper.returncode == 0
