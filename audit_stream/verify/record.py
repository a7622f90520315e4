"""What the verifier reads off a record line: by one pattern where it can, else by `parse_record`.

The pattern matches a part of what `parse_record` accepts, the lines nearly every record is:
printable ASCII without escapes, not erased, one or two blocks of personal fields. There canonical
form, members and types are all one match, without building the record. Every other line, and every
line that is wrong, goes through `parse_record`, so the verdict and its words are always that one's.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Mapping
from hashlib import blake2b, sha256
from typing import Any, NamedTuple

from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.record import VERSION, parse_record
from audit_stream.precedence.matrix import RANK

MESSAGE_BYTES = 16


class Facts(NamedTuple):
    """What later steps need of a record whose line is well-formed and fits its integrity hash."""

    integrity_hash: bytes  # 32 bytes
    message: bytes  # MESSAGE_BYTES of a hash over tenant and message id
    rank: int  # of delivery_status
    revision: int
    source: bytes
    supersedes: bytes | None
    ingested: bytes  # ingestion_timestamp


_TEXT = rb'"[ !#-\[\]-~]*+"'
_QUOTED = rb"(" + _TEXT + rb")"
_MAYBE = rb"(?:null|" + _TEXT + rb")"
_GROUP = rb'"([ !#-\[\]-~]*+)"'
_MAYBE_GROUP = rb"(?:null|" + _GROUP + rb")"
_DIGEST = rb'"([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])"'
_PII = rb'"(?:[A-Za-z0-9_-]{106}[AEIMQUYcgkosw048]|[A-Za-z0-9_-]{192})"'
_MEMBERS = {
    "_sd": rb"\[" + _DIGEST + b"," + _DIGEST + rb"\]",
    "audit_id": _TEXT,
    "carrier_error_code": _MAYBE,
    "carrier_message_id": _MAYBE,
    "carrier_receipt_timestamp": _TEXT,
    "carrier_status": _TEXT,
    "communication_type": _TEXT,
    "delivery_status": rb'"(' + "|".join(RANK).encode() + rb')"',
    "ingestion_timestamp": rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"',
    "legal_hold": rb"true",
    "message_uuid": _QUOTED,
    "origin": _MAYBE,
    "originating_agent_id": _MAYBE,
    "originating_workflow_id": _TEXT,
    "platform_tenant_id": _QUOTED,
    "regulatory_tag": _TEXT,
    "revision": rb"([1-9]\d{0,14})",
    "source": _GROUP,
    "supersedes": _MAYBE_GROUP,
    "v": b'"' + re.escape(VERSION.encode()) + b'"',
}
_PUB = b",".join(b'"%b":%b' % (name.encode(), form) for name, form in _MEMBERS.items())
_match = re.compile(
    rb'\{"integrity_hash":"sha256:([0-9a-f]{64})","pii":' + _PII + rb',"pub":(\{' + _PUB + rb"\})\}"
).fullmatch
_RANK = {status.encode(): rank for status, rank in RANK.items()}


def read_record(line: bytes, what: str) -> Facts:
    """The facts of one record line (no newline); errors exactly as `parse_record`'s."""
    match = _match(line)
    if match is None:
        return _read_slowly(line, what)
    (hashed, pub, one, two, status, ingested, message, tenant, revision, source,
     supersedes) = match.groups()  # fmt: skip
    integrity = sha256(pub).digest()
    if one > two or unhexlify(hashed) != integrity:
        return _read_slowly(line, what)
    # Both in their quotes, which keep apart two pairs that have the same letters in a row.
    who = blake2b(tenant + message, digest_size=MESSAGE_BYTES).digest()
    return Facts(
        integrity, who, _RANK[status], int(revision), source, supersedes, ingested
    )  # fmt: skip


def _read_slowly(line: bytes, what: str) -> Facts:
    record = parse_record(line, what)
    pub: Mapping[str, Any] = record.pub
    supersedes = pub["supersedes"]
    who = canonical(pub["platform_tenant_id"]) + canonical(pub["message_uuid"])
    return Facts(
        record.integrity_hash,
        blake2b(who, digest_size=MESSAGE_BYTES).digest(),
        RANK[pub["delivery_status"]],
        pub["revision"],
        pub["source"].encode(),
        None if supersedes is None else supersedes.encode(),
        pub["ingestion_timestamp"].encode(),
    )
