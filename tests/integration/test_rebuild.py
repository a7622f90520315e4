"""`state rebuild` of more states than it may keep in memory, over a changelog with other ones."""

from __future__ import annotations

import tracemalloc
from json import loads
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from audit_stream.kafka.embedded import EmbeddedKafka
from audit_stream.precedence.matrix import unpack_state
from audit_stream.stream import rebuild
from audit_stream.stream.changelog import ChangelogWriter
from audit_stream.stream.rebuild import Rebuilder
from bench.archive import TOPIC, TRUSTED, BenchArchive
from bench.generate import PARTITIONS, Workload, generate
from bench.load import create_topics
from bench.rule import rank_of

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

EVENTS = 80_000
_MOST_BYTES = 2_000_000  # of Python's objects; with all states of a partition it is three million


async def changelog(broker: str, topic: str, partition: int) -> dict[bytes, bytes]:
    """What a reader of the changelog holds in the end."""
    tp = TopicPartition(topic, partition)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker, auto_offset_reset="earliest", enable_auto_commit=False
    )
    held: dict[bytes, bytes | None] = {}
    async with consumer:
        consumer.assign([tp])
        [end] = (await consumer.end_offsets([tp])).values()
        while await consumer.position(tp) < end:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                held |= {record.key: record.value for record in records}
    return {key: value for key, value in held.items() if value is not None}


def expected() -> dict[bytes, int]:
    """Message -> rank in the end, by a rule that is not the product's."""
    held: dict[bytes, int] = {}
    for event in generate(Workload(events=EVENTS, warmup=0)):
        rank = max(held.get(event.key, 0), rank_of(loads(event.value)))
        held |= {event.key: rank} if rank else {}
    return held


async def test_a_rebuilt_changelog_holds_the_archives_states_and_memory_does_not_grow_with_them(
    kafka: EmbeddedKafka, tmp_path: Path, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "_STEP", 500)
    archive = BenchArchive(folder=tmp_path, segment_records=200)
    archive.make(EVENTS)
    await create_topics(kafka.bootstrap, [fresh])
    options = {"bootstrap_servers": kafka.bootstrap}
    writer = ChangelogWriter(fresh, fresh, options)
    await writer.own(range(PARTITIONS))
    for partition in range(PARTITIONS):
        stale = [(b"stale %d" % number, b"x") for number in range(2000)]
        await writer.write(partition, stale)
    streams = {TOPIC: archive.stream}
    made = Rebuilder(archive.store, TRUSTED, streams, writer, fresh, options, tmp_path / "state")
    counts = [await made.partition(0, lambda _: None)]  # and whatever is imported only then
    tracemalloc.start()
    counts += [await made.partition(each, lambda _: None) for each in range(1, PARTITIONS)]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await writer.close()
    assert most < _MOST_BYTES
    states: dict[bytes, int] = {}
    for partition in range(PARTITIONS):
        held = await changelog(kafka.bootstrap, fresh, partition)
        found = {k: unpack_state(v) for k, v in held.items() if k[0]}
        assert len(held) == len(found) + 1  # and the marker, behind every state
        assert list(held)[-1] not in found
        assert counts[partition] == len(found)
        states |= {key.rpartition(b"\0")[2]: state.rank for key, state in found.items()}
    assert states == expected()
    assert not list((tmp_path / "state").rglob("*.db"))
