"""How a cover lies on disk: clear, or wrapped (`audit-cover-wrapped/1`, formats.md section 5).

What can be erased of a keyring is its cover, so whoever destroys every key to an old cover has
erased. A clear one is destroyed with its file; one that is wrapped, with the key that wraps it,
wherever copies of the file are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audit_stream.errors import FormatError, KeyringError
from audit_stream.evidence.canonical import canonical, check_members, parse_line
from audit_stream.evidence.encoding import b64u, b64u_decode, time_text
from audit_stream.privacy.keytree import Buffer

VERSION = "audit-cover-wrapped/1"
DATA_KEY_BYTES, NONCE_BYTES = 32, 12
#: A clear cover begins with a depth, 0 to 28; a wrapped one with the brace of its first line.
_BRACE = b"{"[0]
_HEADER_LIMIT = 1 << 14

DestructionKind = Literal["file-unlinked", "key-vault-purged", "key-vault-scheduled"]


@dataclass(frozen=True, slots=True)
class Destruction:
    """What became of the key to an epoch's cover."""

    kind: DestructionKind
    effective_at: str  # RFC 3339 with milliseconds: from then on nobody can open the cover


def destroyed_now(kind: DestructionKind) -> Destruction:
    """What is gone already."""
    return Destruction(kind, time_text(int(datetime.now(UTC).timestamp() * 1000)))


class CoverWrapper(Protocol):
    """Between a cover and its file. Blocking; every error is a `KeyringError`, `VaultAway` where
    the same call may go through later, and none has a key in it."""

    def wrap(self, epoch: int, cover: Buffer, *, fresh: bool = False) -> bytes:
        """The file's bytes of the cover that epoch begins with; they have been opened again.

        May be called again for one epoch, as after a crash, unless it must be `fresh`: then
        `KeyringError` where a key for it is there already, which is another keyring's.
        """

    def unwrap(self, data: Buffer) -> memoryview:
        """The clear cover of a file, wrapped or not; it touches no disk."""

    def destroy(self, epoch: int, data: Buffer | None = None) -> Destruction:
        """Destroy what opens the epoch's cover, for good. May be called again until it returns.

        `data`: the bytes of the file, where it is still there. They tell whether there is a key to
        destroy, and where: without them a key that is not in the vault counts as destroyed.
        Unlinking the file is the caller's, after this.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Line 1 of a wrapped cover: all that is needed to ask for its data key."""

    archive: str
    epoch: int  # whose key wraps it
    key: str  # URL of that key, with its version
    nonce: str
    wrapped: str = field(repr=False)  # the data key; both b64u
    v: str = VERSION

    def line(self) -> bytes:
        """Without newline: what is authenticated with the ciphertext."""
        return canonical(asdict(self))


def is_wrapped(data: Buffer) -> bool:
    """Whether a cover file's bytes are wrapped."""
    return bool(len(data)) and data[0] == _BRACE


def read_header(data: Buffer) -> tuple[Header, int]:
    """Line 1 and where the ciphertext begins. `FormatError`."""
    line, newline, _ = bytes(data[:_HEADER_LIMIT]).partition(b"\n")
    value = parse_line(line, "the wrapped cover's first line")
    check_members(value, VERSION, Header.__dataclass_fields__.keys(), "the wrapped cover")
    if not newline or type(value["epoch"]) is not int or value["epoch"] < 1:
        raise FormatError("the wrapped cover's first line is cut off, or its epoch is no number")
    if not all(type(value[name]) is str for name in ("archive", "key")):
        raise FormatError("archive or key of the wrapped cover is no text")
    b64u_decode(value["nonce"], "the wrapped cover's nonce", NONCE_BYTES)
    b64u_decode(value["wrapped"], "the wrapped cover's data key")
    return Header(**value), len(line) + 1


def header_of(data: Buffer) -> Header:
    """The same, of a file. `KeyringError`."""
    try:
        return read_header(data)[0]
    except FormatError as error:
        raise _damaged(error.message) from error


def seal_cover(header: Header, data_key: bytes, cover: Buffer) -> bytes:
    """The bytes of a file."""
    line = header.line()
    nonce = b64u_decode(header.nonce, "nonce", NONCE_BYTES)
    return b"%b\n%b" % (line, AESGCM(data_key).encrypt(nonce, cover, line))


def open_cover(data: Buffer, data_key: bytes) -> memoryview:
    """The clear cover; `KeyringError` unless every byte of the file is as it was written."""
    try:
        header, begin = read_header(data)
        nonce = b64u_decode(header.nonce, "nonce", NONCE_BYTES)
        sealed = memoryview(data)[begin:]
        return memoryview(AESGCM(data_key).decrypt(nonce, sealed, header.line()))
    except FormatError as error:
        raise _damaged(error.message) from error
    except (InvalidTag, ValueError) as error:  # ValueError: a data key of another size
        raise _damaged("it was changed, or is wrapped under another key") from error


def new_header(archive: str, epoch: int, key: str, nonce: bytes, wrapped: bytes) -> Header:
    """Of a cover that is wrapped now."""
    return Header(archive=archive, epoch=epoch, key=key, nonce=b64u(nonce), wrapped=b64u(wrapped))


def _damaged(why: str) -> KeyringError:
    return KeyringError(
        f"the wrapped cover cannot be used: {why}",
        hint="restore the keyring from its backup (`keyring restore`)",
    )


class FileCovers:
    """Covers in clear, as files: the default."""

    def wrap(self, epoch: int, cover: Buffer, *, fresh: bool = False) -> bytes:
        """The cover itself."""
        return bytes(cover)

    def unwrap(self, data: Buffer) -> memoryview:
        """The bytes themselves; `KeyringError` when they are wrapped."""
        _refuse_wrapped(data)
        return memoryview(data)

    def destroy(self, epoch: int, data: Buffer | None = None) -> Destruction:
        """Nothing but the file is to be destroyed, which is the caller's."""
        if data is not None:
            _refuse_wrapped(data)
        return destroyed_now("file-unlinked")


def _refuse_wrapped(data: Buffer) -> None:
    if is_wrapped(data):
        key = header_of(data).key
        raise KeyringError(
            f"the cover is wrapped by {key}",
            hint=f"set AUDIT_KEYRING_VAULT to {key.partition('/keys/')[0]}",
        )


LOCAL = FileCovers()
