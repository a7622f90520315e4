"""Sealing's primitives in Python: what `_compiled.c` computes, for where it could not be built.

The two must agree byte for byte (tests/property/test_primitives.py). Callers take them from
`privacy.primitives`.
"""

from __future__ import annotations

import hmac
from binascii import b2a_base64
from hashlib import sha256
from struct import Struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit_stream.errors import FormatError
from audit_stream.evidence.record import PII_BLOCK

NONCE_BYTES = 12
_SALT_AT = Struct(">IQ")
_SALT_LABEL = b"as/salt/v1\x00"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_NODE = b"\x00\x00\x00\x01"
_CHILD = tuple(bytes([digit]) + b"as-ggm1" for digit in range(4))
_DEPTH = 28


def walk(node: bytes, path: int, depth: int, bottom: int, /) -> bytes:
    """From a node of the key tree at `depth` down to `bottom`, by the digits of a 56-bit path.

    Each step is SHA-256(00000001 || node || digit || "as-ggm1").
    """
    for shift in range(2 * (_DEPTH - 1 - depth), 2 * (_DEPTH - 1 - bottom), -2):
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
    first = b'["%b","customer_external_id",%b]' % (both[:32], one)
    second = b'["%b","recipient_address",%b]' % (both[32:], two)
    return _digest(first), _digest(second)


def _digest(disclosure: bytes) -> str:
    return _b64u(sha256(_b64u(disclosure)).digest()).decode()


def encrypt(key: bytes, integrity: bytes, plaintext: bytes, /) -> bytes:
    """The padded plaintext under AES-256-GCM, base64url; nonce and associated data are the
    integrity hash's first 12 bytes and all of it."""
    return _b64u(AESGCM(key).encrypt(integrity[:NONCE_BYTES], pad(plaintext), integrity))


def pad(plaintext: bytes) -> bytes:
    """0x80, then zeros to a multiple of 64: lengths of names must not show."""
    return (plaintext + b"\x80").ljust(-(-(len(plaintext) + 1) // PII_BLOCK) * PII_BLOCK, b"\x00")


def unpad(padded: bytes) -> bytes:
    """The inverse of `pad`; `FormatError` when the padding is not as `pad` makes it."""
    plaintext, mark, _ = padded.rpartition(b"\x80")
    if not mark or pad(plaintext) != padded:
        raise FormatError("personal fields are not padded as they must be")
    return plaintext


def _b64u(data: bytes) -> bytes:
    return b2a_base64(data, newline=False).translate(_URL_SAFE, b"=")
