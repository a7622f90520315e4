"""P5: whatever is changed, dropped, added or reordered in an archive is found."""

from __future__ import annotations

import zlib
from hashlib import sha256
from struct import pack

import pytest

from audit_stream.errors import FormatError
from audit_stream.evidence.layout import stream_name
from audit_stream.evidence.segment import (
    GZIP_HEADER,
    Header,
    decode,
    inflate,
)
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import decode_stream
from audit_stream.verify.report import Verdict
from tests.support import golden
from tests.support.resealed import EMAIL, MESSAGES, OBJECTS, edited, name, only, resigned, verified


def gz(plain: bytes) -> bytes:
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    body = deflate.compress(plain) + deflate.flush()
    return GZIP_HEADER + body + pack("<II", zlib.crc32(plain), len(plain))


def test_the_golden_archive_verifies() -> None:
    report = verified(OBJECTS)
    assert report.verdict is Verdict.VERIFIED
    assert (report.segments, report.records, report.streams) == (7, 112, 3)
    assert len(report.notes) == 1
    assert "stand-in" in report.notes[0]


def test_every_flip_of_an_uncompressed_byte_is_found() -> None:
    objects, target = only(MESSAGES), name(MESSAGES, 240)  # one record: 2 KiB
    plain = inflate(objects[target], target)
    for at in range(len(plain)):
        flipped = plain[:at] + bytes([plain[at] ^ 0x01]) + plain[at + 1 :]
        found = verified(objects | {target: gz(flipped)}).verdict
        assert found is not Verdict.VERIFIED, f"byte {at}"


@pytest.mark.parametrize("at", range(len(GZIP_HEADER)))
def test_every_flip_in_the_gzip_header_is_found(at: int) -> None:
    objects, target = only(EMAIL), name(EMAIL, 0)
    data = objects[target]
    for bit in range(8):
        flipped = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
        assert verified(objects | {target: flipped}).problems[0].step == "V1"


def test_bytes_after_or_missing_from_the_member_are_found() -> None:
    objects, target = only(EMAIL), name(EMAIL, 0)
    data = objects[target]
    for changed in (data + b"\0", data + data, data[:-1], data[:-8], data[:20], b""):
        assert verified(objects | {target: changed}).problems[0].step == "V1"


def lines_of(target: str) -> list[bytes]:
    return decode(OBJECTS[target], target).record_lines()


def test_dropped_swapped_doubled_lines_are_found_even_when_signed_again() -> None:
    objects, target = only(EMAIL), name(EMAIL, 0)
    lines = lines_of(target)
    for index in range(len(lines)):
        dropped = lines[:index] + lines[index + 1 :]
        assert verified(objects | {target: resigned(OBJECTS[target], dropped)}).problems
        doubled = [*lines[: index + 1], *lines[index:]]
        assert verified(objects | {target: resigned(OBJECTS[target], doubled)}).problems
        swapped = list(lines)
        swapped[index - 1], swapped[index] = swapped[index], swapped[index - 1]
        assert verified(objects | {target: resigned(OBJECTS[target], swapped)}).problems


@pytest.mark.parametrize("base", [0, 60, 120, 180])
def test_a_dropped_segment_is_found_unless_it_is_the_last(base: int) -> None:
    objects = only(MESSAGES)
    del objects[name(MESSAGES, base)]
    assert verified(objects).problems[0].step == "V11"


def test_the_last_segment_only_a_checkpoint_can_miss() -> None:
    objects = only(MESSAGES)
    del objects[name(MESSAGES, 240)]
    assert verified(objects).verdict is Verdict.VERIFIED


@pytest.mark.parametrize(("one", "other"), [(0, 60), (60, 120), (120, 240)])
def test_swapped_segments_are_found(one: int, other: int) -> None:
    objects = only(MESSAGES)
    first, second = name(MESSAGES, one), name(MESSAGES, other)
    objects[first], objects[second] = objects[second], objects[first]
    assert verified(objects).problems[0].step == "V3"


def test_a_segment_put_in_between_is_found() -> None:
    objects = only(MESSAGES)
    inserted = resigned(objects[name(MESSAGES, 240)], base=251, next=262)
    report = verified(objects | {name(MESSAGES, 251): inserted})
    assert report.problems[0].step == "V11"


def test_a_second_signed_segment_at_a_base_is_a_fork() -> None:
    objects = only(MESSAGES)
    target = name(MESSAGES, 60)
    void = [{"name": target, "sha256": sha256(objects[target]).hexdigest()}]
    other = resigned(objects[target], void=void)
    report = verified(objects | {name(MESSAGES, 60, 1): other})
    assert any("fork" in problem.what for problem in report.problems)


