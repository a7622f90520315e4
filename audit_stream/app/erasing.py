"""Erasing in an installation: its stores, its fleet and its topics, as the keeper needs them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from audit_stream.app.alarms import alarm_board
from audit_stream.app.checks import check_reader, load_archive_keyring
from audit_stream.app.covers import cover_opener, cover_wrapper
from audit_stream.app.holds import HoldKeeper
from audit_stream.app.now import now
from audit_stream.app.places import Stores, stores_to_write
from audit_stream.app.receiving import told_receivers
from audit_stream.app.topics import archived_topics
from audit_stream.archive.history import History
from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.barrier import Barrier
from audit_stream.erasure.batch import JOURNAL
from audit_stream.erasure.counting import Counting
from audit_stream.erasure.filing import DryRun, Kind, Spelling, dry_run, spellings
from audit_stream.erasure.found import tenants_of
from audit_stream.erasure.held import standing_against
from audit_stream.erasure.installation import Installation, StepHook, no_hook
from audit_stream.erasure.request import Request
from audit_stream.erasure.requests import Requests
from audit_stream.erasure.segments import Segments
from audit_stream.erasure.sweeping import Swept, sweep
from audit_stream.erasure.variants import AS_TYPED
from audit_stream.errors import RequestError
from audit_stream.kafka import quarantine
from audit_stream.kafka.ask import topic_configs
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.group import group_processes
from audit_stream.kafka.redactions import publish_certificates
from audit_stream.kafka.retention import FOR_EVER, gone_after_ms
from audit_stream.keys.epochs import destroy_keys
from audit_stream.keys.file import LoadedKeyring
from audit_stream.keys.lock import RUN_FILE, keyring_lock
from audit_stream.ports import Delivery, SubjectStore, WormStore
from audit_stream.privacy.keytree import Cover
from audit_stream.privacy.subject_object import NO_TAG
from audit_stream.settings import Settings
from audit_stream.telemetry.alerts import AlarmBoard

#: Topics that may hold what was erased, beside the raw and rekeyed ones.
_COPIES = (quarantine.TOPIC, "audit-undeliverable")


@dataclass(frozen=True, slots=True)
class Erasing:
    """An installation, opened to erase somebody in it."""

    settings: Settings
    ring: LoadedKeyring
    store: WormStore
    subjects: SubjectStore
    private: PrivateObjects
    counting: Counting
    segments: Segments
    alarms: AlarmBoard
    receivers: Mapping[str, Delivery]

    @property
    def requests(self) -> Requests:
        """What is asked for."""
        return Requests(self.private)

    @property
    def covers(self) -> list[Cover]:
        """Of each tree of the keyring."""
        opened = cover_opener(self.settings)
        return [Cover(opened(tree)) for tree in self.ring.keyring.trees]

    def barrier(self, epoch: int) -> Barrier:
        """The fleet, looked at for an epoch."""
        connection = KafkaConnection.from_settings(self.settings)
        group = partial(group_processes, connection, self.settings.app_id)
        return Barrier(self.private, self.store, self.ring.trusted, group, epoch)

    async def find(self, kind: Kind, typed: str, tenant: str | None) -> DryRun:
        """The dry run of a request. `RequestError`, `StoreError`, `FormatError`."""
        if kind == "message":
            tags = await self._tags_of_message(typed, tenant)
            return await dry_run(
                self.counting, [Spelling(text=typed, reason=AS_TYPED, tags=tuple(sorted(tags)))]
            )
        tenants = [tenant] if tenant is not None else await tenants_of(self.segments)
        asked = spellings(
            self.ring.keyring, kind, typed, tenants, self.settings.placeholder_ids
        )  # fmt: skip
        return await dry_run(self.counting, asked)

    async def _tags_of_message(self, message: str, tenant: str | None) -> set[bytes]:
        """Of the persons whom a message was for: all their records will be erased."""
        history = History(
            self.store, self.subjects, self.ring.trusted, self.ring.keyring,
            cover_opener(self.settings),
        )  # fmt: skip
        topics = list(archived_topics(self.settings).values())
        found = await history.of(message, topics, tenant, None)
        if not found:
            raise RequestError("the archive has no such message")
        tags = {each.tag for each in found if each.tag not in (None, NO_TAG)}
        if not tags:
            raise RequestError(
                "nothing links this message to a person any more",
                hint="they were erased, or its subject object is away: name the customer",
            )
        return tags

    def installation(self, hook: StepHook = no_hook) -> Installation:
        """For the keeper."""
        settings = self.settings
        connection, covers = KafkaConnection.from_settings(settings), cover_wrapper(settings)
        return Installation(
            keyring=settings.keyring, views=[Path(each) for each in settings.keyring_views],
            store=self.store, private=self.private, counting=self.counting, barrier=self.barrier,
            holds_against=self._holds_against, holding=self._holding, covers=covers,
            destroy=partial(destroy_keys, settings.keyring, covers=covers),
            longest_copy=partial(_longest_copy, settings, connection),
            publish=partial(publish_certificates, connection), alarms=self.alarms, now=now,
            barrier_seconds=settings.barrier_seconds,
            grace_seconds=settings.erasure_grace_seconds, hook=hook,
            receivers=self.receivers,
        )  # fmt: skip

    async def _holds_against(self, requests: Sequence[Request]) -> Mapping[str, Sequence[str]]:
        """Under the keyring's lock, which the keeper has; what was filed is declared first."""
        declaring = self._holds.declaring()
        await declaring.carry_out_filed(now())
        wanted = {each.ref: each.tags for each in requests}
        return await standing_against(await declaring.active(), self.counting, wanted)

    async def _holding(self) -> frozenset[object]:
        active = await self._holds.reader.now()
        return frozenset((each.hold_id, each.tags, each.lost) for each in active.holds)

    async def held_by(self, tags: Sequence[bytes]) -> Sequence[str]:
        """Ids of the holds against a person now, for a dry run."""
        active = await self._holds.reader.now()
        return (await standing_against(active, self.counting, {"": tags})).get("", ())

    async def sweep(self) -> Swept:
        """Zero what no key opens. `RequestError` while an erasure is at work: its keys are gone,
        and its records are found by their tags. `KeyringError` while a run is."""
        with keyring_lock(self.settings.keyring, wait=0.0, name=RUN_FILE):
            if await self.private.get(JOURNAL) is not None:
                raise RequestError(
                    "an erasure is at work", hint="finish it: audit-stream redact run"
                )
            return await sweep(self.counting, self.covers)

    @property
    def _holds(self) -> HoldKeeper:
        return HoldKeeper(self.settings, self.ring, self.store, self.subjects)


