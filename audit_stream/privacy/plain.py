"""Sealing's primitives in Python: what `_compiled.c` computes, for where it could not be built.

The two must agree byte for byte (tests/property/test_primitives.py). Callers take them from
`privacy.primitives`.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from struct import Struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit_stream.errors import FormatError
from audit_stream.evidence.encoding import b64u
from audit_stream.evidence.record import PERSONAL_FIELDS, PII_BLOCK, digest

DEPTH = 28  # of the key tree: two-bit digits of a tag's first 56 bits
ARITY = 4
NONCE_BYTES = 12
_SALT_AT = Struct(">IQ")
_SALT_LABEL = b"as/salt/v1\x00"
_NODE = b"\x00\x00\x00\x01"
_CHILD = tuple(bytes([digit]) + b"as-ggm1" for digit in range(ARITY))
_FIELDS = [name.encode() for name in PERSONAL_FIELDS]


def walk(node: bytes, path: int, depth: int, bottom: int, /) -> bytes:
    """From a node of the key tree at `depth` down to `bottom`, by the digits of a 56-bit path.

    Each step is SHA-256(00000001 || node || digit || "as-ggm1").
    """
    for shift in range(2 * (DEPTH - 1 - depth), 2 * (DEPTH - 1 - bottom), -2):
        node = sha256(_NODE + node + _CHILD[(path >> shift) & 3]).digest()
    return node


def hmac_sha512(key: bytes, data: bytes, /) -> bytes:
    """HMAC-SHA512 (RFC 2104) under a key of 32 bytes."""
    return hmac.digest(key, data, "sha512")


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


def pad(plaintext: bytes) -> bytes:
    """0x80, then zeros to a multiple of 64: lengths of names must not show."""
    return (plaintext + b"\x80").ljust(-(-(len(plaintext) + 1) // PII_BLOCK) * PII_BLOCK, b"\x00")


def unpad(padded: bytes) -> bytes:
    """The inverse of `pad`; `FormatError` when the padding is not as `pad` makes it."""
    plaintext, mark, _ = padded.rpartition(b"\x80")
    if not mark or pad(plaintext) != padded:
        raise FormatError("personal fields are not padded as they must be")
    return plaintext
