"""Reading ``audit-quarantine`` and sending its records back once they can be understood."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer, ConsumerRecord

from audit_stream.kafka.ask import topic_ends
from audit_stream.kafka.connect import KafkaConnection, translated
from audit_stream.kafka.oversize import TRUNCATED_HEADER
from audit_stream.kafka.partitioner import partition_of
from audit_stream.kafka.reading import read_ranges
from audit_stream.seal.judge import ORIGIN_HEADER

TOPIC = "audit-quarantine"
_INTEGER = re.compile(r"-?[0-9]{1,19}").fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One copy in quarantine. `source` is topic/generation/partition/offset, as in a record."""

    reason: str
    source: str
    timestamp: int  # Kafka timestamp of the raw record, ms
    origin: str | None  # where it first stood, if it was rekeyed or retried already
    key: bytes | None
    value: bytes | None
    cut_from: int | None = None  # bytes the value had, where it could not be copied whole

    @property
    def first_position(self) -> str:
        """topic/partition/offset at which the event was quarantined first. What its record says of
        it as `origin` must be what a ledger has: of a rekeyed topic, not where it was copied from.
        """
        topic, _generation, partition, offset = self.source.rsplit("/", 3)
        if self.origin is not None and self.origin.rsplit("/", 2)[0] == topic:
            return self.origin
        return f"{topic}/{partition}/{offset}"

    @property
    def generation(self) -> int:
        """The generation of the stream that it was quarantined in."""
        return int(self.source.rsplit("/", 3)[1])

    @property
    def topic(self) -> str:
        """The topic it was consumed from."""
        return self.source.rsplit("/", 3)[0]


async def read_quarantine(connection: KafkaConnection) -> AsyncIterator[Quarantined]:
    """Every copy that lies in quarantine now, once each: a redo leaves a copy twice."""
    seen: set[str] = set()
    async for record in read_ranges(connection, await topic_ends(connection, [TOPIC])):
        found = parse_copy(record)
        if found.source not in seen:
            seen.add(found.source)
            yield found


def parse_copy(record: ConsumerRecord) -> Quarantined:
    """What a record of the topic is a copy of; of a header without a value as of none."""
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers if value}
    return Quarantined(
        reason=headers.get("reason", "unknown"), source=headers.get("source", "unknown/0/0/0"),
        timestamp=_number(headers.get("timestamp", "")), origin=headers.get(ORIGIN_HEADER),
        key=record.key, value=record.value,
        cut_from=_cut_from(headers.get(TRUNCATED_HEADER, ""), record.value or b""),
    )  # fmt: skip


def _cut_from(text: str, value: bytes) -> int | None:
    """A producer may have written the header, too: nothing is cut that has as many bytes."""
    size = _number(text)
    return size if size > len(value) else None


def _number(text: str) -> int:
    """-1 where it is none, as in Kafka."""
    return int(text) if _INTEGER(text) else -1


async def send_back(
    connection: KafkaConnection, copies: list[tuple[Quarantined, bytes]], partitions: int,
    target: Callable[[str], str],
) -> int:  # fmt: skip
    """Send copies back under their message id; each with its first position in a header.

    `target` names where a topic's retries go. A LogAppendTime topic stamps them anew; a rekeyed
    twin keeps the timestamp. Returns how many every replica has.
    """
    async with translated(connection):
        producer = AIOKafkaProducer(
            **connection.client_options(), acks="all", enable_idempotence=True,
            max_request_size=2 << 20,
        )  # fmt: skip
        await producer.start()
        try:
            futures = [
                await producer.send(
                    target(copy.topic), value=copy.value, key=key,
                    partition=partition_of(key, partitions),
                    timestamp_ms=max(copy.timestamp, 0),
                    headers=[(ORIGIN_HEADER, copy.first_position.encode())],
                )
                for copy, key in copies
            ]  # fmt: skip
            for future in futures:
                await future
        finally:
            await producer.stop()
    return len(futures)
