"""What the verifier reads off record lines: by one pattern where it can, else by `parse_record`.

The pattern matches a part of what `parse_record` accepts, the lines nearly every record is:
printable ASCII without escapes, not erased, one or two blocks of personal fields. There canonical
form, members and types are all one match, without building the record. Every other line, and every
line that is wrong, goes through `parse_record`, so the verdict and its words are always that one's.

The same table makes a template for `_compiled.c`, which reads a whole segment's lines without the
interpreter's lock. Where it was not built, Python does the same, more slowly.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.compiled import compiled
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


_PLAIN = rb"[ !#-\[\]-~]*+"
_DIGEST = rb'"([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])"'
#: How a value of each kind reads; the kinds are `_compiled.c`'s, too.
_FORMS = {
    "x": rb"([0-9a-f]{64})",  # what the hash of `pub` has to be
    "p": rb'"(?:[A-Za-z0-9_-]{106}[AEIMQUYcgkosw048]|[A-Za-z0-9_-]{192})"',
    "[": rb"(",  # what is hashed
    "]": rb")",
    "d": _DIGEST,
    "e": _DIGEST,  # not below the one before
    "t": rb'"' + _PLAIN + rb'"',
    "m": rb'(?:null|"' + _PLAIN + rb'")',
    "s": rb'"(' + _PLAIN + rb')"',  # a status that has a rank
    "i": rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"',
    "M": rb'("' + _PLAIN + rb'")',
    "T": rb'("' + _PLAIN + rb'")',
    "r": rb"([1-9]\d{0,14})",
    "S": rb'"(' + _PLAIN + rb')"',
    "P": rb'(?:null|"(' + _PLAIN + rb')")',
    "=": rb"",  # nothing but the literal before it
}
#: A record line: literals, and the kind of what follows each.
_LINE = (
    (b'{"integrity_hash":"sha256:', "x"),
    (b'","pii":', "p"),
    (b',"pub":', "["),
    (b'{"_sd":[', "d"),
    (b",", "e"),
    (b'],"audit_id":', "t"),
    (b',"carrier_error_code":', "m"),
    (b',"carrier_message_id":', "m"),
    (b',"carrier_receipt_timestamp":', "t"),
    (b',"carrier_status":', "t"),
    (b',"communication_type":', "t"),
    (b',"delivery_status":', "s"),
    (b',"ingestion_timestamp":', "i"),
    (b',"legal_hold":true,"message_uuid":', "M"),
    (b',"origin":', "m"),
    (b',"originating_agent_id":', "m"),
    (b',"originating_workflow_id":', "t"),
    (b',"platform_tenant_id":', "T"),
    (b',"regulatory_tag":', "t"),
    (b',"revision":', "r"),
    (b',"source":', "S"),
    (b',"supersedes":', "P"),
    (b',"v":"' + VERSION.encode() + b'"}', "]"),
    (b"}", "="),
)
_match = re.compile(
    b"".join(re.escape(literal) + _FORMS[kind] for literal, kind in _LINE)
).fullmatch
_TEMPLATE = b"".join(b"%b%c%b" % (kind.encode(), len(text), text) for text, kind in _LINE)
_RANK = {status.encode(): rank for status, rank in RANK.items()}


def read_lines(body: bytes) -> list[Facts | bytes]:
    """The facts of each record line of a segment's body; a line that `parse_record` has to judge as
    it is, without its newline."""
    if compiled is None:
        return read_lines_plain(body)
    read: list[Facts | bytes] = compiled.read_lines(body, _TEMPLATE, Facts, _RANK)
    return read


def read_lines_plain(body: bytes) -> list[Facts | bytes]:
    """`read_lines` in Python."""
    return [_facts_of(line) or line for line in body.split(b"\n")[:-1]]


def read_record(line: bytes, what: str) -> Facts:
    """The facts of one record line (no newline); errors exactly as `parse_record`'s."""
    return _facts_of(line) or read_slowly(line, what)


def _facts_of(line: bytes) -> Facts | None:
    match = _match(line)
    if match is None:
        return None
    (hashed, pub, one, two, status, ingested, message, tenant, revision, source,
     supersedes) = match.groups()  # fmt: skip
    integrity = sha256(pub).digest()
    rank = _RANK.get(status)
    if one > two or rank is None or unhexlify(hashed) != integrity:
        return None
    # Both in their quotes, which keep apart two pairs that have the same letters in a row.
    who = sha256(tenant + message).digest()[:MESSAGE_BYTES]
    return Facts(integrity, who, rank, int(revision), source, supersedes, ingested)


def read_slowly(line: bytes, what: str) -> Facts:
    """The facts by `parse_record`, and its errors."""
    record = parse_record(line, what)
    pub: Mapping[str, Any] = record.pub
    supersedes = pub["supersedes"]
    who = canonical(pub["platform_tenant_id"]) + canonical(pub["message_uuid"])
    return Facts(
        record.integrity_hash,
        sha256(who).digest()[:MESSAGE_BYTES],
        RANK[pub["delivery_status"]],
        pub["revision"],
        pub["source"].encode(),
        None if supersedes is None else supersedes.encode(),
        pub["ingestion_timestamp"].encode(),
    )
