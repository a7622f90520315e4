"""How delivery stands, and trying again what was refused: one-time work beside the service."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audit_stream.app.alarms import alarm_board
from audit_stream.app.delivering import delivering, positions_store, trusted_keys
from audit_stream.app.newest import COMMAND_PATIENCE
from audit_stream.app.now import now
from audit_stream.app.places import archive_to_read
from audit_stream.archive.chain import Chain
from audit_stream.archive.streams import read_stream
from audit_stream.delivery.body import KeyForm
from audit_stream.delivery.parcel import parcels
from audit_stream.delivery.position import Position, all_positions
from audit_stream.delivery.retried import Retries
from audit_stream.delivery.retrying import Outcome, RecordReader, retry
from audit_stream.delivery.undeliverable import parse_undeliverable
from audit_stream.errors import FormatError, TopicError
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.kafka.ask import topic_ends, topic_id
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.undeliverable import TOPIC, read_undeliverable
from audit_stream.ports import SubjectStore, WormStore
from audit_stream.settings import Settings

_ANY = KeyForm.SOURCE  # of records that are only counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A partition's position, and what stored segments hold behind it."""

    position: Position
    records: int  # not delivered
    seconds: float  # age of the oldest of them, 0 if there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What lies in ``audit-undeliverable`` of one target."""

    entries: int
    lost: int  # entries that the topic's retention took before they were tried again


async def standings(settings: Settings) -> Sequence[Standing]:
    """Of every partition of every stream, the headers behind its position read and counted."""
    trusted = trusted_keys(settings)
    store, positions = archive_to_read(settings), positions_store(settings)
    try:
        kept = {each.name: each for each in await all_positions(positions, settings.delivery_name)}
        found = []
        for begin, chain in await _chains(store, trusted, settings.delivery_name):
            found.append(await _standing(chain, kept.get(begin.name, begin)))
        return found
    finally:
        await store.close()
        await positions.close()


async def _chains(
    store: WormStore, trusted: TrustedKeys, target: str
) -> list[tuple[Position, Chain]]:
    streams = [await read_stream(store, trusted, name) for name in await store.names("streams/")]
    return [
        (Position.begin(target, stream, partition), Chain(store, trusted, stream, partition))
        for stream in sorted(streams, key=lambda each: (each.topic, each.generation))
        for partition in range(stream.partitions)
    ]


async def _standing(chain: Chain, position: Position) -> Standing:
    records, oldest = 0, None
    async for found in chain.follow(position.link):
        header = found.segment.header
        if found.disposed:
            continue
        if header.base < position.settled:  # the segment at work
            records += sum(each.offset >= position.settled for each in parcels(found, None, _ANY))
        else:
            records += header.count
        oldest = header.first_ts if oldest is None and records else oldest
    age = 0.0 if oldest is None else max(0.0, time.time() - oldest / 1000)
    return Standing(position=position, records=records, seconds=age)


async def waiting(settings: Settings) -> Waiting:
    """What a retry would try. `BrokerError`, `TopicError`."""
    connection = KafkaConnection.from_settings(settings)
    positions = positions_store(settings)
    try:
        retries = await _retries(settings, connection, positions)
        ranges, lost = await _ranges(connection, retries)
        count = 0
        async for _, _, value in read_undeliverable(connection, ranges):
            count += _is_of(value, settings.delivery_name)
        return Waiting(entries=count, lost=lost)
    finally:
        await positions.close()


async def retry_all(settings: Settings) -> tuple[Outcome, int]:
    """Try once what lies there now: how it ended, and how many entries retention had taken."""
    alarms = alarm_board(settings)
    try:
        async with delivering(settings, alarms, patience=COMMAND_PATIENCE) as place:
            retries = await _retries(settings, place.connection, place.positions)
            ranges, lost = await _ranges(place.connection, retries)
            reader = RecordReader(place.store, place.trusted, settings.archive_name, place.courier)
            entries = read_undeliverable(place.connection, ranges)
            return await retry(entries, retries, reader, place.courier, place.keep), lost
    finally:
        alarms.flush(2.0)


async def _retries(
    settings: Settings, connection: KafkaConnection, positions: SubjectStore
) -> Retries:
    found = await topic_id(connection, TOPIC)
    if found is None:
        raise TopicError(f"no such topic: {TOPIC}", hint="run: audit-stream topics apply")
    return Retries(positions, settings.delivery_name, found, now)


async def _ranges(
    connection: KafkaConnection, retries: Retries
) -> tuple[Mapping[int, tuple[int, int]], int]:
    """From the first entry not done to the end, by partition; how many are gone before it."""
    ranges, lost = {}, 0
    for (_, partition), (start, end) in (await topic_ends(connection, [TOPIC])).items():
        at = (await retries.at(partition)).next
        ranges[partition] = (max(at, start), end)
        lost += max(0, start - at)
    return ranges, lost


def _is_of(value: bytes, target: str) -> bool:
    try:
        return parse_undeliverable(value, "an entry").target == target
    except FormatError:
        return False
