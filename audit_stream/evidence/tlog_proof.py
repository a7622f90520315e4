"""Record proofs as files (C2SP tlog-proof@v1): any tool of that format checks the outer half.

    c2sp.org/tlog-proof@v1
    extra <base64>
    index <leaf's index in the log>
    <hash, base64>…
    <empty line>
    <checkpoint: a signed note>

The leaf is a segment's header line; `extra` has what leads from a record to it. Source:
https://c2sp.org/tlog-proof
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from audit_stream.errors import FormatError
from audit_stream.evidence.checkpoint import decode_hash, encode_hash
from audit_stream.evidence.encoding import b64, b64_decode

_FIRST = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})").fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class TlogProof:
    """A proof, as it is written: nothing in it is trusted yet."""

    index: int
    hashes: Sequence[bytes]
    checkpoint: bytes  # the signed note
    extra: bytes = b""

    def encode(self) -> bytes:
        """The bytes of the file."""
        lines = [_FIRST]
        if self.extra:
            lines.append(f"extra {b64(self.extra)}")
        lines += [f"index {self.index}", *map(encode_hash, self.hashes), "", ""]
        return "\n".join(lines).encode() + self.checkpoint


def parse_tlog_proof(data: bytes, what: str) -> TlogProof:
    """The parts of a proof file; `FormatError` for another form."""
    head, gap, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError(f"{what} is not ASCII before its checkpoint") from error
    if not gap or lines[0] != _FIRST:
        raise FormatError(f"{what} does not begin with {_FIRST}")
    extra = b""
    if len(lines) > 1 and lines[1].startswith("extra "):
        extra = b64_decode(lines.pop(1).removeprefix("extra "), f"{what} extra")
        if not extra:
            raise FormatError(f"{what} extra is empty")
    index = _INDEX(lines[1]) if len(lines) > 1 else None
    if index is None:
        raise FormatError(f"{what} names no index")
    hashes = tuple(decode_hash(line, f"{what} hash") for line in lines[2:])
    return TlogProof(index=int(index[1]), hashes=hashes, checkpoint=checkpoint, extra=extra)
