"""`state rebuild`: the precedence table and its changelog from the archive alone.

Run with the fleet stopped: owning the changelog fences every worker that still runs. States are
gathered on disk first, so memory does not grow with them.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import rocksdict
from aiokafka import AIOKafkaConsumer, TopicPartition

from audit_stream.archive.chain import Chain
from audit_stream.archive.fold import states_of
from audit_stream.durable import put_in_place
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.ports import WormStore
from audit_stream.rocks import batch_of, new_cache, open_database
from audit_stream.stream.changelog import ChangelogWriter, Pair
from audit_stream.stream.form import FIRST_FORM, StateForm

log = logging.getLogger(__name__)
#: In the state directory: the form of what lies there.
FORM_FILE = "form"
_FETCH_MS = 1000
_STEP = 10_000  # pairs a transaction


async def changelog_keys(
    client_options: Mapping[str, Any], topic: str, partition: int
) -> AsyncIterator[list[bytes]]:
    """Keys that were given a value in a changelog partition until now, as they come.

    A key comes as often as it was written, and also when it was deleted later.
    """
    tp = TopicPartition(topic, partition)
    consumer = AIOKafkaConsumer(
        **client_options, enable_auto_commit=False, auto_offset_reset="earliest",
        isolation_level="read_committed",
    )  # fmt: skip
    await consumer.start()
    try:
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        await consumer.seek_to_beginning(tp)
        while await consumer.position(tp) < end:
            batch = await consumer.getmany(tp, timeout_ms=_FETCH_MS)
            yield [record.key for record in batch.get(tp, ()) if record.value is not None]
    finally:
        await consumer.stop()


@contextmanager
def _gathered(folder: Path) -> Iterator[rocksdict.Rdict]:
    """An empty database for the block; what an ended rebuild left there is dropped."""
    shutil.rmtree(folder, ignore_errors=True)
    database = open_database(folder, new_cache())
    try:
        yield database
    finally:
        database.close()
        shutil.rmtree(folder, ignore_errors=True)  # `discard_local` removes what is left


class Rebuilder:
    """Rebuilds table partitions one after another; what it gathers lies below `folder`."""

    def __init__(
        self, store: WormStore, trusted: TrustedKeys, streams: Mapping[str, StreamObject],
        writer: ChangelogWriter, topic: str, client_options: Mapping[str, Any], folder: Path,
        form: StateForm = FIRST_FORM,
    ) -> None:  # fmt: skip
        self._store, self._trusted, self._streams = store, trusted, streams
        self._writer, self._topic, self._options = writer, topic, client_options
        self._folder, self._form = folder, form

    async def partition(self, partition: int, told: Callable[[int], None]) -> int:
        """Write what the archive says of one table partition; the number of states."""
        await self._writer.own({partition})
        # With the ending of a table: `discard_local` removes it should this process be killed.
        with _gathered(self._folder / f"rebuild-{partition}.db") as states:
            markers = await self._gather(states, partition, told)
            await self._forget(states, {key for key, _ in markers}, partition)
            count = await self._write_all(partition, states)
        await self._write(partition, markers)  # last: they say that the states are there
        return count

    async def _gather(
        self, states: rocksdict.Rdict, partition: int, told: Callable[[int], None]
    ) -> list[Pair]:
        """Fill `states` from every stream's segments; the markers of what was applied."""
        markers: list[Pair] = []
        for stream in self._streams.values():
            chain = Chain(self._store, self._trusted, stream, partition)
            last = None
            async for found in chain.follow(chain.genesis):
                folded = states_of(found.segment, str(found.name))
                states.write(batch_of(self._form.states(folded)))
                last = found
                told(len(folded))
            if last is not None:
                markers.append(self._form.marker_of(last.segment.header, last.segment.leaf))
        return markers

    async def _forget(self, states: rocksdict.Rdict, markers: set[bytes], partition: int) -> None:
        """Delete from the changelog what the archive knows nothing of."""
        async for keys in changelog_keys(self._options, self._topic, partition):
            stale = [key for key in keys if key not in markers and states.get(key) is None]
            await self._write(partition, ((key, None) for key in stale))

    async def _write_all(self, partition: int, states: rocksdict.Rdict) -> int:
        # The iterator ends with this call: as long as there is one, the database is not closed.
        pairs: Iterator[Pair] = states.items()  # type: ignore[assignment]
        return await self._write(partition, pairs)

    async def _write(self, partition: int, pairs: Iterable[Pair]) -> int:
        """Write them in steps; how many there were."""
        count, rest = 0, iter(pairs)
        while step := list(islice(rest, _STEP)):
            await self._writer.write(partition, step)
            count += len(step)
        return count


def fit_state_dir(state_dir: Path, form: StateForm) -> None:
    """Make the folder one of this form: what another release left is deleted, unread."""
    said = state_dir / FORM_FILE
    try:
        if said.read_text(encoding="utf-8") == form.name:
            return
    except (FileNotFoundError, UnicodeDecodeError):
        pass  # none yet, or none of ours
    if discard_local(state_dir):
        log.warning("the state directory is not of the form %s: the state is made anew from the "
                    "changelog and the archive", form.name)  # fmt: skip
    put_in_place(said, form.name.encode())


def discard_local(state_dir: Path) -> int:
    """Delete local tables, and how many: each is restored from the changelog at the next
    assignment."""
    found = [path for path in state_dir.rglob("*.db") if path.is_dir()]
    for path in found:
        shutil.rmtree(path)
    return len(found)
