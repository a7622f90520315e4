"""The states of a replay: one stream and partition, in a database of its own on disk.

Never the live worker's. What a segment changes is written at once with how far the replay is, so
whatever ends it, the two fit together.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from audit_stream.precedence.matrix import State
from audit_stream.rocks import batch_of, new_cache, open_database
from audit_stream.stream.changelog import Pair
from audit_stream.stream.form import FIRST_FORM, Applied

#: A state's key never begins with a zero byte.
_POSITION = b"\x00position"


class States:
    """`stream.state.StateTable` of one partition; the partition's number does not matter."""

    form = FIRST_FORM  # a replay's database lives as long as the replay

    def __init__(self, folder: Path, *, keep: bool) -> None:
        """Open the database in `folder`: what is there already, or with `keep` false a new one."""
        self._folder = folder
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
        self._open()

    def _open(self) -> None:
        self._db = open_database(self._folder, new_cache())
        self._get = self._db.get

    def clear(self) -> None:
        """Begin again with nothing."""
        self.discard()
        self._open()

    def get(self, key: bytes) -> State | None:
        """The state of a message, None when it has none."""
        data = self._get(key)
        return None if data is None else self.form.unpack(data)

    def commit(self, pairs: Iterable[Pair], position: bytes) -> None:
        """Apply the pairs and note how far the replay is, both or neither."""
        self._write([*pairs, (_POSITION, position)])

    @property
    def position(self) -> bytes | None:
        """What was noted last."""
        data: bytes | None = self._db.get(_POSITION)
        return data

    def applied(self, partition: int, topic: str) -> Applied | None:
        """See `StateTable`."""
        data = self._db.get(self.form.applied_key(topic))
        return None if data is None else Applied.unpack(data)

    def keys_of(self, partition: int, stream: bytes) -> Iterator[bytes]:
        """See `StateTable`: the database holds nothing else."""
        keys: Iterator[Any] = self._db.keys()
        return (key for key in keys if not key.startswith(b"\x00"))

    def commit_batch(
        self, partition: int, puts: Iterable[Pair], changelog_offset: int | None
    ) -> None:
        """See `StateTable`."""
        self._write(puts)

    def _write(self, pairs: Iterable[Pair]) -> None:
        self._db.write(batch_of(pairs))

    def close(self) -> None:
        """Close the database; it stays where it is."""
        self._db.close()

    def discard(self) -> None:
        """Close and delete it."""
        self._db.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class NoLog:
    """`stream.state.StateLog` of states that need none: the archive is their log."""

    async def write(self, partition: int, pairs: Sequence[Pair]) -> int | None:
        """Nothing."""
        return None
