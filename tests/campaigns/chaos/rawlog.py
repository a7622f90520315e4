"""What the raw topics held, read from the broker record by record; also of topics that are gone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition

from audit_stream.kafka.connect import KafkaConnection
from tests.support.fleet import Fleet

Records = dict[int, tuple[bytes | None, bytes | None]]  # offset -> key, value


@dataclass(frozen=True, slots=True)
class Log:
    """One partition: what lies in [start, end)."""

    start: int
    end: int
    records: Records


@dataclass
class RawLogs:
    """By topic and generation; of one that goes on in the same log both have it whole."""

    fleet: Fleet
    logs: dict[tuple[str, int], dict[int, Log]] = field(default_factory=dict)
    generations: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [1]))

    async def keep(self, topic: str) -> None:
        """Read a topic as it is: the log of its generations since it was last recreated."""
        found = await self._read(topic)
        for generation in self.generations[topic]:
            self.logs[topic, generation] = found

    def next_generation(self, topic: str, *, recreated: bool) -> None:
        """From now on another generation is written."""
        number = self.generations[topic][-1] + 1
        self.generations[topic] = [number] if recreated else [*self.generations[topic], number]

    async def _read(self, topic: str) -> dict[int, Log]:
        options = KafkaConnection.from_settings(self.fleet.settings).client_options()
        consumer = AIOKafkaConsumer(
            **options, enable_auto_commit=False, max_partition_fetch_bytes=8 << 20
        )
        await consumer.start()
        try:
            places = [TopicPartition(topic, each) for each in range(self.fleet.partitions)]
            starts = await consumer.beginning_offsets(places)
            ends = await consumer.end_offsets(places)
            return {
                each.partition: await _partition(consumer, each, starts[each], ends[each])
                for each in places
            }
        finally:
            await consumer.stop()


async def _partition(
    consumer: AIOKafkaConsumer, place: TopicPartition, start: int, end: int
) -> Log:  # fmt: skip
    records: Records = {}
    consumer.assign([place])
    consumer.seek(place, start)
    while await consumer.position(place) < end:
        for record in (await consumer.getmany(place, timeout_ms=500)).get(place, ()):
            if record.offset < end:
                records[record.offset] = (record.key, record.value)
    return Log(start, end, records)
