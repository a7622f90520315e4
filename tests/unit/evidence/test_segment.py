"""The form of a segment: one framing is written, exactly that one is read."""

from __future__ import annotations

import gzip
import zlib
from struct import pack
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.segment import (
    GZIP_HEADER,
    decode,
    decode_plain,
    encode,
    inflate,
    parse_header,
)
from tests.support import golden

NAME = "segments/outbound_message_status_update/00001/00000/00000000000000000000.ndjson.gz"
STORED = golden.archive_objects()[NAME]
PLAIN = inflate(STORED, NAME)
HEADER, SIGNATURE, BODY = PLAIN.split(b"\n", 2)


def framed(plain: bytes, head: bytes = GZIP_HEADER, crc: int = 0, size: int = 0) -> bytes:
    """`plain` as a gzip member by another deflate; `crc` and `size` are added to the right ones."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflate.compress(plain) + deflate.flush()
    return head + body + pack("<II", zlib.crc32(plain) ^ crc, len(plain) + size)


def changed(**members: Any) -> bytes:
    header = orjson.loads(HEADER)
    return canonical({k: v for k, v in (header | members).items() if v != "MISSING"})


@given(st.binary(max_size=4000))
def test_what_is_framed_is_read_and_any_gzip_reads_it(body: bytes) -> None:
    stored = encode(b"one", b"two", body)
    assert inflate(stored, "x") == b"one\ntwo\n" + body == gzip.decompress(stored)
    assert stored.startswith(bytes.fromhex("1f8b08000000000000ff"))


def test_a_stored_segment_round_trips() -> None:
    segment = decode(STORED, NAME)
    assert (segment.header_line, segment.body) == (HEADER, BODY)
    assert segment.header.line() == HEADER
    assert b"".join(line + b"\n" for line in segment.record_lines()) == BODY
    assert decode(encode(HEADER, SIGNATURE, BODY), NAME) == segment
    assert decode(framed(PLAIN), NAME) == segment  # hashes are over the uncompressed bytes


@pytest.mark.parametrize(
    "data",
    [b"", GZIP_HEADER, STORED[:-1], STORED + b"\x00", STORED + STORED, STORED[1:], PLAIN,
     gzip.compress(PLAIN, mtime=1), framed(PLAIN, crc=1), framed(PLAIN, size=1),
     framed(PLAIN, GZIP_HEADER[:3] + b"\x08" + GZIP_HEADER[4:] + b"name\x00"),
     framed(PLAIN, GZIP_HEADER[:8] + b"\x02\xff"), framed(PLAIN, GZIP_HEADER[:9] + b"\x03"),
     GZIP_HEADER + b"\xff" * 40],
)  # fmt: skip
def test_another_framing_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode(data, "x")


@pytest.mark.parametrize(
    "plain",
    [b"", b"\n", b"\n\n", HEADER, HEADER + b"\n", HEADER + b"\n" + SIGNATURE, PLAIN[:-1],
     SIGNATURE + b"\n" + HEADER + b"\n" + BODY, b"\n" + PLAIN, PLAIN.replace(b"\n", b"\r\n", 1),
     HEADER + b"\n\n" + BODY, HEADER + b'\n{"sig":"AAAA"}\n' + BODY,
     HEADER + b"\n" + SIGNATURE[:-1] + b',"x":1}\n' + BODY],
)  # fmt: skip
def test_other_lines_are_refused(plain: bytes) -> None:
    with pytest.raises(FormatError):
        decode_plain(plain, "x")


@pytest.mark.parametrize(
    "members",
    [{name: bad} for name in ("base", "count", "generation", "key_epoch", "next", "partition",
                              "seq") for bad in (None, "1", -1, True, 1.5, "MISSING")]
    + [{name: bad} for name in ("archive", "sealed_at", "topic", "writer") for bad in (None, 1, "")]
    + [{name: bad} for name in ("body", "raw", "root", "status_map", "kid", "stream")
       for bad in (None, "", "A" * 64, "0" * 62)]
    + [{"prev": bad} for bad in ("", 0, "0" * 64)]
    + [{"assurance": bad} for bad in (None, "", "worm", "WORM_LOCKED")]
    + [{"ledger": bad} for bad in (None, "", "60a", "60i", "c")]
    + [{"first_ts": bad} for bad in (None, "x", True, 1.0)]
    + [{"last_ts": bad} for bad in (None, "x", True, 1.0)]
    + [{"void": bad} for bad in (None, {}, [1], [{}], [{"name": "x"}],
                                 [{"name": 1, "sha256": "0" * 64}],
                                 [{"name": "x", "sha256": "0"}])]
    + [{"seq": 1}, {"next": 0}, {"extra": 1}, {"v": None}, {"v": "other/1"}, {"record": 1}],
)  # fmt: skip
def test_any_other_header_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as caught:
        parse_header(changed(**members), "line 1")
    assert not isinstance(caught.value, UnknownVersion)


@pytest.mark.parametrize("members", [{"v": "audit-segment/2"}, {"record": "audit-record/2"},
                                     {"v": "audit-segment/2", "new": 1}])  # fmt: skip
def test_a_newer_version_is_unknown_and_not_wrong(members: dict[str, Any]) -> None:
    with pytest.raises(UnknownVersion):
        parse_header(changed(**members), "line 1")


def test_a_segment_of_holes_has_no_times() -> None:
    holes = {"ledger": "40x20l", "count": 0}
    header = parse_header(changed(**holes, first_ts=None, last_ts=None), "line 1")
    assert (header.first_ts, header.last_ts) == (None, None)
    with pytest.raises(FormatError, match="first_ts"):
        parse_header(changed(**holes), "line 1")
