"""The record line (formats.md section 1): writing one is `seal`'s, judging one is here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence.canonical import canonical, parse_line
from audit_stream.evidence.encoding import b64u, b64u_decode, hex_decode
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
_INGESTED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z").fullmatch


@dataclass(frozen=True, slots=True)
class Record:
    """A parsed record line: its fields, sealed personal part and raw integrity hash."""

    pub: Mapping[str, Any]
    pii: bytes | None
    integrity_hash: bytes

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
    """Parse and recompute one record line (no newline); `FormatError` names what is wrong."""
    value = parse_line(line, what)
    if set(value) != {"integrity_hash", "pii", "pub"}:
        raise FormatError(f"{what} must have integrity_hash, pii and pub")
    pub = value["pub"]
    if not isinstance(pub, dict):
        raise FormatError(f"{what} pub is not an object")
    _check_pub(pub, what)
    text = value["integrity_hash"]
    if not isinstance(text, str) or not text.startswith(INTEGRITY_PREFIX):
        raise FormatError(f"{what} integrity_hash is not {INTEGRITY_PREFIX}<hex>")
    claimed = hex_decode(text[len(INTEGRITY_PREFIX):], f"{what} integrity_hash")
    if integrity_hash(pub) != claimed:
        raise FormatError(f"{what} integrity_hash does not fit pub")
    return Record(pub, _check_pii(value["pii"], "erased" in pub, what), claimed)


def _check_pub(pub: dict[str, Any], what: str) -> None:
    version = pub.get("v")
    if version != VERSION:
        if isinstance(version, str) and version.startswith("audit-record/"):
            raise UnknownVersion(f"{what} has the version {version}")
        raise FormatError(f"{what} v is not {VERSION}")
    members = set(pub)
    if members not in (MEMBERS, ERASED_MEMBERS):
        odd = sorted(members ^ (ERASED_MEMBERS if "erased" in members else MEMBERS))
        raise FormatError(f"{what} pub lacks or adds the members {odd}")
    for name in _TEXT:
        if type(pub[name]) is not str:
            raise FormatError(f"{what} {name} is not a string")
    for name in _OPTIONAL_TEXT:
        if pub[name] is not None and type(pub[name]) is not str:
            raise FormatError(f"{what} {name} is neither a string nor null")
    if pub["delivery_status"] not in RANK:
        raise FormatError(f"{what} delivery_status is not a terminal status")
    if type(pub["revision"]) is not int or pub["revision"] < 1:
        raise FormatError(f"{what} revision is not a positive integer")
    if pub["legal_hold"] is not True or pub.get("erased", True) is not True:
        raise FormatError(f"{what} legal_hold or erased is not true")
    if not _INGESTED(pub["ingestion_timestamp"]):
        raise FormatError(f"{what} ingestion_timestamp is not in RFC 3339 form with milliseconds")
    if "_sd" in pub:
        _check_digests(pub["_sd"], what)


def _check_digests(digests: Any, what: str) -> None:
    if not isinstance(digests, list) or len(digests) != len(PERSONAL_FIELDS):
        raise FormatError(f"{what} _sd is not a list of {len(PERSONAL_FIELDS)} digests")
    for item in digests:
        b64u_decode(item, f"{what} _sd", 32)
    if digests != sorted(digests):
        raise FormatError(f"{what} _sd is not sorted")


def _check_pii(pii: Any, erased: bool, what: str) -> bytes | None:
    if erased:
        if pii is not None:
            raise FormatError(f"{what} is erased and has a pii")
        return None
    data = b64u_decode(pii, f"{what} pii")
    if len(data) < PII_BLOCK + _GCM_TAG or (len(data) - _GCM_TAG) % PII_BLOCK:
        raise FormatError(f"{what} pii has an impossible length")
    return data
