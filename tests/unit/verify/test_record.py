"""The fast reading of record lines accepts what `parse_record` accepts, and says the same of it."""

from __future__ import annotations

import os
import re
from hashlib import sha256

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence.compiled import compiled
from audit_stream.evidence.record import parse_record
from audit_stream.evidence.segment import decode
from audit_stream.verify import record as fast
from audit_stream.verify.record import (
    Facts,
    read_lines,
    read_lines_plain,
    read_record,
    read_slowly,
)
from tests.support.resealed import MESSAGES, OBJECTS, name, rehashed

LINES = [
    line
    for segment in sorted(OBJECTS)
    if segment.startswith("segments/")
    for line in decode(OBJECTS[segment], segment).record_lines()
]
LINE = LINES[0]
RISE = next(line for line in LINES if b'"supersedes":"' in line)
PIECES = [
    b'"', b"\\", b"\\u0041", b"\\n", b"\xc3\xa9", b"\xff", b"\x7f", b"\x00", b"\n", b" ", b"null",
    b"true", b"false", b"1", b"0", b"01", b"-1", b"1.0", b"1e3", b"9007199254740992", b"[]", b"{}",
    b",", b":", b'"x":1,', b'"erased":true,', b"READ", b"EXPIRED", b"2026-13-41T25:61:61.999Z",
    b"audit-record/2", b'""', "\u0664".encode(),
]  # fmt: skip


def verdict(read: object, line: bytes) -> object:
    """What a reader says of a line: the integrity hash, or the error in its own words."""
    try:
        return read(line, "line 3").integrity_hash  # type: ignore[operator]
    except FormatError as error:
        return type(error), error.message


def read_in_body(line: bytes, what: str) -> Facts:
    """As the verifier reads a segment's lines: by the compiled pass, if there is one."""
    [_, read, _] = read_lines(b"x\n%b\n{}\n" % line)
    return read_slowly(read, what) if isinstance(read, bytes) else read


def assert_same(line: bytes) -> None:
    told = verdict(parse_record, line)
    assert verdict(read_record, line) == told
    if b"\n" not in line:
        assert verdict(read_in_body, line) == told
        assert read_lines(line + b"\n") == read_lines_plain(line + b"\n")


def test_nearly_every_real_line_is_read_fast() -> None:
    fast_lines = sum(fast._match(line) is not None for line in LINES)
    assert fast_lines >= 0.9 * len(LINES)
    assert fast._match(RISE)


def test_all_ways_give_the_same_facts() -> None:
    for line in LINES:
        assert read_record(line, "x") == read_slowly(line, "x") == read_in_body(line, "x")


def test_a_body_is_read_line_by_line() -> None:
    body = b"".join(line + b"\n" for line in LINES)
    assert [read if isinstance(read, Facts) else read_slowly(read, "x") for read in
            read_lines(body)] == [read_slowly(line, "x") for line in LINES]  # fmt: skip
    assert read_lines(b"") == []
    assert read_lines(b"\n\n") == [b"", b""]


def test_a_status_without_a_rank_is_not_judged_fast() -> None:
    line = rehashed(re.sub(b'"delivery_status":"[A-Z]+"', b'"delivery_status":"SENT"', LINE))
    assert read_lines(line + b"\n") == read_lines_plain(line + b"\n") == [line]


def test_the_compiled_reading_is_there_where_it_has_to_be() -> None:
    if os.environ.get("AUDIT_TEST_REQUIRE") == "1":
        assert compiled is not None


def test_the_facts_are_those_of_the_line() -> None:
    facts = read_record(RISE, "x")
    record = parse_record(RISE, "x")
    assert facts.integrity_hash == record.integrity_hash
    assert facts.source.decode() == record.pub["source"]
    assert facts.supersedes is not None
    assert facts.supersedes.decode() == record.pub["supersedes"]
    assert (facts.revision, facts.ingested.decode()) == (
        record.pub["revision"], record.pub["ingestion_timestamp"],
    )  # fmt: skip


@pytest.mark.parametrize("line", [LINE, RISE], ids=["first", "rise"])
def test_every_flipped_bit_gets_the_same_verdict_and_is_found(line: bytes) -> None:
    flips = 0
    for at in range(len(line)):
        for bit in range(8):
            flipped = line[:at] + bytes([line[at] ^ 1 << bit]) + line[at + 1 :]
            assert_same(flipped)
            if not line.index(b'"pii":"') + 7 <= at < line.index(b'","pub"'):
                assert isinstance(verdict(read_record, flipped), tuple)  # only `pii` is not hashed
                flips += 1
    assert flips > 5000


