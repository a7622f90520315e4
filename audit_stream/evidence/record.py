"""The record line (formats.md section 1): writing one is `seal`'s, judging one is here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from operator import itemgetter
from typing import Any

import orjson

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical, check_version
from audit_stream.evidence.encoding import b64u, b64u_decode
from audit_stream.precedence.matrix import RANK

VERSION = "audit-record/1"
PERSONAL_FIELDS = ("customer_external_id", "recipient_address")
INTEGRITY_PREFIX = "sha256:"
PII_BLOCK = 64  # bytes the sealed personal values are padded to a multiple of
_GCM_TAG = 16

_TEXT = ("audit_id", "carrier_receipt_timestamp", "carrier_status", "communication_type",
         "ingestion_timestamp", "message_uuid", "originating_workflow_id", "platform_tenant_id",
         "regulatory_tag", "source")  # fmt: skip
_OPTIONAL_TEXT = ("carrier_error_code", "carrier_message_id", "origin", "originating_agent_id",
                  "supersedes")  # fmt: skip
MEMBERS = frozenset((*_TEXT, *_OPTIONAL_TEXT, "_sd", "delivery_status", "legal_hold", "revision",
                     "v"))  # fmt: skip
ERASED_MEMBERS = MEMBERS - {"_sd"} | {"erased"}
_LINE_MEMBERS = frozenset(("integrity_hash", "pii", "pub"))
_PUB = b',"pub":'
_texts_of = itemgetter(*_TEXT)
_optional_of = itemgetter(*_OPTIONAL_TEXT)
_ALL_TEXT = (str,) * len(_TEXT)
#: Unpadded base64url of 32 bytes, of 80 bytes (one block and the tag); the last digit has spare
#: bits that must be zero, or one value would have several spellings.
_DIGEST = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]").fullmatch
_SHORT_PII = 107
_SHORT_PII_TEXT = re.compile(r"[A-Za-z0-9_-]{106}[AEIMQUYcgkosw048]").fullmatch
_INGESTED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Record:
    """A parsed record line: its fields, sealed personal part (base64url) and integrity hash."""

    pub: Mapping[str, Any]
    pii_text: str | None
    integrity_hash: bytes  # 32 bytes

    @property
    def pii(self) -> bytes | None:
        """The sealed personal fields: ciphertext and tag."""
        return None if self.pii_text is None else b64u_decode(self.pii_text, "pii")

    @property
    def erased(self) -> bool:
        """Whether the subject was erased before this record was sealed."""
        return "erased" in self.pub


def integrity_hash(pub: Mapping[str, Any]) -> bytes:
    """SHA-256 over the canonical form of the immutable fields."""
    return sha256(canonical(dict(pub))).digest()


def disclosure(salt_hex: str, field: str, value: str | None) -> str:
    """The RFC 9901 disclosure of one personal field, base64url."""
    return b64u(canonical([salt_hex, field, value]))


def digest(disclosure_text: str) -> str:
    """What `_sd` holds of a disclosure: base64url SHA-256 over its ASCII (RFC 9901 4.2.3)."""
    return b64u(sha256(disclosure_text.encode("ascii")).digest())


def parse_record(line: bytes, what: str) -> Record:
    """Parse and recompute one record line (no newline); `FormatError` names what is wrong.

    The verifier's hot path: the line is written anew once and compared, so that its `pub` can be
    hashed where it stands; the typed checks leave no member that could be a float.
    """
    try:
        value = orjson.loads(line)
        again = canonical(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
        raise FormatError(f"{what} is not canonical JSON: {error}") from error
    if again != line:
        raise FormatError(f"{what} is not in canonical form (RFC 8785)")
    if type(value) is not dict or value.keys() != _LINE_MEMBERS:
        raise FormatError(f"{what} must have integrity_hash, pii and pub")
    pub = value["pub"]
    if type(pub) is not dict:
        raise FormatError(f"{what} pub is not an object")
    _check_pub(pub, what)
    _check_pii(value["pii"], "erased" in pub, what)
    hashed = sha256(line[line.index(_PUB) + len(_PUB) : -1])
    if value["integrity_hash"] != INTEGRITY_PREFIX + hashed.hexdigest():
        raise FormatError(f"{what} integrity_hash does not fit pub")
    return Record(pub, value["pii"], hashed.digest())


def _check_pub(pub: dict[str, Any], what: str) -> None:
    check_version(pub, VERSION, what)
    erased = "erased" in pub
    if pub.keys() != (ERASED_MEMBERS if erased else MEMBERS):
        odd = sorted(pub.keys() ^ (ERASED_MEMBERS if erased else MEMBERS))
        raise FormatError(f"{what} pub lacks or adds the members {odd}")
    if tuple(map(type, _texts_of(pub))) != _ALL_TEXT:
        wrong = next(name for name in _TEXT if type(pub[name]) is not str)
        raise FormatError(f"{what} {wrong} is not a string")
    for name, text in zip(_OPTIONAL_TEXT, _optional_of(pub), strict=True):
        if text is not None and type(text) is not str:
            raise FormatError(f"{what} {name} is neither a string nor null")
    _check_values(pub, erased, what)


def _check_values(pub: dict[str, Any], erased: bool, what: str) -> None:
    if type(pub["delivery_status"]) is not str or pub["delivery_status"] not in RANK:
        raise FormatError(f"{what} delivery_status is not a terminal status")
    if type(pub["revision"]) is not int or pub["revision"] < 1:
        raise FormatError(f"{what} revision is not a positive integer")
    if pub["legal_hold"] is not True or (erased and pub["erased"] is not True):
        raise FormatError(f"{what} legal_hold or erased is not true")
    if not _INGESTED(pub["ingestion_timestamp"]):
        raise FormatError(f"{what} ingestion_timestamp is not in RFC 3339 form with milliseconds")
    if not erased:
        _check_digests(pub["_sd"], what)


def _check_digests(digests: Any, what: str) -> None:
    if type(digests) is not list or len(digests) != len(PERSONAL_FIELDS):
        raise FormatError(f"{what} _sd is not a list of {len(PERSONAL_FIELDS)} digests")
    for item in digests:
        if type(item) is not str or not _DIGEST(item):
            raise FormatError(f"{what} _sd holds something other than 32 bytes in base64url")
    if digests[0] > digests[1]:
        raise FormatError(f"{what} _sd is not sorted")


def _check_pii(pii: Any, erased: bool, what: str) -> None:
    if erased:
        if pii is not None:
            raise FormatError(f"{what} is erased and has a pii")
        return
    if type(pii) is not str:
        raise FormatError(f"{what} pii is not a string")
    if len(pii) != _SHORT_PII or not _SHORT_PII_TEXT(pii):  # nearly all are one block long
        size = len(b64u_decode(pii, f"{what} pii"))
        if size < PII_BLOCK + _GCM_TAG or (size - _GCM_TAG) % PII_BLOCK:
            raise FormatError(f"{what} pii has an impossible length")
