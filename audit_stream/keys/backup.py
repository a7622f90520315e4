"""A keyring's backup, `audit-keyring-backup/1`: one file, which says in clear of which epoch it is.

Line 1 is in clear; behind it stands an age file under a passphrase, of a tar with line 1 again, the
covers, ``public.txt`` where there is one, and the keyring. So it can be opened without us::

    tail -n +2 FILE | age -d | tar x

Covers are in it as they lie: of one that is wrapped, nobody opens a copy when its key is gone, so
that an erasure reaches every backup. `clear` takes it in clear, which outlives vault and erasure.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from audit_stream.durable import sync_folder
from audit_stream.errors import AuditError, FormatError, KeyringError, UnknownVersion
from audit_stream.evidence.canonical import canonical, check_members, parse_line
from audit_stream.keys import age
from audit_stream.keys.file import (
    LoadedKeyring,
    checked_file,
    load_closed,
    load_cover,
    role_of,
    write_new,
)
from audit_stream.keys.public import FILE as PUBLIC
from audit_stream.keys.public import PublicKeys, parse_public
from audit_stream.keys.wrapping import LOCAL, CoverWrapper, header_of, is_wrapped
from audit_stream.privacy.keyring import Keyring, Tree, parse_keyring

VERSION = "audit-keyring-backup/1"
ABOUT, KEYRING = "about.json", "keyring.json"
_HINT = "take another copy; what is left of this one is of no use"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a backup says of itself to whoever holds the file; times in RFC 3339."""

    archive: str
    epoch: int
    made_at: str
    role: str  # `whole`, or whose view was backed up
    v: str = VERSION

    def line(self) -> bytes:
        """Line 1, with its newline."""
        return canonical(asdict(self)) + b"\n"


@dataclass(frozen=True, slots=True)
class Backup:
    """An opened backup: everything in it fits together."""

    about: About
    keyring: Keyring
    covers: Mapping[str, bytes] = field(repr=False)
    public: PublicKeys | None

    @property
    def loaded(self) -> LoadedKeyring:
        """The keyring as if it were in place, its cover left closed."""
        return LoadedKeyring(self.keyring, memoryview(b""), self.public)

    @property
    def wrapped(self) -> bool:
        """Whether a vault is needed to open somebody with it."""
        return any(map(is_wrapped, self.covers.values()))


def write_backup(
    path: Path, file: Path, passphrase: bytes, work: int = age.WORK_FACTOR, *,
    covers: CoverWrapper = LOCAL, clear: bool = False,
) -> Backup:  # fmt: skip
    """Back the keyring at `path` up to a new file; done when it was read back from there and opened
    into the same. `clear`: covers that are wrapped go into it in clear. `KeyringError` rather than
    overwrite."""
    ring = load_closed(path)
    about = About(
        archive=ring.keyring.archive, epoch=ring.keyring.epoch, role=role_of(ring.keyring),
        made_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    )  # fmt: skip
    read = load_cover if clear else checked_file
    files = {tree.cover: bytes(read(path, tree, covers)) for tree in ring.keyring.trees}
    backup = Backup(about, ring.keyring, files, ring.public)
    data = about.line() + age.encrypt(_pack(backup), passphrase, work)
    try:
        write_new(file, data)
    except OSError as error:
        raise KeyringError(f"cannot write the backup {file}: {error.strerror}") from error
    try:
        sync_folder(file.parent)
        if open_backup(file, passphrase) != backup:
            raise KeyringError(f"what was read back from {file} is not what was written")
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return backup


def read_about(file: Path) -> About:
    """What a backup says of itself, which nothing vouches for until it is opened."""
    return _split(_read(file), str(file))[0]


def open_backup(file: Path, passphrase: bytes) -> Backup:
    """Open and check; `KeyringError` names the file and what is wrong, never a key."""
    about, sealed = _split(_read(file), str(file))
    try:
        return _unpack(about, age.decrypt(sealed, passphrase))
    except KeyringError as error:
        raise KeyringError(f"{file}: {error.message}", hint=error.hint) from error
    except FormatError as error:
        raise _unusable(str(file), error) from error


def _pack(backup: Backup) -> bytes:
    files = {ABOUT: backup.about.line(), **backup.covers}
    if backup.public is not None:
        files[PUBLIC] = backup.public.encode().encode()
    files[KEYRING] = backup.keyring.encode() + b"\n"
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o600
            tar.addfile(info, BytesIO(data))
    return out.getvalue()


def _unpack(about: About, data: bytes) -> Backup:
    files = _files(data)
    if files.pop(ABOUT, b"") != about.line():
        raise FormatError("its first line is not the one it was made with")
    keyring = parse_keyring(files.pop(KEYRING, b""))
    text = files.pop(PUBLIC, None)
    public = None if text is None else parse_public(text.decode("ascii", "replace"))
    backup = Backup(about, keyring, files, public)
    if (keyring.archive, keyring.epoch, role_of(keyring)) != (
        about.archive, about.epoch, about.role,
    ):  # fmt: skip
        raise FormatError("the keyring in it is not the one its first line names")
    if {tree.cover for tree in keyring.trees} != files.keys():
        raise FormatError("the covers in it are not its keyring's")
    for tree in keyring.trees:
        _check_cover(files[tree.cover], tree, keyring)
    return backup


def _check_cover(data: bytes, tree: Tree, keyring: Keyring) -> None:
    """As far as it can be told without a vault: what is wrapped is looked into when restored."""
    if is_wrapped(data):
        fits = header_of(data).archive == keyring.archive
    else:
        fits = sha256(data).hexdigest() == tree.cover_sha256
    if not fits:
        raise FormatError("the covers in it are not its keyring's")


def _files(data: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=BytesIO(data), mode="r:") as tar:
            for info in tar:
                found = tar.extractfile(info) if info.isreg() else None
                if found is None or info.name in files:
                    raise FormatError("it holds something other than files, or one twice")
                files[info.name] = found.read()
    except tarfile.TarError as error:
        raise FormatError("it does not hold a tar file") from error
    return files


def _split(data: bytes, what: str) -> tuple[About, bytes]:
    line, newline, sealed = data.partition(b"\n")
    try:
        value = parse_line(line, "its first line")
        check_members(value, VERSION, About.__dataclass_fields__.keys(), "its first line")
        if not newline or type(value["epoch"]) is not int:
            raise FormatError("its first line is cut off, or its epoch is no number")
        if not all(type(value[name]) is str for name in ("archive", "made_at", "role")):
            raise FormatError("archive, made_at or role of its first line is no text")
    except FormatError as error:
        raise _unusable(what, error) from error
    return About(**value), sealed


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise KeyringError(f"cannot read the backup {file}: {error.strerror}") from error


def _unusable(what: str, error: FormatError) -> AuditError:
    if isinstance(error, UnknownVersion):  # a newer release can
        return error
    return KeyringError(f"{what} is no backup that can be used: {error.message}", hint=_HINT)
