"""What commands and processes say of an archive whose newest part a newer release wrote: that they
cannot judge. It is no sign of tampering, and nothing is written over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from audit_stream.evidence import layout
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import decode, encode
from tests.support import golden
from tests.support.delivering import Delivering
from tests.support.resealed import OBJECTS, SIGNER, end_of, ending_of, stream_of
from tests.support.siem import siem

pytestmark = pytest.mark.timeout(120)
TOPIC = golden.TOPICS[0]
CANNOT_JUDGE = 3


def newer_segment(archive: Path) -> None:
    """The topic's last segment is of format 2."""
    name = max(name for name in OBJECTS if name.startswith(f"segments/{TOPIC}/"))
    segment = decode(OBJECTS[name], name)
    line = replace(segment.header, v="audit-segment/2").line()
    (archive / name).chmod(0o600)
    (archive / name).write_bytes(encode(line, SIGNER.signature_line(line), segment.body))


def newer_end(archive: Path) -> None:
    """Its generation has an end of a newer version."""
    ending = replace(ending_of(OBJECTS, TOPIC), v="audit-end/2")
    (archive / str(SegmentName(TOPIC, 1, 0, ending.base))).write_bytes(ending.encode(SIGNER))


def newer_stream(archive: Path) -> None:
    """It has a next generation, whose stream object is of a newer version."""
    ending = ending_of(OBJECTS, TOPIC)
    (archive / str(SegmentName(TOPIC, 1, 0, ending.base))).write_bytes(ending.encode(SIGNER))
    ended = [end_of(OBJECTS, TOPIC)]
    stream = replace(stream_of(TOPIC), generation=2, stream="ab" * 16, ended=ended)
    newer = replace(stream, v="audit-stream/2")
    (archive / layout.stream_name(TOPIC, 2)).write_bytes(newer.encode(SIGNER))


def objects(archive: Path) -> dict[str, bytes]:
    return {str(p.relative_to(archive)): p.read_bytes() for p in archive.rglob("*") if p.is_file()}


@pytest.mark.parametrize("newer", [newer_segment, newer_end, newer_stream])
def test_it_cannot_judge(tmp_path: Path, newer: Callable[[Path], None]) -> None:
    archive = tmp_path / "archive"
    with siem(tmp_path / "siem") as server:
        place = Delivering(tmp_path, server, {"AUDIT_INDEX_DIR": str(tmp_path / "index")})
        newer(archive)
        before = objects(archive)
        commands = (("verify",), ("deliver", "siem", "--once"), ("index", "rebuild"),
                    ("notary", "--once"))  # fmt: skip
        for words in commands:
            done = place.command(*words)
            assert done.returncode == CANNOT_JUDGE, (words, done.stdout, done.stderr)
            assert "fork" not in (done.stdout + done.stderr).lower(), words
    after = objects(archive)
    assert before.items() <= after.items()
    # The notary may have logged what it could judge: the streams, before it met the segment.
    assert {name.partition("/")[0] for name in after.keys() - before.keys()} <= {"log"}
