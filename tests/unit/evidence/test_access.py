"""Parts of access journals and the log's line about them."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence.access import (
    AccessLine,
    JournalHead,
    JournalPart,
    decode_access_line,
    decode_part,
)
from audit_stream.evidence.canonical import canonical
from tests.support.access import entry, part


def test_a_part_is_what_the_specification_says() -> None:
    made = part(1, entry("a"), entry("b"), prev=b"\x07" * 32)
    header, *entries = made.encode().split(b"\n")
    assert made.name == "access/00000000000000000001/00112233aabbccdd.ndjson"
    assert json.loads(header) == {
        "archive": "audit.example/chains",
        "body": sha256(entry("a") + b"\n" + entry("b") + b"\n").hexdigest(), "count": 2,
        "first": "2026-11-25T00:00:00.000Z", "journal": "00112233aabbccdd",
        "last": "2026-11-25T00:00:00.000Z", "number": 1, "prev": "07" * 32, "v": "audit-journal/1",
    }  # fmt: skip
    assert entries == [entry("a"), entry("b"), b""]
    assert made.leaf == sha256(b"\x00" + header).digest()
    assert decode_part(made.encode(), "it") == made


def test_whatever_byte_is_changed_shows() -> None:
    made = part(0, entry("a"), entry("b"))
    data = made.encode()
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            other = decode_part(changed, "it")
        except FormatError:
            continue
        assert other.leaf != made.leaf, at
    for end in range(len(data)):
        with pytest.raises(FormatError):
            decode_part(data[:end], "it")


def with_header(made: JournalPart, **changes: Any) -> bytes:
    header, _, body = made.encode().partition(b"\n")
    return canonical({**json.loads(header), **changes}) + b"\n" + body


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 1}, {"body": "0" * 64}, {"first": "x"}, {"number": "0"}, {"prev": "xx"},
        {"journal": "me"}, {"archive": None}, {"more": 1}, {"v": "audit-access/1"}, {"v": None},
    ],
)  # fmt: skip
def test_a_header_of_other_members_is_none(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        decode_part(with_header(part(0, entry("a"), entry("b")), **changes), "it")


def test_newer_versions_are_not_judged() -> None:
    with pytest.raises(UnknownVersion):
        decode_part(with_header(part(0, entry("a")), v="audit-journal/2"), "it")
    with pytest.raises(UnknownVersion):
        part(0, canonical({**json.loads(entry("a")), "v": "audit-access-entry/2"})).header()
    with pytest.raises(UnknownVersion):
        decode_access_line(canonical({"journals": [], "v": "audit-access/2"}), "it")


def test_an_entry_has_its_members_and_no_other() -> None:
    for bad in (b"{}", b"x", canonical({**json.loads(entry("a")), "customer": "c"})):
        with pytest.raises(FormatError):
            part(0, bad).header()


def test_the_line_of_the_log() -> None:
    line = AccessLine({"b" * 16: JournalHead(2, b"\1" * 32), "a" * 16: JournalHead(1, b"\2" * 32)})
    assert json.loads(line.line()) == {
        "journals": [
            {"journal": "a" * 16, "leaf": "02" * 32, "next": 1},
            {"journal": "b" * 16, "leaf": "01" * 32, "next": 2},
        ],
        "v": "audit-access/1",
    }
    assert decode_access_line(line.line(), "it") == line


@pytest.mark.parametrize(
    "journals",
    [
        None, [1], [{}], [{"journal": "x", "leaf": "01" * 32, "next": 1}],
        [{"journal": "a" * 16, "leaf": "01", "next": 1}],
        [{"journal": "a" * 16, "leaf": "01" * 32, "next": 0}],
        [{"journal": "a" * 16, "leaf": "01" * 32, "next": "1"}],
        [{"journal": "a" * 16, "leaf": "01" * 32, "next": 1}] * 2,
        [{"journal": j * 16, "leaf": "01" * 32, "next": 1} for j in "ba"],
    ],
)  # fmt: skip
def test_other_lines_are_none(journals: Any) -> None:
    with pytest.raises(FormatError):
        decode_access_line(canonical({"journals": journals, "v": "audit-access/1"}), "it")
    with pytest.raises(FormatError):
        decode_access_line(canonical({"journals": [], "more": 1, "v": "audit-access/1"}), "it")
