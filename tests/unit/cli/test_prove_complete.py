"""What `prove-complete` says, signs and ends with, of a period that retention overtook."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from audit_stream.cli.main import run_command
from audit_stream.keys.file import create_keyring, load_keyring
from audit_stream.stores.file import FileStore
from tests.support.chains import NAME, ChainMaker, stream_of

Captured = pytest.CaptureFixture[str]
Segments = list[tuple[int | None, int | None, str]]


@pytest.fixture
def maker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ChainMaker:
    """Of an archive of which the settings are in the environment."""
    keyring, archive = tmp_path / "keys" / "keyring.json", tmp_path / "archive"
    create_keyring(keyring, NAME)
    archive.mkdir()
    for name, value in {
        "ARCHIVE": archive.as_uri(), "ARCHIVE_NAME": NAME, "SUBJECTS": tmp_path.as_uri(),
        "BROKER": "kafka://127.0.0.1:1", "KEYRING": str(keyring),
    }.items():  # fmt: skip
        monkeypatch.setenv(f"AUDIT_{name}", value)
    return ChainMaker(
        FileStore(archive), stream_of("t", partitions=1), load_keyring(keyring).signer
    )


async def add(maker: ChainMaker, segments: Segments) -> None:
    await maker.found()
    for first, last, ledger in segments:
        await maker.add(first_ts=first, last_ts=last, ledger=ledger)


def at(milliseconds: int) -> str:
    return f"1970-01-01T00:00:00.{milliseconds:03}Z"


@pytest.mark.parametrize(
    ("segments", "code", "word", "said"),
    [
        ([(0, 5, "10i"), (12, 13, "10i"), (30, 31, "10i")], 0, "COMPLETE: ", True),
        ([(0, 5, "10i"), (30, 31, "5l5i")], 1, "NOT COMPLETE: ", False),
        ([(0, 5, "10i"), (12, 13, "10i")], 3, "NOT SHOWN COMPLETE: ", False),
        ([(0, 5, "10i"), (None, None, "10l")], 1, "NOT SHOWN COMPLETE: ", False),
    ],
    ids=["there", "lost", "open", "lost and open"],
)
def test_what_was_lost_is_not_stated_complete(
    maker: ChainMaker, tmp_path: Path, capsys: Captured, segments: Segments, code: int, word: str,
    said: bool,
) -> None:  # fmt: skip
    asyncio.run(add(maker, segments))
    words = ["prove-complete", "--topic", "t", "--from", at(10), "--to", at(20)]
    path = tmp_path / "statement"
    assert run_command([*words, "--output", str(path)]) == code
    out = capsys.readouterr().out
    assert any(line.startswith(word) for line in out.splitlines())
    assert ("LOST generation 1 partition 0: retention deleted" in out) is (code == 1)
    assert orjson.loads(path.read_bytes().split(b"\n", 1)[0])["complete"] is said


def test_of_a_rekeyed_topic_the_broker_has_to_say_that_all_is_copied(
    maker: ChainMaker, tmp_path: Path, capsys: Captured
) -> None:
    maker.stream = stream_of("t-rekeyed", partitions=1)
    asyncio.run(add(maker, [(12, 13, "10i"), (31, 32, "10i")]))
    words = ["prove-complete", "--topic", "t-rekeyed", "--from", at(10), "--to", at(20)]
    path = tmp_path / "statement"
    assert run_command([*words, "--output", str(path)]) == 3
    said = capsys.readouterr()
    assert "it cannot be shown yet: no Kafka broker answers" in said.err
    assert "NOT SHOWN COMPLETE: " in said.out
    assert orjson.loads(path.read_bytes().split(b"\n", 1)[0])["complete"] is False


def test_of_a_rekeyed_topic_no_period_is_over_that_lasts(
    maker: ChainMaker, capsys: Captured
) -> None:
    maker.stream = stream_of("t-rekeyed", partitions=1)
    asyncio.run(add(maker, [(12, 13, "10i")]))
    words = ["prove-complete", "--topic", "t-rekeyed", "--from", at(10), "--to", "2999-01-01"]
    assert run_command(words) == 3
    assert "it cannot be shown yet: the period is not over" in capsys.readouterr().err
