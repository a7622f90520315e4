"""The checks before a worker may start: each refusal is one sentence that says what to do."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from audit_stream.app.covers import open_keyring
from audit_stream.app.epoch import certified_epoch, newest_epoch
from audit_stream.app.topics import archived_topics, changelog_topic
from audit_stream.app.trust import read_given
from audit_stream.archive.chain import new_generation
from audit_stream.archive.fleet import newest_epoch_told
from audit_stream.archive.private import PrivateObjects
from audit_stream.archive.streams import found_stream, newest_stream
from audit_stream.errors import (
    ConfigError,
    FormatError,
    KeyringError,
    StateError,
    TopicError,
    UnknownVersion,
)
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.flatten.status_map import StatusMap
from audit_stream.kafka import ops_events, quarantine
from audit_stream.kafka.ask import TopicInfo, describe_topics, topic_ends
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.keys.file import LoadedKeyring, load_closed
from audit_stream.ports import WormStore
from audit_stream.settings import Settings


def lock_state_dir(state_dir: Path) -> TextIO:
    """Lock the state directory for this process; `StateError` when another one uses it, or it
    cannot be written."""
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = (state_dir / "lock").open("w")
    except OSError as error:
        raise StateError(
            f"cannot write the state directory {state_dir}: {error.strerror}",
            hint="make room there, or set AUDIT_STATE_DIR to a folder this user may write",
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise StateError(
            f"the state directory {state_dir} is in use by another worker",
            hint="give each worker its own AUDIT_STATE_DIR",
        ) from None
    return handle


async def check_topics(connection: KafkaConnection, settings: Settings) -> Mapping[str, str | None]:
    """Refuse missing topics and differing partition counts; topic ids of the archived topics."""
    archived = archived_topics(settings)
    ours = [changelog_topic(settings), quarantine.TOPIC, ops_events.TOPIC]
    found = await describe_topics(connection, [*archived, *archived.values(), *ours])
    if missing := sorted({*archived, *archived.values(), *ours} - set(found)):
        raise TopicError(
            f"no such topic: {', '.join(missing)}", hint="run: audit-stream topics apply"
        )
    for topic in archived.values():
        _check_partitions(found[topic], settings, new_generation(topic))
    _check_partitions(found[ours[0]], settings, "make it anew: audit-stream state rebuild")
    return {topic: found[topic].topic_id for topic in archived.values()}


def _check_partitions(found: TopicInfo, settings: Settings, if_right: str) -> None:
    if found.partitions != settings.partitions:
        raise TopicError(
            f"{found.name} has {found.partitions} partitions, AUDIT_PARTITIONS says "
            f"{settings.partitions}",
            hint=f"set AUDIT_PARTITIONS to what the raw topics have; if it is, {if_right}",
        )


async def topic_faults(
    connection: KafkaConnection, streams: Mapping[str, StreamObject]
) -> dict[str, TopicError]:
    """What is wrong with archived topics by now, beside what a start refuses: they may be gone."""
    found = await describe_topics(connection, list(streams))
    faults: dict[str, TopicError] = {}
    for topic, stream in streams.items():
        try:
            if topic not in found:
                raise TopicError(
                    f"{topic} is gone from the broker",
                    hint="find out who deleted it, then restart (docs/runbooks/raw-topic.md)",
                )
            check_same(stream, found[topic].partitions, found[topic].topic_id)
        except TopicError as error:
            faults[topic] = error
    return faults


async def open_streams(
    store: WormStore, ring: LoadedKeyring, connection: KafkaConnection, settings: Settings,
    topic_ids: Mapping[str, str | None],
) -> dict[str, StreamObject]:  # fmt: skip
    """The stream object of each archived topic, founded where there is none."""
    streams: dict[str, StreamObject] = {}
    for topic, topic_id in topic_ids.items():
        try:
            stream = await newest_stream(store, ring.trusted, topic)
            if stream is None:
                ends = await topic_ends(connection, [topic])
                genesis = [ends[topic, p][0] for p in range(settings.partitions)]
                stream = await found_stream(
                    store, ring.signer, ring.trusted, archive=settings.archive_name, topic=topic,
                    genesis=genesis, topic_id=topic_id,
                )  # fmt: skip
        except UnknownVersion:
            raise
        except FormatError as error:
            raise KeyringError(
                f"the archive's streams were not founded under this keyring: {error.message}",
                hint="use the keyring the archive was made with (AUDIT_KEYRING)",
            ) from error
        _check_archive(stream, settings)
        check_same(stream, settings.partitions, topic_id)
        streams[topic] = stream
    return streams


def load_archive_keyring(settings: Settings, *, closed: bool = False) -> LoadedKeyring:
    """The keyring, refused when it is another archive's; `closed` for who opens no person."""
    ring = load_closed(settings.keyring) if closed else open_keyring(settings)
    if ring.keyring.archive != settings.archive_name:
        raise KeyringError(
            f"the keyring is of the archive {ring.keyring.archive}, AUDIT_ARCHIVE_NAME says "
            f"{settings.archive_name}",
            hint="use the archive's own keyring (AUDIT_KEYRING)",
        )
    return ring


def _check_archive(stream: StreamObject, settings: Settings) -> None:
    if stream.archive != settings.archive_name:
        raise ConfigError(
            f"the archive is named {stream.archive}, AUDIT_ARCHIVE_NAME says "
            f"{settings.archive_name}",
            hint="set AUDIT_ARCHIVE_NAME to the archive's name",
        )


def check_same(stream: StreamObject, partitions: int, topic_id: str | None) -> None:
    """`TopicError` when the topic is not the one its newest generation was founded on."""
    if stream.partitions != partitions:
        raise TopicError(
            f"{stream.topic} has {partitions} partitions, its generation {stream.generation} in "
            f"the archive {stream.partitions}",
            hint=new_generation(stream.topic),
        )
    if stream.topic_id and topic_id and stream.topic_id != topic_id:
        raise TopicError(
            f"{stream.topic} was recreated: its topic id is not the stream's",
            hint=new_generation(stream.topic),
        )


def load_status_map(settings: Settings) -> StatusMap:
    """What a platform's words mean. `ConfigError`."""
    return StatusMap.parse(read_given(settings.status_map_path, "AUDIT_STATUS_MAP"))


async def archive_reached(
    store: WormStore, ring: LoadedKeyring, streams: Mapping[str, StreamObject], told: int = 0
) -> int:
    """The key epoch of the archive's newest segments, its newest redaction certificate and what the
    keeper has told of, whichever is highest."""
    certified = await certified_epoch(store, ring.trusted, ring.keyring.archive)
    found = [await newest_epoch(store, ring.trusted, topic) for topic in streams]
    return max([told, certified.proven, *found])


async def check_epoch(
    store: WormStore, ring: LoadedKeyring, streams: Mapping[str, StreamObject], told: int = 0
) -> None:
    """Refuse a keyring that is older than the archive: it would revive the erased."""
    reached = await archive_reached(store, ring, streams, told)
    if reached > ring.keyring.epoch:
        raise outdated(ring.keyring.epoch, reached)


_OUTDATED = "use the newest keyring: an older one could open what was erased"


def outdated(epoch: int, reached: int, hint: str = _OUTDATED) -> KeyringError:
    """That a keyring of `epoch` is older than the archive."""
    return KeyringError(
        f"the keyring has the epoch {epoch}, the archive is at {reached}", hint=hint
    )


async def check_reader(store: WormStore, private: PrivateObjects, ring: LoadedKeyring) -> None:
    """As `check_epoch`, for who only opens; it looks at no segment."""
    await check_epoch(store, ring, {}, await newest_epoch_told(private))
