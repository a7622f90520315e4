"""The redaction certificate, `audit-redaction/1`: a person's fields were erased.

An entry of the register of redactions (formats.md section 3). It names no person and no record:
`commitment` binds it to the records, and only who holds its opening can show which they are.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from audit_stream.errors import FormatError
from audit_stream.evidence.encoding import hex_decode
from audit_stream.evidence.register import Entry, Register

COMMITMENT_BYTES = 32
METHOD = "as-ggm1 puncture"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z").fullmatch
_REFERENCE = re.compile(r"[A-Za-z0-9._:/#-]{1,64}").fullmatch
_ACTOR = re.compile(r"[A-Za-z0-9._:|-]{1,128}").fullmatch
_TEXTS = ("approved_by", "basis", "certificate_id", "keys_destroyed", "method", "request_ref",
          "requested_by")  # fmt: skip
_TIMES = ("effective_at", "executed_at", "keys_destroyed_at", "requested_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """The members of a certificate that are its own, as formats.md has them."""

    approved_by: str
    barrier: Mapping[str, Any]  # {"acknowledged": n, "excused": [{"by","process","reason","role"}]}
    basis: str
    certificate_id: str
    commitment: str
    count: int
    covers: Sequence[Mapping[str, Any]]  # of each tree {"after","before","first_epoch"}
    effective_at: str
    epochs: Sequence[int]  # [before, after]
    executed_at: str
    fields: Sequence[str]
    keys_destroyed: str  # file-unlinked, key-vault-purged, key-vault-scheduled
    keys_destroyed_at: str
    method: str = METHOD
    request_ref: str
    requested_at: str
    requested_by: str
    targets: Sequence[Mapping[str, str]]  # {"at","receipt","target"}: who had been sent the fields

    def said(self) -> dict[str, Any]:
        """As the entry's members."""
        return asdict(self)


_MEMBERS = frozenset(Redaction.__dataclass_fields__)


def redaction_of(entry: Entry) -> Redaction:
    """What an entry certifies; `FormatError` when it is none of this kind."""
    said, what = entry.said, entry.name
    if entry.register is not Register.REDACTIONS or said.keys() != _MEMBERS:
        raise FormatError(f"{what} does not have the members of {Register.REDACTIONS.value}")
    for name in _TEXTS:
        if type(said[name]) is not str or not said[name]:
            raise FormatError(f"{what} {name} is not a text")
    for name in _TIMES:
        if type(said[name]) is not str or not _TIME(said[name]):
            raise FormatError(f"{what} {name} is not a time")
    hex_decode(said["commitment"], f"{what} commitment", COMMITMENT_BYTES)
    epochs = said["epochs"]
    if not isinstance(epochs, list) or len(epochs) != 2 or not all(type(e) is int for e in epochs):
        raise FormatError(f"{what} epochs are not two")
    if type(said["count"]) is not int or said["count"] < 0 or epochs[1] != epochs[0] + 1:
        raise FormatError(f"{what} count or epochs are impossible")
    for name, kind in (("barrier", dict), ("covers", list), ("fields", list), ("targets", list)):
        if not isinstance(said[name], kind):
            raise FormatError(f"{what} {name} is not a {kind.__name__}")
    return Redaction(**said)


def commitment(secret: bytes, hashes: Iterable[bytes]) -> str:
    """SHA-256(32 random bytes || the raw integrity hashes, sorted), hex."""
    digest = sha256(secret)
    for each in sorted(hashes):
        digest.update(each)
    return digest.hexdigest()


def opens(certificate: Redaction, secret: bytes, hashes: Sequence[bytes]) -> bool:
    """Whether these are the very records that a certificate is about."""
    return len(hashes) == certificate.count and hmac.compare_digest(
        commitment(secret, hashes), certificate.commitment
    )


def check_reference(text: str) -> str:
    """A request's reference, which stands in WORM and names no person; `FormatError`."""
    if not _REFERENCE(text):
        raise FormatError("a reference has 1 to 64 letters, digits and . _ : / # -")
    return text


def check_actor(text: str) -> str:
    """Who did something: an id as callers of the gateway have, no name and no address."""
    if not _ACTOR(text):
        raise FormatError("an id has 1 to 128 letters, digits and . _ : | -")
    return text
