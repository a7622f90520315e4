"""From a URL in the settings to a store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from audit_stream.errors import ConfigError
from audit_stream.ports import SubjectStore, WormStore
from audit_stream.stores.file import FileStore
from audit_stream.stores.subjects import FileSubjectStore

_LATER = ("azure", "s3")
_EXAMPLE = "for example file:///var/lib/audit/archive"


def open_store(url: str, *, read_only: bool = False) -> WormStore:
    """The archive at `url`: ``file:///path``, made if need be unless `read_only`.

    `ConfigError` for a URL it cannot serve, and for a folder to read that is not there.
    """
    path = file_path(url)
    if read_only and not path.is_dir():
        raise ConfigError(f"there is no archive folder {path}", hint="check AUDIT_ARCHIVE")
    return FileStore(path, read_only)


def open_subjects(url: str) -> SubjectStore:
    """The subject store at `url`: ``file:///path``, made if need be."""
    return FileSubjectStore(file_path(url))


def file_path(url: str) -> Path:
    """The folder a ``file:`` URL means. `ConfigError` for any other; it never repeats the URL."""
    parts = _split(url)
    if parts.scheme in _LATER:
        raise ConfigError(
            f"{parts.scheme}:// stores come in a later release", hint=f"use file://, {_EXAMPLE}"
        )
    if parts.scheme != "file":
        raise ConfigError("a store's URL must start with file:///", hint=_EXAMPLE)
    if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        raise ConfigError("a file URL needs an absolute path after file://", hint=_EXAMPLE)
    if parts.query or parts.fragment or "\0" in unquote(parts.path):
        raise ConfigError("a file URL is a path and nothing else", hint="write ? # as %3F %23")
    return Path(unquote(parts.path))


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise ConfigError("a store's URL is malformed", hint=_EXAMPLE) from None
