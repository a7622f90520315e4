"""`state rebuild`: the precedence table and its changelog from the archive alone.

Run with the fleet stopped: owning the changelog fences every worker that still runs.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from audit_stream.archive.chain import Chain
from audit_stream.archive.fold import states_of
from audit_stream.durable import put_in_place
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.ports import WormStore
from audit_stream.precedence.matrix import State
from audit_stream.stream.changelog import ChangelogWriter, Pair
from audit_stream.stream.form import FIRST_FORM, StateForm

log = logging.getLogger(__name__)
#: In the state directory: the form of what lies there.
FORM_FILE = "form"
_FETCH_MS = 1000
_STEP = 50_000  # pairs a transaction


async def keys_in_changelog(
    client_options: Mapping[str, Any], topic: str, partition: int
) -> set[bytes]:
    """Every key that has a value in a changelog partition now."""
    tp = TopicPartition(topic, partition)
    consumer = AIOKafkaConsumer(
        **client_options, enable_auto_commit=False, auto_offset_reset="earliest",
        isolation_level="read_committed",
    )  # fmt: skip
    await consumer.start()
    keys: set[bytes] = set()
    try:
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        await consumer.seek_to_beginning(tp)
        while await consumer.position(tp) < end:
            batch = await consumer.getmany(tp, timeout_ms=_FETCH_MS)
            for record in batch.get(tp, ()):
                (keys.add if record.value is not None else keys.discard)(record.key)
    finally:
        await consumer.stop()
    return keys


class Rebuilder:
    """Rebuilds table partitions one after another."""

    def __init__(
        self, store: WormStore, trusted: TrustedKeys, streams: Mapping[str, StreamObject],
        writer: ChangelogWriter, topic: str, client_options: Mapping[str, Any],
        form: StateForm = FIRST_FORM,
    ) -> None:  # fmt: skip
        self._store, self._trusted, self._streams = store, trusted, streams
        self._writer, self._topic, self._options = writer, topic, client_options
        self._form = form

    async def partition(self, partition: int, told: Callable[[int], None]) -> int:
        """Write what the archive says of one table partition; the number of states."""
        await self._writer.own({partition})
        states: dict[bytes, State] = {}
        markers: list[Pair] = []
        for stream in self._streams.values():
            chain = Chain(self._store, self._trusted, stream, partition)
            last = None
            async for found in chain.follow(chain.genesis):
                folded = states_of(found.segment, str(found.name))
                states.update(folded)
                last = found
                told(len(folded))
            if last is not None:
                markers.append(self._form.marker_of(last.segment.header, last.segment.leaf))
        pairs = self._form.states(states)
        stale = await keys_in_changelog(self._options, self._topic, partition)
        stale -= {key for key, _ in [*pairs, *markers]}
        pairs = [*((key, None) for key in stale), *pairs, *markers]  # markers last
        for start in range(0, len(pairs), _STEP):
            await self._writer.write(partition, pairs[start : start + _STEP])
        return len(states)


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
