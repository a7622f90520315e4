"""The end of a generation in one partition: what stands where its next segment would.

Put if absent, it decides against every writer that has not heard: either its segment or the end
has the name. So the chain before is final, and the next generation can name its leaf.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence.canonical import canonical, check_members, parse_line
from audit_stream.evidence.encoding import hex_decode
from audit_stream.evidence.segment import Segment, check_void, decode_plain, encode, inflate
from audit_stream.evidence.signing import LineSigner, TrustedKeys, parse_signature_line

VERSION = "audit-end/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Line 1 of an end; fields as formats.md section 3 names them."""

    archive: str
    base: int  # where the next segment would have begun
    ended_at: str
    generation: int
    last: int | None  # base of the last segment, None when there is none
    partition: int
    prev: str | None  # its leaf hash
    seq: int  # as the next segment's would have been: the number of segments
    stream: str
    topic: str
    void: Sequence[dict[str, str]]
    v: str = VERSION

    def line(self) -> bytes:
        """The canonical line, without its newline."""
        return canonical(asdict(self))

    def encode(self, signer: LineSigner) -> bytes:
        """The stored bytes: packed as a segment without records."""
        line = self.line()
        return encode(line, signer.signature_line(line), b"")


@dataclass(frozen=True, slots=True)
class End:
    """A decoded end: nothing in it is trusted yet."""

    ending: Ending
    line: bytes
    signature: bytes

    def is_signed(self, keys: TrustedKeys) -> bool:
        """Whether a trusted key signed it."""
        return keys.signer_of(self.line, self.signature) is not None


_MEMBERS = frozenset(Ending.__dataclass_fields__)


def decode_link(data: bytes, what: str) -> Segment | End:
    """What stands at a segment's name; `FormatError` for what is neither segment nor end."""
    return decode_link_plain(inflate(data, what), what)


def signed_link(data: bytes, what: str, keys: TrustedKeys) -> Segment | End | None:
    """As `decode_link`, None for junk: what is no link, or is not signed by a trusted key.

    `UnknownVersion` for what a newer release wrote: that is no junk.
    """
    try:
        found = decode_link(data, what)
    except UnknownVersion:
        raise
    except FormatError:
        return None
    return found if found.is_signed(keys) else None


def decode_link_plain(plain: bytes, what: str) -> Segment | End:
    """As `decode_link`, from the uncompressed bytes."""
    end = plain.find(b"\n")
    if b'"v":"audit-end/' not in plain[: len(plain) if end < 0 else end]:
        return decode_plain(plain, what)
    line, _, rest = plain.partition(b"\n")
    signature, newline, body = rest.partition(b"\n")
    if not newline or body:
        raise FormatError(f"{what} does not have two lines")
    ending = _parse(line, f"{what} line 1")
    return End(ending, line, parse_signature_line(signature, f"{what} line 2"))


def _parse(line: bytes, what: str) -> Ending:
    value = parse_line(line, what)
    check_members(value, VERSION, _MEMBERS, what)
    for name in ("archive", "ended_at", "topic"):
        if type(value[name]) is not str or not value[name]:
            raise FormatError(f"{what} {name} is not a string")
    for name in ("base", "generation", "partition", "seq"):
        if type(value[name]) is not int or value[name] < 0:
            raise FormatError(f"{what} {name} is not an offset or number")
    hex_decode(value["stream"], f"{what} stream", 16)
    _check_last(value, what)
    check_void(value["void"], what)
    return Ending(**value)


def _check_last(value: dict[str, Any], what: str) -> None:
    last, prev = value["last"], value["prev"]
    if {last is None, prev is None} != {value["seq"] == 0}:
        raise FormatError(f"{what} last and prev are null exactly when seq is 0")
    if prev is None:
        return
    hex_decode(prev, f"{what} prev")
    if type(last) is not int or not 0 <= last < value["base"]:
        raise FormatError(f"{what} last is not an offset below base")
