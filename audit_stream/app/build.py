"""Building a worker's parts from its settings."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any

from audit_stream import __version__
from audit_stream.app.guarded import GuardedStores
from audit_stream.app.topics import archived_topics, changelog_topic
from audit_stream.errors import BrokerError, TopicError
from audit_stream.evidence.rawmac import raw_key
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.flatten.status_map import StatusMap
from audit_stream.kafka.ask import describe_topics
from audit_stream.kafka.connect import CLIENT_ID, KafkaConnection
from audit_stream.kafka.group import leave_group
from audit_stream.keys.file import LoadedKeyring
from audit_stream.posture import Assurance
from audit_stream.seal.builder import Limits, Origin
from audit_stream.settings import Settings
from audit_stream.stream.context import Brake, Context, StepHook
from audit_stream.stream.form import FIRST_FORM, StateForm
from audit_stream.stream.worker import WorkerConfig
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
_LEAVE_SECONDS = 5.0


def build_context(
    settings: Settings, ring: LoadedKeyring, stores: GuardedStores, assurance: Assurance,
    status_map: StatusMap, metrics: Metrics, alarms: AlarmBoard, hook: StepHook,
    end: Callable[[int, str], None],
) -> Context:  # fmt: skip
    """What the lanes share."""
    archived = archived_topics(settings)
    origin = Origin(
        archive=settings.archive_name, assurance=assurance.label,
        writer=f"audit-stream/{__version__}", status_map=status_map.hash,
        key_epoch=ring.keyring.epoch, raw_key=raw_key(ring.keyring.index_key),
        format=settings.write_format,
    )  # fmt: skip
    return Context(
        store=stores.archive, subjects=stores.subjects, signer=ring.signer,
        trusted=ring.trusted, keyring=ring.keyring, cover=ring.cover,
        status_map=status_map, origin=origin,
        limits=Limits(
            records=settings.segment_max_records, size=settings.segment_max_bytes,
            age_ms=int(settings.segment_max_seconds * 1000),
        ),
        brake=Brake(settings.quarantine_brake_share, settings.quarantine_brake_run),
        memory_budget=settings.memory_budget_bytes,
        regulatory_tags={a: settings.regulatory_tag(t) for t, a in archived.items()},
        placeholders=settings.placeholder_ids, metrics=metrics, alerts=alarms,
        monotonic_ms=lambda: time.monotonic_ns() // 1_000_000,
        wall_ms=lambda: time.time_ns() // 1_000_000,
        nonce=secrets.token_bytes, die=end, hook=hook,
    )  # fmt: skip


def rekeyed(context: Context, ring: LoadedKeyring) -> Context:
    """The same under another keyring of the archive."""
    return replace(
        context, signer=ring.signer, trusted=ring.trusted, keyring=ring.keyring, cover=ring.cover,
        origin=replace(context.origin, key_epoch=ring.keyring.epoch),
    )  # fmt: skip


def worker_config(
    settings: Settings, streams: Mapping[str, StreamObject], twins: Mapping[str, str],
    connection: KafkaConnection, process: str, form: StateForm = FIRST_FORM,
) -> WorkerConfig:  # fmt: skip
    """What Faust needs to know."""
    return WorkerConfig(
        app_id=settings.app_id, broker="kafka://" + ";".join(settings.bootstrap_servers),
        topics=list(streams), rekey=twins,
        partitions=settings.partitions, state_dir=settings.state_dir,
        session_timeout=settings.session_timeout_seconds,
        static_member=member_name(settings.static_member, streams),
        leaves=settings.leave_on_stop, form=form,
        client_id=f"{CLIENT_ID}-{process}",
        client_options=connection.client_options(), credentials=_credentials(connection),
        changelog_id=partial(_topic_id, connection, changelog_topic(settings)),
    )  # fmt: skip


def leaver(
    connection: KafkaConnection, settings: Settings, streams: Mapping[str, StreamObject]
) -> Callable[[], Awaitable[None]]:
    """Leaves the group, if this is a static member; a broker that does not answer costs others only
    the session's time-out."""
    name = member_name(settings.static_member, streams)

    async def leave() -> None:
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                if name is not None:
                    await leave_group(connection, settings.app_id, name)
        except (TimeoutError, BrokerError) as error:
            log.warning("still a member of the group: %s: %s", type(error).__name__, error)

    return leave


def member_name(member: str | None, streams: Mapping[str, StreamObject]) -> str | None:
    """Kafka gives a static member that is soon back its old assignment, without a rebalance.

    Under the same name, the partitions of a topic that was recreated or grew meanwhile would be
    nobody's: the name goes with the streams.
    """
    if member is None:
        return None
    ids = ",".join(sorted(stream.stream for stream in streams.values()))
    return f"{member}-{sha256(ids.encode()).hexdigest()[:8]}"


async def _topic_id(connection: KafkaConnection, topic: str) -> str | None:
    found = await describe_topics(connection, [topic])
    if topic not in found:
        raise TopicError(f"no such topic: {topic}", hint="run: audit-stream topics apply")
    return found[topic].topic_id


def _credentials(connection: KafkaConnection) -> Any:
    """Faust's own form of the same security settings."""
    from faust.auth import SASLCredentials, SSLCredentials

    options = connection.client_options()
    context = options.get("ssl_context")
    if connection.uses_sasl:
        return SASLCredentials(
            username=options["sasl_plain_username"], password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"], ssl_context=context,
        )  # fmt: skip
    return SSLCredentials(context=context) if connection.uses_tls else None
