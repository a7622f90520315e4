"""How far each file of an import is acknowledged, in a small file of its own beside it.

A position goes with one file (its size and a salted hash of its head, which holds personal data)
and one target (the topics' ids): an import into other topics must not skip what those have.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

import orjson

from audit_stream.errors import ConfigError
from audit_stream.kafka.lines import LineFile
from audit_stream.kafka.refused import Tally
from audit_stream.kafka.sending import Mark

VERSION = "audit-import/2"
SUFFIX = ".position"
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Everything before `line` of one file was acknowledged, but for what was refused."""

    size: int
    head: str
    salt: str
    target: str
    line: int = 0
    offset: int = 0  # bytes of the unpacked text
    done: bool = False
    refused: int = 0  # lines before it that were not sent
    first_refused: Sequence[tuple[int, str]] = ()  # number and reason
    v: str = VERSION

    @property
    def tally(self) -> Tally:
        """What was refused."""
        return Tally(self.refused, tuple(self.first_refused))


class Positions:
    """The positions of one import's files; standard input has none."""

    def __init__(
        self, files: Sequence[LineFile], topics: Mapping[str, str | None], folder: Path | None
    ) -> None:
        target = sha256(orjson.dumps(sorted(topics.items()))).hexdigest()
        self._paths = [_path(file, folder) for file in files]
        self._files = files
        self._fresh = [_identify(file, target, secrets.token_hex(16)) for file in files]
        self._saved: dict[int, Position] = {}

    def begun(self) -> dict[int, Position]:
        """File index -> the position an earlier import left behind.

        Raises ConfigError for one of another file or another target.
        """
        found = {}
        for index, (path, fresh) in enumerate(zip(self._paths, self._fresh, strict=True)):
            if path is not None and fresh is not None and path.exists():
                found[index] = _read(path, self._files[index], fresh)
        return found

    def save(self, settled: Mark, refused: Mapping[int, Tally]) -> None:
        """Note that every line before the mark was acknowledged or, by file index, refused.

        Raises ConfigError.
        """
        for index, (path, fresh) in enumerate(zip(self._paths, self._fresh, strict=True)):
            if path is None or fresh is None or index > settled.file:
                continue
            here = settled if index == settled.file else None
            tally = refused.get(index, Tally())
            position = Position(
                size=fresh.size, head=fresh.head, salt=fresh.salt, target=fresh.target,
                done=here is None,
                line=here.line if here else 0, offset=here.offset if here else 0,
                refused=tally.count, first_refused=tally.first,
            )  # fmt: skip
            if self._saved.get(index) != position:
                _write(path, position)
                self._saved[index] = position

    @property
    def paths(self) -> list[Path]:
        """Where they lie."""
        return [path for path in self._paths if path is not None]

    def remove(self) -> None:
        """All is done: nothing is left to go on with."""
        for path in self.paths:
            path.unlink(missing_ok=True)


def _path(file: LineFile, folder: Path | None) -> Path | None:
    if file.path is None:
        return None
    if folder is None:
        return file.path.with_name(file.path.name + SUFFIX)
    # Files of one name may come from several folders.
    where = sha256(os.fsencode(file.path.resolve())).hexdigest()[:8]
    return folder / f"{file.path.name}.{where}{SUFFIX}"


def _identify(file: LineFile, target: str, salt: str) -> Position | None:
    if file.path is None:
        return None
    with file.path.open("rb") as opened:
        head = sha256(salt.encode() + opened.read(_HEAD_BYTES)).hexdigest()
        return Position(
            size=os.fstat(opened.fileno()).st_size, head=head, salt=salt, target=target
        )  # fmt: skip


def _read(path: Path, file: LineFile, fresh: Position) -> Position:
    try:
        found = Position(**orjson.loads(path.read_bytes()))
        lines = tuple((int(line), str(reason)) for line, reason in found.first_refused)
        found = replace(found, refused=int(found.refused), first_refused=lines)
        here = _identify(file, found.target, found.salt)
    except (AttributeError, OSError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is not a position", hint="remove it to begin anew") from error
    if here is None or (found.v, found.size, found.head) != (VERSION, here.size, here.head):
        raise ConfigError(
            f"{path} is the position in another file",
            hint="the file has changed: remove the position to import it from its beginning",
        )
    if found.target != fresh.target:
        raise ConfigError(
            f"{path} is of an import into other topics",
            hint="remove it to import the file from its beginning",
        )
    return found


def _write(path: Path, position: Position) -> None:
    """Replaced as a whole, so that an import that is killed leaves the old or the new one."""
    temporary = path.with_name(f"{path.name}.new")
    try:
        with temporary.open("wb") as file:
            file.write(orjson.dumps(asdict(position)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(
            f"cannot keep the position {path}: {error.strerror}",
            hint="name a folder this user may write with --positions",
        ) from error