async def _longest_copy(settings: Settings, connection: KafkaConnection) -> timedelta | None:
    """Of what a topic may hold in clear. `BrokerError`."""
    topics: Collection[str] = {*archived_topics(settings), *archived_topics(settings).values()}
    configs = await topic_configs(connection, [*topics, *_COPIES])
    kept = [gone_after_ms(each) for each in configs.values()]
    return None if FOR_EVER in kept else timedelta(milliseconds=max(kept, default=0))


@asynccontextmanager
async def erasing(
    settings: Settings, alarms: AlarmBoard | None = None, stores: Stores | None = None
) -> AsyncIterator[Erasing]:  # fmt: skip
    """For the block; `alarms` and `stores`: a service's own, which stay open. `KeyringError`,
    `ConfigError`, `StoreError`."""
    ring, alarms = load_archive_keyring(settings, closed=True), alarms or alarm_board(settings)
    opened = stores or stores_to_write(settings, alarms)
    store, subjects = opened.archive, opened.subjects
    private = PrivateObjects(subjects, ring.keyring.index_key)
    segments = Segments(store, ring.trusted, ring.keyring.archive)
    counting = Counting(segments, subjects, private, ring.keyring.index_key, alarms)
    try:
        await check_reader(store, private, ring)
        async with told_receivers(settings) as told:
            yield Erasing(
                settings, ring, store, subjects, private, counting, segments, alarms, told
            )
    finally:
        if stores is None:
            await opened.close()
