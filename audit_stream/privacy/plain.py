"""Sealing's primitives in Python: what `_compiled.c` computes, for where it could not be built.

The two must agree byte for byte (tests/property/test_primitives.py). Callers take them from
`privacy.primitives`.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256
from struct import Struct

import msgspec
import orjson
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.encoding import b64u
from audit_stream.evidence.record import PERSONAL_FIELDS, PII_BLOCK, VERSION, digest

DEPTH = 28  # of the key tree: two-bit digits of a tag's first 56 bits
ARITY = 4
NONCE_BYTES = 12
_SALT_AT = Struct(">IQ")
_SALT_LABEL = b"as/salt/v1\x00"
_NODE = b"\x00\x00\x00\x01"
_CHILD = tuple(bytes([digit]) + b"as-ggm1" for digit in range(ARITY))
_FIELDS = [name.encode() for name in PERSONAL_FIELDS]

#: A rise as `seal` takes it, a tuple because C reads one fastest: audit_id, carrier_error_code,
#: carrier_message_id, carrier_receipt_timestamp, carrier_status, communication_type,
#: delivery_status, ingestion_timestamp, message_uuid, origin, agent_id, workflow_id, tenant_id,
#: customer_external_id, recipient_address, offset, revision, offset of the revision it supersedes,
#: encryption key, MAC key; no keys when the subject was erased.
Rise = tuple[
    str, str | None, str | None, str, str, str, str, str, str, str | None, str | None, str, str,
    str | None, str | None, int, int, int | None, bytes | None, bytes | None,
]  # fmt: skip


class _Pub(msgspec.Struct, gc=False):
    """A record's immutable fields in the order of RFC 8785. Such a struct is written in half the
    time of a dict, to the same bytes: no text holds what the two would escape differently."""

    _sd: list[str]
    audit_id: str
    carrier_error_code: str | None
    carrier_message_id: str | None
    carrier_receipt_timestamp: str
    carrier_status: str
    communication_type: str
    delivery_status: str
    ingestion_timestamp: str
    legal_hold: bool
    message_uuid: str
    origin: str | None
    originating_agent_id: str | None
    originating_workflow_id: str
    platform_tenant_id: str
    regulatory_tag: str
    revision: int
    source: str
    supersedes: str | None
    v: str


_write = msgspec.json.Encoder().encode


def walk(node: bytes, path: int, depth: int, bottom: int, /) -> bytes:
    """From a node of the key tree at `depth` down to `bottom`, by the digits of a 56-bit path.

    Each step is SHA-256(00000001 || node || digit || "as-ggm1").
    """
    for shift in range(2 * (DEPTH - 1 - depth), 2 * (DEPTH - 1 - bottom), -2):
        node = sha256(_NODE + node + _CHILD[(path >> shift) & 3]).digest()
    return node


def salts(mac_key: bytes, partition: int, offset: int) -> bytes:
    """The two personal fields' salts, 16 bytes each, as a function of the record's position."""
    return hmac.digest(mac_key, _SALT_LABEL + _SALT_AT.pack(partition, offset), "sha256")


def disclose(
    mac_key: bytes, partition: int, offset: int, one: bytes, two: bytes, /
) -> tuple[str, str]:
    """What `_sd` holds of the two personal fields, given as JSON texts (RFC 9901 4.2.3)."""
    both = salts(mac_key, partition, offset).hex().encode()
    first = b'["%b","%b",%b]' % (both[:32], _FIELDS[0], one)
    second = b'["%b","%b",%b]' % (both[32:], _FIELDS[1], two)
    return digest(b64u(first)), digest(b64u(second))


def encrypt(key: bytes, integrity: bytes, plaintext: bytes, /) -> bytes:
    """The padded plaintext under AES-256-GCM, base64url; nonce and associated data are the
    integrity hash's first 12 bytes and all of it."""
    sealed = AESGCM(key).encrypt(integrity[:NONCE_BYTES], pad(plaintext), integrity)
    return b64u(sealed).encode()


def seal(
    rises: Sequence[Rise], partition: int, source: str, regulatory_tag: str, /
) -> tuple[list[bytes], list[bytes]]:
    """The record lines of rises, with their newlines, and their raw integrity hashes.

    `source` is what every position of the partition begins with: ``topic/generation/partition/``.
    """
    sealed = [_seal(rise, partition, source, regulatory_tag) for rise in rises]
    return [line for line, _ in sealed], [hashed for _, hashed in sealed]


def _seal(rise: Rise, partition: int, source: str, tag: str) -> tuple[bytes, bytes]:
    external, address, offset, _, _, enc, mac = rise[13:]
    if enc is None or mac is None:
        members = msgspec.structs.asdict(_pub(rise, [], source, tag))
        del members["_sd"]
        pub = canonical(members | {"erased": True})
        pii = b"null"
    else:
        one, two = map(orjson.dumps, (external, address))
        pub = _write(_pub(rise, sorted(disclose(mac, partition, offset, one, two)), source, tag))
        pii = b'"%b"' % encrypt(enc, sha256(pub).digest(), b"[%b,%b]" % (one, two))
    hashed = sha256(pub)
    hexed = hashed.hexdigest().encode()
    return b'{"integrity_hash":"sha256:%b","pii":%b,"pub":%b}\n' % (
        hexed,
        pii,
        pub,
    ), hashed.digest()


def _pub(rise: Rise, digests: list[str], source: str, tag: str) -> _Pub:
    offset, revision, before = rise[15:18]
    return _Pub(
        digests, *rise[:8], True, *rise[8:13], tag, revision, f"{source}{offset}",
        None if before is None else f"{source}{before}", VERSION,
    )  # fmt: skip


def pad(plaintext: bytes) -> bytes:
    """0x80, then zeros to a multiple of 64: lengths of names must not show."""
    return (plaintext + b"\x80").ljust(-(-(len(plaintext) + 1) // PII_BLOCK) * PII_BLOCK, b"\x00")


def unpad(padded: bytes) -> bytes:
    """The inverse of `pad`; `FormatError` when the padding is not as `pad` makes it."""
    plaintext, mark, _ = padded.rpartition(b"\x80")
    if not mark or pad(plaintext) != padded:
        raise FormatError("personal fields are not padded as they must be")
    return plaintext
