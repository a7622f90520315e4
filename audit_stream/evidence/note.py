"""Signed notes (C2SP signed-note): a text, and lines of signatures by named keys.

    <text, ends with a newline>
    <empty line>
    — <name> <base64(key id || signature)>

Key id: SHA-256(name || 0A || type || public key)[:4]. Types: 01 Ed25519 over the text, 04 a
witness's cosignature/v1 (C2SP tlog-cosignature), which carries its time. Source:
https://c2sp.org/signed-note, https://c2sp.org/tlog-cosignature
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit_stream.errors import FormatError
from audit_stream.evidence.encoding import b64, b64_decode

ED25519, COSIGNATURE = 0x01, 0x04
LONGEST = 1 << 20  # bytes of a note
MOST_SIGNATURES = 100
_ID_BYTES, _KEY_BYTES, _SIGNATURE_BYTES = 4, 32, 64
_DASH = "— "
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+").fullmatch
_FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]").search
_VKEY = re.compile(r"(?P<name>[^\s+]+)\+(?P<id>[0-9a-f]{8})\+(?P<key>[A-Za-z0-9+/=]+)").fullmatch


def note_key_id(name: str, kind: int, public: bytes) -> bytes:
    """The 4 bytes that point a verifier to the key."""
    octets = name.encode("utf-8", "surrogateescape")  # as a policy's were decoded
    return sha256(octets + b"\n" + bytes((kind,)) + public).digest()[:_ID_BYTES]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteKey:
    """A public key under its name: what a verifier trusts."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """See `note_key_id`."""
        return note_key_id(self.name, self.kind, self.public)

    def __str__(self) -> str:
        """The vkey: ``name+id+base64(type || key)``."""
        return f"{self.name}+{self.id.hex()}+{b64(bytes((self.kind,)) + self.public)}"


def parse_vkey(text: str) -> NoteKey:
    """A vkey; `FormatError` for other forms, types and a key id that does not fit."""
    match = _VKEY(text)
    if match is None:
        raise FormatError("a verifier key has the form name+id+base64")
    raw = b64_decode(match["key"], "a verifier key")
    if len(raw) != 1 + _KEY_BYTES or raw[0] not in (ED25519, COSIGNATURE):
        raise FormatError(f"the verifier key of {match['name']} is of no kind known here")
    key = NoteKey(name=match["name"], kind=raw[0], public=raw[1:])
    if key.id.hex() != match["id"]:
        raise FormatError(f"the verifier key of {match['name']} does not have its key id")
    return key


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line."""

    name: str
    id: bytes
    blob: bytes

    def line(self) -> str:
        """With its newline."""
        return f"{_DASH}{self.name} {b64(self.id + self.blob)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note: nothing in it is trusted yet."""

    text: str
    signatures: Sequence[NoteSignature]

    def encode(self) -> bytes:
        """The bytes of the note."""
        return (self.text + "\n" + "".join(each.line() for each in self.signatures)).encode()

    def with_signatures(self, more: Iterable[NoteSignature]) -> Note:
        """With lines added behind those that are there, each once."""
        new = [each for each in dict.fromkeys(more) if each not in self.signatures]
        return Note(self.text, (*self.signatures, *new))

    def is_signed(self, key: NoteKey) -> bool:
        """Whether the key's own line is there and good."""
        return key.kind == ED25519 and any(
            verifies(key.public, each.blob, self.text.encode()) for each in self._of(key)
        )

    def cosigned_at(self, key: NoteKey) -> int | None:
        """Unix seconds at which the witness vouched for the note; None without a good line."""
        if key.kind != COSIGNATURE:
            return None
        for each in self._of(key):
            if len(each.blob) != 8 + _SIGNATURE_BYTES:
                continue
            seconds = int.from_bytes(each.blob[:8], "big")
            if verifies(key.public, each.blob[8:], cosigned(self.text, seconds)):
                return seconds
        return None

    def _of(self, key: NoteKey) -> list[NoteSignature]:
        return [each for each in self.signatures if (each.name, each.id) == (key.name, key.id)]


def cosigned(text: str, seconds: int) -> bytes:
    """What a witness signs (cosignature/v1)."""
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def parse_note(data: bytes, what: str) -> Note:
    """A note's parts; `FormatError` for anything the format does not allow."""
    if len(data) > LONGEST:
        raise FormatError(f"{what} is longer than {LONGEST} bytes")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{what} is not UTF-8") from error
    if _FORBIDDEN(whole):
        raise FormatError(f"{what} holds control characters")
    text, gap, lines = whole.rpartition("\n\n")
    if not gap or not text or not lines.endswith("\n"):
        raise FormatError(f"{what} is not a text, an empty line and signatures")
    signatures = lines[:-1].split("\n")
    if len(signatures) > MOST_SIGNATURES:
        raise FormatError(f"{what} has more than {MOST_SIGNATURES} signatures")
    return Note(text + "\n", tuple(_signature(line, what) for line in signatures))


def _signature(line: str, what: str) -> NoteSignature:
    parts = line.removeprefix(_DASH).split(" ")
    if not line.startswith(_DASH) or len(parts) != 2 or not _NAME(parts[0]):
        raise FormatError(f"{what} has a line among its signatures that is none")
    raw = b64_decode(parts[1], f"{what} signature of {parts[0]}")
    if len(raw) <= _ID_BYTES:
        raise FormatError(f"{what} signature of {parts[0]} is too short")
    return NoteSignature(parts[0], raw[:_ID_BYTES], raw[_ID_BYTES:])


class NoteSigner:
    """Signs notes with one Ed25519 key under one name; its repr shows no secret."""

    __slots__ = ("_secret", "key")

    def __init__(self, name: str, secret: bytes) -> None:
        if not _NAME(name):
            raise FormatError(f"{name!r} cannot be the name of a key: no space, no plus sign")
        self._secret = Ed25519PrivateKey.from_private_bytes(secret)
        public = self._secret.public_key().public_bytes_raw()
        self.key = NoteKey(name=name, kind=ED25519, public=public)

    def __repr__(self) -> str:
        return f"NoteSigner({str(self.key)!r})"

    def sign(self, text: str) -> Note:
        """The note with this key's line alone."""
        signature = NoteSignature(self.key.name, self.key.id, self._secret.sign(text.encode()))
        return Note(text, (signature,))


def verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature is good; one of another length is not."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
