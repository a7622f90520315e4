"""The checks before a worker may start: each refusal is one sentence that says what to do."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from audit_stream.app.topics import archived_topics, changelog_topic
from audit_stream.archive.chain import Chain, Found
from audit_stream.archive.streams import found_stream, newest_stream
from audit_stream.errors import ConfigError, FormatError, KeyringError, StateError, TopicError
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.kafka import ops_events, quarantine
from audit_stream.kafka.connect import KafkaConnection, TopicInfo, describe_topics, topic_ends
from audit_stream.keys.file import LoadedKeyring
from audit_stream.ports import Assurance, WormStore
from audit_stream.settings import Settings


def lock_state_dir(state_dir: Path) -> TextIO:
    """Lock the state directory for this process; `StateError` when another one uses it."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = (state_dir / "lock").open("w")
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
    for topic in (*archived.values(), changelog_topic(settings)):
        _check_partitions(found[topic], settings)
    return {topic: found[topic].topic_id for topic in archived.values()}


def _check_partitions(found: TopicInfo, settings: Settings) -> None:
    if found.partitions != settings.partitions:
        raise TopicError(
            f"{found.name} has {found.partitions} partitions, AUDIT_PARTITIONS says "
            f"{settings.partitions}",
            hint="set AUDIT_PARTITIONS to what the raw topics have; a changed count needs a "
            "new generation of the stream",
        )


async def topic_faults(
    connection: KafkaConnection, settings: Settings, streams: Mapping[str, StreamObject]
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
            _check_partitions(found[topic], settings)
            _check_stream(stream, settings, found[topic].topic_id)
        except TopicError as error:
            faults[topic] = error
    return faults


async def check_assurance(store: WormStore, settings: Settings) -> Assurance:
    """The store's level; refused below what is allowed."""
    posture = await store.posture()
    if posture.assurance < settings.allow_assurance:
        raise ConfigError(
            f"the archive {store.url} is {posture.assurance.label}, AUDIT_ALLOW_ASSURANCE asks for "
            f"{settings.allow_assurance.label}",
            hint=f"use a locked store, or accept it with AUDIT_ALLOW_ASSURANCE="
            f"{posture.assurance.label}",
        )
    return posture.assurance


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
        except FormatError as error:
            raise KeyringError(
                f"the archive's streams were not founded under this keyring: {error.message}",
                hint="use the keyring the archive was made with (AUDIT_KEYRING)",
            ) from error
        _check_stream(stream, settings, topic_id)
        streams[topic] = stream
    return streams


def _check_stream(stream: StreamObject, settings: Settings, topic_id: str | None) -> None:
    if stream.archive != settings.archive_name:
        raise ConfigError(
            f"the archive is named {stream.archive}, AUDIT_ARCHIVE_NAME says "
            f"{settings.archive_name}",
            hint="set AUDIT_ARCHIVE_NAME to the archive's name",
        )
    if stream.partitions != settings.partitions:
        raise TopicError(
            f"the stream of {stream.topic} has {stream.partitions} partitions, the topic has "
            f"{settings.partitions}",
            hint="a changed count needs a new generation of the stream, by an operator's word",
        )
    if stream.topic_id and topic_id and stream.topic_id != topic_id:
        raise TopicError(
            f"{stream.topic} was recreated: its topic id is not the stream's",
            hint="start a new generation once you know why (docs/runbooks/raw-topic.md)",
        )


async def check_epoch(
    store: WormStore, ring: LoadedKeyring, streams: Mapping[str, StreamObject]
) -> None:
    """Refuse a keyring older than the archive's newest segments: it would revive the erased."""
    for stream in streams.values():
        for partition in range(stream.partitions):
            last = await Chain(store, ring.trusted, stream, partition).last()
            if isinstance(last, Found) and last.segment.header.key_epoch > ring.keyring.epoch:
                raise KeyringError(
                    f"the keyring has the epoch {ring.keyring.epoch}, the archive is at "
                    f"{last.segment.header.key_epoch}",
                    hint="use the newest keyring: an older one could open what was erased",
                )