@pytest.mark.parametrize("line", [LINE, RISE], ids=["first", "rise"])
def test_every_flipped_bit_under_a_fitting_hash_gets_the_same_verdict(line: bytes) -> None:
    refused = 0
    start = line.index(b',"pub":') + 7
    for at in range(start, len(line) - 1):
        for bit in range(8):
            flipped = rehashed(line[:at] + bytes([line[at] ^ 1 << bit]) + line[at + 1 :])
            assert_same(flipped)
            refused += isinstance(verdict(read_record, flipped), tuple)
    assert refused > 2000


@settings(max_examples=1500, deadline=None)
@given(
    line=st.sampled_from(LINES),
    where=st.floats(0, 1, exclude_max=True),
    cut=st.integers(0, 40),
    piece=st.sampled_from(PIECES) | st.binary(max_size=4),
    fit=st.booleans(),
)
@example(LINE, 0.999, 0, b"", True)
def test_cut_and_pasted_lines_get_the_same_verdict(
    line: bytes, where: float, cut: int, piece: bytes, fit: bool
) -> None:
    at = int(where * len(line))
    changed = line[:at] + piece + line[at + cut :]
    assert_same(rehashed(changed) if fit and b',"pub":' in changed else changed)


VALUES = (
    b"null", b"true", b"false", b"0", b"1", b"2.5", b"-1", b"1e2", b'"x"', b'""', b"[]", b"{}",
    b'"\\u00e9"', b'"\xc3\xa9"', b'"\\n"', b'"\\""', b'"a\x7fb"', b"9007199254740991",
    b"9007199254740992", b"123456789012345678901234567890", b'["a"]', b"00", b'"READ"',
    b'"audit-record/9"', b'"2026-02-30T00:00:00.000Z"',
)  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_every_member_with_any_other_value_gets_the_same_verdict(value: bytes) -> None:
    for member in parse_record(RISE, "x").pub:
        head, mark, rest = RISE.partition(f'"{member}":'.encode())
        end = rest.index(b"]") + 1 if rest[:1] == b"[" else min(
            at for at in (rest.find(b',"'), rest.find(b"}")) if at >= 0
        )  # fmt: skip
        assert_same(rehashed(head + mark + value + rest[end:]))
        assert_same(rehashed(head + mark + rest[end:]))
        assert_same(rehashed(head + rest[end:].removeprefix(b",")))


def test_unsorted_digests_are_refused() -> None:
    start = LINE.index(b'"_sd":["') + 8
    one, two = LINE[start : start + 43], LINE[start + 46 : start + 89]
    swapped = rehashed(LINE[:start] + two + b'","' + one + LINE[start + 89 :])
    with pytest.raises(FormatError, match="_sd is not sorted"):
        read_record(swapped, "line 3")


def test_a_newer_record_cannot_be_judged() -> None:
    with pytest.raises(UnknownVersion):
        read_record(rehashed(LINE.replace(b"audit-record/1", b"audit-record/2")), "line 3")


def test_ids_that_read_alike_side_by_side_are_kept_apart() -> None:
    def facts(tenant: bytes, message: bytes) -> Facts:
        pub = parse_record(LINE, "x").pub
        old_tenant, old_message = (pub[n].encode() for n in ("platform_tenant_id", "message_uuid"))
        line = LINE.replace(b'"%b"' % old_tenant, b'"%b"' % tenant)
        return read_record(rehashed(line.replace(b'"%b"' % old_message, b'"%b"' % message)), "x")

    assert facts(b"ab", b"c").message != facts(b"a", b"bc").message
    assert facts(b"ab", b"c").message == facts(b"ab", b"c").message
    assert facts("é".encode(), b"c").message != facts(b"e", b"c").message


def test_the_last_golden_line_hashes_what_stands_in_it() -> None:
    line = decode(OBJECTS[name(MESSAGES, 240)], "x").record_lines()[-1]
    pub = line[line.index(b',"pub":') + 7 : -1]
    assert read_record(line, "x").integrity_hash == sha256(pub).digest()
