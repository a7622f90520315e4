"""The index's files: opening them, deleting them, and what is said when they do not serve."""

from __future__ import annotations

from pathlib import Path

import rocksdict

from audit_stream.errors import StateError
from audit_stream.index.rows import META
from audit_stream.rocks import open_database

_MAKE = "run: audit-stream index rebuild"
_FRESH = "make it anew: audit-stream index rebuild --fresh"
_WRITE_BUFFER_BYTES = 32 << 20  # a rebuild writes two rows a record, in no order


def open_files(
    path: Path, meta: bytes, cache: rocksdict.Cache, *, read_only: bool
) -> rocksdict.Rdict:
    """The database in the folder `path`, made if need be unless `read_only`; `meta` says whose it
    is.

    `StateError` when another process writes it, there is none to read, or it is another's.
    """
    if read_only and not (path / "CURRENT").exists():  # opening would make the folder
        raise StateError(f"there is no index in {path}", hint=_MAKE)
    try:
        database = open_database(
            path, cache, write_buffer_bytes=_WRITE_BUFFER_BYTES, read_only=read_only
        )
    except Exception as error:  # RocksDB's errors have no class of their own
        raise StateError(
            f"the index in {path} cannot be opened: {error}", hint=_how(error)
        ) from error
    found = database.get(META)
    if found is None and not read_only:
        database.put(META, meta)
    elif found != meta:
        database.close()
        raise StateError(
            f"the index in {path} is of another archive, keyring or release", hint=_FRESH
        )
    return database


def discard(path: Path) -> None:
    """Delete the index in the folder `path`, and nothing else that lies there.

    `StateError` when a process has it open.
    """
    if not path.exists():
        return
    try:
        rocksdict.Rdict.destroy(str(path), rocksdict.Options(raw_mode=True))
    except Exception as error:
        raise StateError(f"the index in {path} stays: {error}", hint=_how(error)) from error


def stale(what: str) -> StateError:
    """The error that something is not where the index says."""
    return StateError(
        f"the index does not fit the archive: {what} is not where it says", hint=_FRESH
    )


def _how(error: Exception) -> str:
    if "lock" in str(error).lower():
        return "another process writes it: use one AUDIT_INDEX_DIR a gateway, or stop it"
    return _MAKE
