"""Which formats are read, which is written, and that a chain never goes back."""

from __future__ import annotations

import pytest

from audit_stream.errors import ConfigError, FormatError, UnknownVersion
from audit_stream.evidence.formats import FIRST, FORMATS, format_of, number_of
from audit_stream.evidence.segment import parse_header
from audit_stream.seal.builder import Link, Origin, SegmentBuilder
from audit_stream.settings import Settings
from tests.support import golden
from tests.support.next_release import SECOND
from tests.support.resealed import SIGNER, stream_of

TOPIC = golden.TOPICS[0]


def test_a_header_has_the_format_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = {"v": SECOND.segment, "record": SECOND.record}
    with pytest.raises(UnknownVersion, match="audit-segment/2, which this release does not know"):
        format_of(newer, "a header")
    monkeypatch.setitem(FORMATS, SECOND.number, SECOND)
    assert format_of(newer, "a header") is SECOND
    assert format_of({"v": FIRST.segment, "record": FIRST.record}, "a header") is FIRST
    assert number_of(SECOND.segment) == SECOND.number


@pytest.mark.parametrize("said", ["audit-record/1", None, 1, ["audit-segment/1"], {}])
def test_what_says_nothing_of_a_segment_is_no_segment(said: object) -> None:
    with pytest.raises(FormatError) as caught:
        format_of({"v": said, "record": FIRST.record}, "a header")
    assert not isinstance(caught.value, UnknownVersion)


def test_records_of_another_version_are_another_format() -> None:
    with pytest.raises(UnknownVersion):
        format_of({"v": FIRST.segment, "record": "audit-record/2"}, "a header")


@pytest.mark.parametrize(("told", "before", "written"), [(1, 1, 1), (2, 1, 2), (1, 2, 2)])
def test_a_chain_never_goes_back(
    monkeypatch: pytest.MonkeyPatch, told: int, before: int, written: int
) -> None:
    monkeypatch.setitem(FORMATS, SECOND.number, SECOND)
    builder = SegmentBuilder(0, b"k" * 32)
    builder.add(golden.judged(TOPIC)[0], 0)
    origin = Origin(
        archive="a", assurance="mutable", writer="w", status_map="0" * 64, key_epoch=1,
        raw_key=b"", format=told,
    )  # fmt: skip
    link = Link(next=0, seq=0, leaf=None, format=before)
    sealed = builder.seal(link, stream_of(TOPIC), 0, origin, SIGNER, 0)
    assert sealed.header.v == FORMATS[written].segment
    assert sealed.link.format == written
    assert parse_header(sealed.header.line(), "the header") == sealed.header


def test_a_format_that_is_not_known_here_is_not_to_be_written() -> None:
    with pytest.raises(ConfigError, match=r"AUDIT_WRITE_FORMAT.*this release writes the formats 1"):
        Settings.load(None, write_format=2)