def test_junk_under_a_name_is_passed_over_only_when_named() -> None:
    objects = only(EMAIL)
    target, junk = name(EMAIL, 0), b"not a segment"
    good = objects[target]
    void = [{"name": target, "sha256": sha256(junk).hexdigest()}]
    moved = {target: junk, name(EMAIL, 0, 1): resigned(good, void=void)}
    assert verified(objects | moved).problems == []
    unnamed = [{"name": target, "sha256": "0" * 64}]
    moved = {target: junk, name(EMAIL, 0, 1): resigned(good, void=unnamed)}
    assert verified(objects | moved).problems[0].step == "V12"


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"base": 1, "ledger": "12i4a4iaiaia4i2ai2ai6a"}, "V3"),
        ({"generation": 2}, "V3"), ({"partition": 1}, "V3"), ({"topic": "other"}, "V3"),
        ({"void": [{"name": "x", "sha256": "0" * 64}]}, "V3"),
        ({"kid": "0" * 16}, "V4"),
        ({"archive": "other"}, "V5"), ({"stream": "0" * 32}, "V5"),
        ({"body": "0" * 64}, "V6"),
        ({"ledger": "14i4aiaiaiai4i2ai2ai6a", "count": 17}, "V2"),
        ({"count": 16}, "V2"), ({"ledger": "42x", "count": 0}, "V2"),
        ({"next": 41}, "V2"), ({"next": 0}, "V2"), ({"seq": 1}, "V2"), ({"prev": "0" * 64}, "V2"),
        ({"assurance": "sworn"}, "V2"), ({"root": "0" * 63}, "V2"), ({"raw": "xyz"}, "V2"),
        ({"first_ts": None}, "V2"), ({"sealed_at": 5}, "V2"), ({"v": "audit-other/1"}, "V2"),
        ({"record": "audit-record"}, "V2"), ({"count": True}, "V2"), ({"base": -1}, "V2"),
        ({"root": "0" * 64}, "V10"), ({"prev": "0" * 64, "seq": 1}, "V11"),
        ({"status_map": "1" * 64}, "V15"),
    ],
)  # fmt: skip
def test_a_changed_header_fails_at_its_step(changes: dict[str, object], step: str) -> None:
    objects, target = only(EMAIL), name(EMAIL, 0)
    report = verified(objects | {target: resigned(objects[target], **changes)})
    assert [problem.step for problem in report.problems][:1] == [step]


@pytest.mark.parametrize("member", ["v", "record"])
def test_a_newer_version_cannot_be_judged(member: str) -> None:
    objects, target = only(EMAIL), name(EMAIL, 0)
    newer = {"v": "audit-segment/9", "record": "audit-record/9"}[member]
    report = verified(objects | {target: resigned(objects[target], **{member: newer})})
    assert report.verdict is Verdict.CANNOT_JUDGE


@pytest.mark.parametrize(
    ("old", "new", "step"),
    [
        (b'"revision":1', b'"revision":2', "V13"), (b'"revision":1', b'"revision":0', "V8"),
        (b'"supersedes":null', b'"supersedes":"x/1/0/1"', "V13"),
        (b'"legal_hold":true', b'"legal_hold":false', "V8"),
        (b'"legal_hold":true', b'"legal_hold":1', "V8"),
        (b'"delivery_status":"', b'"delivery_status":"X', "V8"),
        (b'"origin":null', b'"origin":5', "V8"), (b'"origin":null', b'"origin":1.5', "V8"),
        (b'"origin":null,', b"", "V8"), (b'"v":"audit-record/1"', b'"v":"other/1"', "V8"),
        (b'"_sd":["', b'"_sd":["A', "V8"), (b"/1/0/", b"/1/0/9", "V9"),
        (b'"audit_id":"', b'"audit_id": "', "V8"), (b'"pii":"', b'"pii":"AAAA', "V8"),
        (b"Z", b"", "V8"),
    ],
)  # fmt: skip
def test_a_changed_record_fails_at_its_step(old: bytes, new: bytes, step: str) -> None:
    target = name(EMAIL, 0)
    report = verified(only(EMAIL) | {target: edited(OBJECTS[target], 0, (old, new))})
    assert [problem.step for problem in report.problems][:1] == [step]


def test_a_record_count_that_differs_is_found() -> None:
    target = name(EMAIL, 0)
    changed = resigned(OBJECTS[target], lines_of(target)[:-1])
    assert verified(only(EMAIL) | {target: changed}).problems[0].step == "V7"


def test_no_key_no_stream_no_trust() -> None:
    assert verified(only(EMAIL), TrustedKeys(bytes([9]) * 32)).problems
    objects = only(EMAIL)
    del objects[stream_name(EMAIL, 1)]
    assert verified(objects).problems[0].step == "V14"
    stream = OBJECTS[stream_name(EMAIL, 1)]
    for at in range(len(stream)):
        changed = stream[:at] + bytes([stream[at] ^ 1]) + stream[at + 1 :]
        report = verified(only(EMAIL) | {stream_name(EMAIL, 1): changed})
        assert report.problems or report.unknown


def test_a_stream_object_under_another_name_is_found() -> None:
    objects = only(EMAIL)
    objects[stream_name(EMAIL, 2)] = objects[stream_name(EMAIL, 1)]
    assert verified(objects).problems[0].step == "V14"


def test_a_status_map_must_have_its_hash() -> None:
    objects, target = only(EMAIL), name(EMAIL, 0)
    the_map = golden.STATUS_MAP
    objects[target] = resigned(objects[target], status_map=the_map.hash)
    good = objects | {f"maps/{the_map.hash}.json": the_map.canonical_bytes}
    assert verified(good).problems == []
    assert verified(good | {f"maps/{the_map.hash}.json": b"{}"}).problems[0].step == "V15"


def test_strange_objects_are_noted() -> None:
    assert any("notes.txt" in note for note in verified(OBJECTS | {"notes.txt": b""}).notes)


def test_the_header_line_round_trips() -> None:
    segment = decode(OBJECTS[name(EMAIL, 0)], "x")
    assert isinstance(segment.header, Header)
    assert segment.header.line() == segment.header_line
    with pytest.raises(FormatError):
        decode_stream(b"", "x", golden.trusted())
