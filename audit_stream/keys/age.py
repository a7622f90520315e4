"""The age file format, v1, under a passphrase (c2sp.org/age): any `age` opens it, without us.

Only its scrypt recipient, on the primitives of `cryptography`. All or nothing: no byte is given out
of what was changed or cut off.
"""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import b64decode, b64encode
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from audit_stream.errors import FormatError, KeyringError, UnknownVersion

WORK_FACTOR = 18  # log2 of scrypt's N: 256 MiB of memory, about a second
MOST_WORK = 22  # what `age` itself takes: 4 GiB
CHUNK_BYTES = 64 * 1024

_FAMILY, _VERSION = b"age-encryption.org/", b"age-encryption.org/v1\n"
_HEADER = re.compile(
    rb"-> scrypt ([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n([A-Za-z0-9+/]{43})\n--- ([A-Za-z0-9+/]{43})\n"
)
_KEY_BYTES = _SALT_BYTES = _NONCE_BYTES = _TAG_BYTES = 16
_SEALED_CHUNK = CHUNK_BYTES + _TAG_BYTES
_WRAP_NONCE = bytes(12)  # a wrap key seals one file key


def encrypt(plain: bytes, passphrase: bytes, work: int = WORK_FACTOR) -> bytes:
    """An age file of `plain`; scrypt's N is 2 to the power of `work`."""
    file_key, salt = secrets.token_bytes(_KEY_BYTES), secrets.token_bytes(_SALT_BYTES)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    body = ChaCha20Poly1305(_wrap_key(passphrase, salt, work)).encrypt(_WRAP_NONCE, file_key, None)
    header = b"%s-> scrypt %s %d\n%s\n---" % (_VERSION, _b64(salt), work, _b64(body))
    payload = ChaCha20Poly1305(_hkdf(file_key, nonce, b"payload"))
    sealed = [
        payload.encrypt(_chunk_nonce(at, at + CHUNK_BYTES >= len(plain), CHUNK_BYTES),
                        plain[at : at + CHUNK_BYTES], None)
        for at in range(0, max(len(plain), 1), CHUNK_BYTES)
    ]  # fmt: skip
    return b"".join((header, b" %s\n" % _b64(_mac(file_key, header)), nonce, *sealed))


def decrypt(data: bytes, passphrase: bytes) -> bytes:
    """What an age file holds. `KeyringError` when the passphrase does not open it, `FormatError`
    when it was changed or cut off, or is for another recipient than a passphrase."""
    if data.startswith(_FAMILY) and not data.startswith(_VERSION):
        raise UnknownVersion("the file is of another version of age than v1")
    header = _HEADER.match(data, len(_VERSION))
    if header is None or not data.startswith(_VERSION):
        raise FormatError("the file is no age file under a passphrase, or its head was changed")
    salt, body, mac = (_unb64(part) for part in header.group(1, 3, 4))
    file_key = _unwrap(body, passphrase, salt, int(header[2]))
    if not hmac.compare_digest(mac, _mac(file_key, data[: header.start(4) - 1])):
        raise FormatError("the file's head was changed")
    return _open_payload(data[header.end() :], file_key)


def _unwrap(body: bytes, passphrase: bytes, salt: bytes, work: int) -> bytes:
    if work > MOST_WORK:
        raise FormatError(f"the file asks for a work factor of {work}, above {MOST_WORK}")
    try:
        key = _wrap_key(passphrase, salt, work)
        return ChaCha20Poly1305(key).decrypt(_WRAP_NONCE, body, None)
    except InvalidTag:
        raise KeyringError(
            "the passphrase does not open it, or its head was changed",
            hint="try the passphrase it was made with; nothing else opens it",
        ) from None


def _open_payload(sealed: bytes, file_key: bytes) -> bytes:
    cipher = ChaCha20Poly1305(_hkdf(file_key, sealed[:_NONCE_BYTES], b"payload"))
    size, plain = len(sealed), list[bytes]()
    for at in range(_NONCE_BYTES, max(size, _NONCE_BYTES + 1), _SEALED_CHUNK):
        last = at + _SEALED_CHUNK >= size
        nonce = _chunk_nonce(at - _NONCE_BYTES, last, _SEALED_CHUNK)
        try:
            plain.append(cipher.decrypt(nonce, sealed[at : at + _SEALED_CHUNK], None))
        except InvalidTag:
            raise FormatError("the file was changed or cut off") from None
    if len(plain) > 1 and not plain[-1]:
        raise FormatError("the file ends in an empty chunk")
    return b"".join(plain)


def _chunk_nonce(at: int, last: bool, step: int) -> bytes:
    return (at // step).to_bytes(11, "big") + bytes([last])


def _wrap_key(passphrase: bytes, salt: bytes, work: int) -> bytes:
    label = b"age-encryption.org/v1/scrypt"
    return Scrypt(salt=label + salt, length=32, n=1 << work, r=8, p=1).derive(passphrase)


def _mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.digest(_hkdf(file_key, b"", b"header"), header, sha256)


def _hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(key)


def _b64(data: bytes) -> bytes:
    return b64encode(data).rstrip(b"=")


def _unb64(text: bytes) -> bytes:
    data = b64decode(text + b"=" * (-len(text) % 4))
    if _b64(data) != text:
        raise FormatError("the file's head is not in canonical base64")
    return data
