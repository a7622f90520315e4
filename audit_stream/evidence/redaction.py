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
from audit_stream.evidence.encoding import hex_decode, is_time
from audit_stream.evidence.persons import is_one_person
from audit_stream.evidence.register import Entry, Register

COMMITMENT_BYTES = 32
METHOD = "as-ggm1 puncture"
_REFERENCE = re.compile(r"[A-Za-z0-9._:/#-]{1,64}").fullmatch
_CERTIFICATE_ID = re.compile(r"rc-[0-9a-f]{16}").fullmatch
_HASH = re.compile(r"[0-9a-f]{64}").fullmatch
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
        if not is_time(said[name]):
            raise FormatError(f"{what} {name} is not a time")
    hex_decode(said["commitment"], f"{what} commitment", COMMITMENT_BYTES)
    epochs = said["epochs"]
    if not isinstance(epochs, list) or len(epochs) != 2 or not all(type(e) is int for e in epochs):
        raise FormatError(f"{what} epochs are not two")
    if type(said["count"]) is not int or said["count"] < 0 or epochs[1] != epochs[0] + 1:
        raise FormatError(f"{what} count or epochs are impossible")
    if not _CERTIFICATE_ID(said["certificate_id"]):
        raise FormatError(f"{what} certificate_id is not rc- and 16 hexadecimal digits")
    check_reference(said["request_ref"], f"{what} request_ref")
    for name in ("approved_by", "requested_by"):
        check_actor(said[name], f"{what} {name}")
    if is_one_person(said["approved_by"], said["requested_by"]):
        raise FormatError(f"{what} was approved by who requested it")
    _check_inside(said, what)
    return Redaction(**said)


def _check_inside(said: Mapping[str, Any], what: str) -> None:
    """The members that are no plain values."""
    if not isinstance(said["fields"], list) or not all(type(e) is str for e in said["fields"]):
        raise FormatError(f"{what} fields are not texts")
    barrier = said["barrier"]
    if not isinstance(barrier, dict) or barrier.keys() != {"acknowledged", "excused"}:
        raise FormatError(f"{what} barrier does not have its members")
    if type(barrier["acknowledged"]) is not int or barrier["acknowledged"] < 0:
        raise FormatError(f"{what} barrier acknowledged is not a number")
    _check_texts(barrier["excused"], {"by", "process", "reason", "role"}, f"{what} excused")
    _check_texts(said["targets"], {"at", "receipt", "target"}, f"{what} targets")
    if not all(is_time(each["at"]) for each in said["targets"]):
        raise FormatError(f"{what} targets have something other than times")
    covers = said["covers"]
    if not isinstance(covers, list) or not all(_is_cover(each) for each in covers):
        raise FormatError(f"{what} covers are not hashes of covers")


def _check_texts(value: Any, members: set[str], what: str) -> None:
    if not isinstance(value, list) or not all(
        isinstance(each, dict) and each.keys() == members
        and all(type(text) is str for text in each.values())
        for each in value
    ):  # fmt: skip
        raise FormatError(f"{what} do not have their members")


def _is_cover(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {"after", "before", "first_epoch"}:
        return False
    hashes = (value["after"], value["before"])
    return type(value["first_epoch"]) is int and all(
        type(each) is str and _HASH(each) for each in hashes
    )


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


def check_reference(text: str, what: str = "a reference") -> str:
    """A request's reference, which stands in WORM and names no person; `FormatError`."""
    if not _REFERENCE(text):
        raise FormatError(f"{what} has 1 to 64 letters, digits and . _ : / # -")
    return text


def check_actor(text: str, what: str = "an id") -> str:
    """Who did something: an id as callers of the gateway have, no name and no address."""
    if not _ACTOR(text):
        raise FormatError(f"{what} has 1 to 128 letters, digits and . _ : | -")
    return text
