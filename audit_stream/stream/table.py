"""The precedence table: a Faust table on RocksDB that is written and restored in batches.

Each write is one WriteBatch of states, applied markers and changelog position, so a crash leaves a
consistent prefix. The archive is the log: whatever is lost here is folded back from its segments.
"""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import faust
from faust.stores import rocksdb
from faust.types import TP

from audit_stream.errors import StateError
from audit_stream.precedence.matrix import State
from audit_stream.rocks import batch_of, new_cache, open_database, writing
from audit_stream.stream.changelog import Pair
from audit_stream.stream.form import FIRST_FORM, Applied, StateForm
from audit_stream.stream.transport import BatchMessage, BatchSchema

#: Key of the id of the changelog topic that a partition's database goes with.
_CHANGELOG = b"\x00changelog"


#: Told why the state would lack something. Faust's recovery only logs what is raised in it.
Lacks = Callable[[str], None]


def _raise(what: str) -> None:
    raise StateError(what)


class BatchStore(rocksdb.Store):  # type: ignore[misc]
    """Faust's RocksDB store with one shared cache, batched writes and real closing."""

    def __init__(self, *args: Any, form: StateForm = FIRST_FORM, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.form = form
        self.lacks: Lacks = _raise
        self._cache = new_cache()  # shared by all partitions; Faust takes 2 GiB for each

    @property
    def cache_bytes(self) -> int:
        """What the block cache holds."""
        return int(self._cache.get_usage())

    def partition_path(self, partition: int) -> Path:
        """Folder of one partition's database."""
        return Path(self.path) / f"{self.table_name}-{partition}.db"

    def _open_for_partition(self, partition: int) -> Any:
        path = self.partition_path(partition)
        with writing(path):
            return open_database(path, self._cache)

    def getter(self, partition: int) -> Callable[[bytes], State | None]:
        """The look-up of states in one partition this worker owns."""
        get, prefix, unpack = (
            self._db_for_partition(partition).get, self.form.prefix, self.form.unpack,
        )  # fmt: skip

        def state(key: bytes) -> State | None:
            data = get(prefix + key)
            return None if data is None else unpack(data)

        return state

    def applied(self, partition: int, topic: str) -> Applied | None:
        """The topic's applied marker, or None when nothing was applied."""
        data = self._db_for_partition(partition).get(self.form.applied_key(topic))
        return None if data is None else Applied.unpack(data)

    def keys_of(self, partition: int, stream: bytes) -> Iterator[bytes]:
        """Stored keys of a stream's states, as they are when it is called."""
        prefix = self.form.keys_begin(stream)
        for key in self._db_for_partition(partition).keys(from_key=prefix):
            if not key.startswith(prefix):
                return
            yield key

    def commit_batch(
        self,
        partition: int,
        puts: Iterable[Pair],
        changelog_offset: int | None,
    ) -> None:
        """One WriteBatch: states and markers (None deletes), and how far the changelog is in.

        `StateError` when the disk does not take it.
        """
        batch = batch_of(puts)
        if changelog_offset is not None:
            batch.put(self.offset_key, str(changelog_offset).encode())
        with writing(self.partition_path(partition)):
            self._db_for_partition(partition).write(batch)

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:
        """Apply fetched changelog batches, each in one WriteBatch with its position.

        A batch that does not continue the database would hide that states are missing: `lacks`.
        """
        for event in batch:
            message: BatchMessage = event.message
            position = self.persisted_offset(message.tp)
            if message.base > (-1 if position is None else position) + 1:
                self.lacks(
                    f"the changelog {message.topic}/{message.partition} was read from "
                    f"{message.base} on, and the state is at {position}: it would lack what is "
                    "between; if it is so again after a restart, run audit-stream state rebuild"
                )
                return
            pairs = ((record.key, record.value) for record in message.records)
            self.commit_batch(message.partition, pairs, message.offset)

    def revoke_partitions(self, table: Any, tps: set[TP]) -> None:
        """Close the databases of revoked partitions; the lock is free when this returns."""
        for tp in tps:
            if tp.topic in table.changelog_topic.topics:
                self.close_partition(tp.partition)

    def sizes(self) -> dict[int, int]:
        """Estimated keys of each open partition."""
        name = "rocksdb.estimate-num-keys"
        return {p: int(db.property_int_value(name) or 0) for p, db in self._dbs.items()}

    def adopt_changelog(self, partition: int, topic_id: str | None, end: int) -> bool:
        """Whether the database goes with this changelog; one that does not is discarded.

        A changelog that was recreated, or ends below the position in the database, has lost what
        the database holds: both are made anew from the archive. `end` is the next offset.
        """
        db = self._db_for_partition(partition)
        position, known = db.get(self.offset_key), db.get(_CHANGELOG)
        now = (topic_id or "").encode()
        fits = position is None or (int(position) < end and known in (None, b"", now))
        if not fits:
            self.discard_partition(partition)
        with writing(self.partition_path(partition)):
            self._db_for_partition(partition).put(_CHANGELOG, now)
        return fits

    def close_partition(self, partition: int) -> None:
        """Close one database, if open."""
        db = self._dbs.pop(partition, None)
        if db is not None:
            db.close()

    def discard_partition(self, partition: int) -> Path:
        """Close and delete one partition's database: it is restored, or folded, from scratch."""
        self.close_partition(partition)
        path = self.partition_path(partition)
        shutil.rmtree(path, ignore_errors=True)
        return path

    async def stop(self) -> None:
        """Close everything."""
        for partition in list(self._dbs):
            self.close_partition(partition)


#: Called with the table partitions a worker owns before they are restored: fences other writers.
Fence = Callable[[set[int]], Awaitable[None]]


class BatchTable(faust.Table):  # type: ignore[misc]
    """The table over `BatchStore`; restored in batches, and fenced before it is restored."""

    def __init__(
        self, *args: Any, fence: Fence | None = None, form: StateForm = FIRST_FORM,
        lacks: Lacks = _raise, **kwargs: Any,
    ) -> None:  # fmt: skip
        self._form = form  # before the rest, which makes the store
        super().__init__(
            *args, key_type=bytes, value_type=bytes, recovery_buffer_size=2, standby_buffer_size=2,
            **kwargs,
        )  # fmt: skip
        self._fence = fence
        self.batches.lacks = lacks

    @property
    def batches(self) -> BatchStore:
        """The store, typed."""
        store: BatchStore = self.data
        return store

    def _new_store(self) -> BatchStore:
        return BatchStore(
            f"rocksdb://{self.name}", self.app, self, table_name=self.name, key_type=bytes,
            key_serializer=self.key_serializer, value_serializer=self.value_serializer,
            value_type=bytes, loop=self.loop, options=self.options, driver="rocksdict",
            form=self._form,
        )  # fmt: skip

    def _new_changelog_topic(self, **_: Any) -> Any:
        return self.app.topic(
            self._changelog_topic_name(), schema=BatchSchema(), key_type=bytes, value_type=bytes,
            partitions=self.partitions, compacting=True, acks=False, internal=True, maxsize=64,
            allow_empty=True,
        )  # fmt: skip

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Fence the partitions' former writers, then open the databases."""
        mine = {tp.partition for tp in assigned if tp.topic in self.changelog_topic.topics}
        if self._fence is not None:
            await self._fence(mine)
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
