"""The access journal's folder: numbered parts of whole lines, the newest of them being written.

A line counts once `append` has returned. What a crash leaves behind the last that did, whether a
half line or blocks in any order, is cut off at the next start: its answer never left.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
from pathlib import Path

import orjson

from audit_stream.durable import sync_folder, write_new
from audit_stream.errors import ConfigError, FormatError, UnknownVersion
from audit_stream.evidence.access import check_entry
from audit_stream.evidence.log_names import is_journal

log = logging.getLogger(__name__)
_FILE, _FOLDER = 0o600, 0o700
_IDENTITY = "journal.json"
_PART = re.compile(r"part-(\d{20})\.jsonl")


class PartFiles:
    """Writes the folder; one process at a time, which the lock on its identity sees to."""

    def __init__(self, folder: Path, archive: str) -> None:
        self._folder, self._archive = folder, archive
        self._lock = self._handle = -1
        self._number = self._length = 0

    def open(self) -> None:
        """Make or take over the folder. `ConfigError` when another process has it, or it is of
        another archive."""
        _make_folder(self._folder)
        if not (self._folder / _IDENTITY).exists():
            _write_identity(self._folder, self._archive)
        if identity(self._folder)[1] != self._archive:
            raise ConfigError(
                f"AUDIT_JOURNAL_DIR: {self._folder} is the journal of another archive",
                hint="name a folder of its own for each archive",
            )
        self._lock = os.open(self._folder / _IDENTITY, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ConfigError(
                f"AUDIT_JOURNAL_DIR: {self._folder} is in use by another gateway",
                hint="each gateway has a folder of its own",
            ) from None
        numbers = part_numbers(self._folder)
        self._number = numbers[-1] if numbers else 0
        self._start()
        if self._length:
            self.roll()

    def append(self, data: bytes) -> None:
        """Whole lines, durable on return. After an `OSError` none of them is there, or, if the
        disk fails altogether, unseen behind the end of what counts; the next call begins anew."""
        if self._handle < 0:
            self._start()
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(self._handle, left) :]
            os.fsync(self._handle)
        except Exception:
            self._give_up()
            raise
        self._length += len(data)

    def roll(self) -> bool:
        """Close the part that is being written, unless it is empty, and begin the next."""
        if not self._length:
            return False
        self._close()
        self._number, self._length = self._number + 1, 0
        self._start()
        return True

    def close(self) -> None:
        """Let go of the folder, its last part closed."""
        if self._lock >= 0:
            try:
                self.roll()
            finally:
                self._close()
                os.close(self._lock)
                self._lock = -1

    def _start(self) -> None:
        path = _part(self._folder, self._number)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _FILE)
        try:
            data = path.read_bytes()
            length = _counted(data)
            if b"\n" in data[length:]:
                _put_aside(path, data[length:])
            os.ftruncate(handle, length)
            os.fsync(handle)
            sync_folder(self._folder)
        except OSError:
            os.close(handle)
            raise
        self._handle, self._length = handle, length

    def _give_up(self) -> None:
        """After a failed fsync nobody knows what is on disk: nothing more goes into this file."""
        try:
            os.ftruncate(self._handle, self._length)
        finally:
            self._close()
            if self._length:
                self._number, self._length = self._number + 1, 0

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def identity(folder: Path) -> tuple[str, str]:
    """(journal, archive) of a folder. `ConfigError` when it is none."""
    path = folder / _IDENTITY
    try:
        found = orjson.loads(path.read_bytes())
        journal, archive = str(found["journal"]), str(found["archive"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"AUDIT_JOURNAL_DIR: {path} cannot be used: {type(error).__name__}",
            hint="restore it; parts beside it may not be sealed yet",
        ) from error
    if not is_journal(journal):
        raise ConfigError(f"AUDIT_JOURNAL_DIR: {path} has no journal's id")
    return journal, archive


def part_numbers(folder: Path) -> list[int]:
    """Of the parts that are there, ascending."""
    found = (_PART.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in found if match is not None)


def closed_parts(folder: Path) -> list[tuple[int, Path]]:
    """Every part but the newest, which may still be written."""
    return [(number, _part(folder, number)) for number in part_numbers(folder)[:-1]]


def _counted(data: bytes) -> int:
    """How much of a part are entries. What was appended counts, and is whole; so from the first
    line that is none on, a crash tore what was not on disk yet."""
    length = 0
    for line in data.split(b"\n")[:-1]:
        try:
            check_entry(line, "a line")
        except UnknownVersion:
            pass  # another release's, to be judged by it
        except FormatError:
            break
        length += len(line) + 1
    return length


def _put_aside(path: Path, data: bytes) -> None:
    """Whole lines behind the end of what counts: kept for people, in case the disk damaged them."""
    aside = path.with_name(f"torn-{path.stem}-{secrets.token_hex(4)}")
    write_new(aside, data)
    log.warning("%s is torn: what stands behind its last entry is in %s", path, aside.name)


def part_lines(folder: Path, number: int) -> list[bytes] | None:
    """The whole lines of a part, also of the one being written; None: it is not there, or not any
    more, since it is sealed."""
    try:
        return _part(folder, number).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return None


def _part(folder: Path, number: int) -> Path:
    return folder / f"part-{number:020d}.jsonl"


def _write_identity(folder: Path, archive: str) -> None:
    temporary = folder / f"{_IDENTITY}.{secrets.token_hex(4)}"
    write_new(temporary, orjson.dumps({"archive": archive, "journal": secrets.token_hex(8)}))
    try:
        os.link(temporary, folder / _IDENTITY)  # never over another process's
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    sync_folder(folder)


def _make_folder(folder: Path) -> None:
    """Durable: entries must not go with a folder that a crash forgets."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER)
    for each in made:
        sync_folder(each.parent)
