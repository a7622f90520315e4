"""The end of a generation: one form, told from a segment, and nothing trusted by itself."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.ending import End, Ending, decode_link
from audit_stream.evidence.segment import Segment, encode, inflate
from audit_stream.evidence.signing import TrustedKeys
from tests.support import golden
from tests.support.resealed import SIGNER

ENDING = Ending(
    archive="a", base=60, ended_at="2026-11-25T00:00:00.000Z", generation=1, last=0, partition=3,
    prev="0" * 64, seq=1, stream="1" * 32, topic="t", void=[],
)  # fmt: skip


def stored(**members: Any) -> bytes:
    line = canonical({k: v for k, v in (orjson.loads(ENDING.line()) | members).items() if v != "-"})
    return encode(line, SIGNER.signature_line(line), b"")


def test_an_end_round_trips_and_is_told_from_a_segment() -> None:
    end = decode_link(ENDING.encode(SIGNER), "x")
    assert isinstance(end, End)
    assert end.ending == ENDING
    assert end.is_signed(golden.trusted())
    assert not end.is_signed(TrustedKeys(bytes(32)))
    assert all(
        isinstance(decode_link(data, name), Segment)
        for name, data in golden.archive_objects().items()
        if name.startswith("segments/")
    )


def test_the_first_of_a_partition_names_no_segment() -> None:
    end = decode_link(stored(last=None, prev=None, seq=0), "x")
    assert isinstance(end, End)
    assert end.ending.last is None


@pytest.mark.parametrize(
    "members",
    [
        {"archive": ""}, {"ended_at": 1}, {"topic": None}, {"base": -1}, {"seq": True},
        {"partition": "3"}, {"stream": "1"}, {"prev": "0"}, {"last": None}, {"prev": None},
        {"seq": 0}, {"last": 60}, {"last": -1}, {"last": "0"}, {"void": None},
        {"void": [{"name": "n"}]}, {"archive": "-"}, {"more": 1}, {"generation": 1.5},
    ],
)  # fmt: skip
def test_another_form_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        decode_link(stored(**members), "x")


def test_a_newer_version_cannot_be_judged() -> None:
    with pytest.raises(UnknownVersion):
        decode_link(stored(v="audit-end/2"), "x")


def test_nothing_stands_behind_the_signature() -> None:
    line, signature, _ = inflate(ENDING.encode(SIGNER), "x").split(b"\n")
    with pytest.raises(FormatError):
        decode_link(encode(line, signature, b"more\n"), "x")
