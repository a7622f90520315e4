"""The gateway's application: the service, the pages, and what keeps them fresh."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from audit_stream.anchors.newest import newest_vouched
from audit_stream.app.adoption import KeyringWatch
from audit_stream.app.anchoring import own_trust
from audit_stream.app.covers import cover_wrapper
from audit_stream.app.gateway_keys import Keys, with_covers
from audit_stream.app.holds import holds_reader
from audit_stream.app.now import now
from audit_stream.app.places import archive_to_read, archive_to_write, subject_store
from audit_stream.app.reasons import ReasonCounter
from audit_stream.app.registered import index_key_of
from audit_stream.app.repeated import beside, repeated
from audit_stream.archive.fleet import Registration, newest_epoch_told
from audit_stream.archive.private import PrivateObjects
from audit_stream.bundle.messages import Collector
from audit_stream.errors import AuditError
from audit_stream.gateway.api import build_app
from audit_stream.gateway.around import Around
from audit_stream.gateway.auth import Door, JwtRules, load_rules
from audit_stream.gateway.journal import Journal
from audit_stream.gateway.officers import Officers
from audit_stream.gateway.pages.routes import Pages
from audit_stream.gateway.pages.sessions import Sessions
from audit_stream.gateway.reads import Gateway
from audit_stream.gateway.sealing import drain, unsealed_seconds
from audit_stream.gateway.service import Service
from audit_stream.gateway.signing import AnswerSigner, load_signer
from audit_stream.gateway.tokens import TokenFile
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.lookup import Lookup
from audit_stream.index.tail import Archive, Tail
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.keys.file import LoadedKeyring
from audit_stream.notary.log import ArchiveLog
from audit_stream.ports import Alerts, SubjectStore, WormStore
from audit_stream.settings import Settings
from audit_stream.stores.retry import ResilientStore
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.health import Health
from audit_stream.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
_LAST_SEAL_SECONDS, _RENEW_SECONDS = 5.0, 60.0
#: Alarms and what they are of.
_SEALING = ("journal:seal", "sealing the access journal")
_RENEWING = ("answer-key:renew", "renewing the keys of answers")


@dataclass(frozen=True, slots=True)
class Stores:
    """What a gateway reads, and where it says that it is there."""

    archive: ResilientStore
    subjects: SubjectStore
    private: PrivateObjects

    async def close(self) -> None:
        """All of them."""
        await self.archive.close()
        await self.subjects.close()


def open_stores(settings: Settings) -> Stores:
    """As the settings name them."""
    subjects = subject_store(settings)
    private = PrivateObjects(subjects, index_key_of(settings.keyring))
    return Stores(archive_to_read(settings), subjects, private)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What the process says of itself on its web port."""

    metrics: Metrics
    health: Health
    alarms: AlarmBoard


def build_gateway(
    settings: Settings, stores: Stores, keys: Keys, registration: Registration, board: Board
) -> Around:
    """The application; its journal is opened when it starts to serve."""
    ring, store = keys.ring, stores.archive
    metrics, health, alarms = board.metrics, board.health, board.alarms
    index = ArchiveIndex.open(settings.index_dir, ring.keyring.archive, ring.keyring.index_key)
    archive = Archive(store, stores.subjects, ring.trusted, ring.keyring)
    service = _service(settings, archive, keys, index, alarms)
    service.told = partial(health.set_ready, "index")
    rules = _rules(settings)
    journal = Journal(settings.journal_dir, ring.keyring.archive)
    signer = load_signer(settings.answer_keys, time.time())
    gateway = Gateway(
        service=service, signer=signer, journal=journal, now=now,
        door=Door(TokenFile(settings.gateway_tokens), rules, settings.gateway_rate, wall=time.time),
    )  # fmt: skip
    officers = Officers(
        gateway=gateway, private=stores.private, placeholders=settings.placeholder_ids,
        holds=holds_reader(store, stores.private, ring.trusted, ring.keyring.archive),
    )  # fmt: skip
    reasons = ReasonCounter(KafkaConnection.from_settings(settings), index.is_retried, now)
    pages = Pages(
        gateway=gateway, sessions=Sessions(gateway.door), journal_folder=settings.journal_dir,
        alarms=alarms.open, breaker=lambda: store.breaker.state.value, officers=officers,
        reasons=lambda: reasons.counted,
    )  # fmt: skip
    background = _Background(
        service=service, signer=signer, journal=journal, alarms=alarms,
        sealed_into=archive_to_write(settings, alarms), seal_seconds=settings.journal_seal_seconds,
        refresh_seconds=settings.gateway_refresh_seconds, reasons=reasons,
        reason_seconds=settings.gateway_quarantine_seconds,
        key_watch=_key_watch(settings, stores.private, registration, service, alarms),
    )  # fmt: skip
    _measure(metrics, index, service, journal)

    def observe(route: str, status: int, seconds: float) -> None:
        metrics.gateway_answers_total.labels(route, str(status)).inc()
        metrics.gateway_answer_seconds.labels(route).observe(seconds)

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[None]:
        fresh_keys = contextlib.nullcontext() if rules is None else rules.keys.kept_fresh()
        async with journal, fresh_keys:
            await service.refresh()
            async with background.running():
                yield
        await background.seal_the_rest()
        index.close()
        await background.sealed_into.close()

    refused = metrics.platform_deletions_total.inc
    return build_app(gateway, running, observe, pages, officers, refused)


def _measure(metrics: Metrics, index: ArchiveIndex, service: Service, journal: Journal) -> None:
    """What is asked whenever somebody looks."""
    metrics.block_cache_bytes.set_function(lambda: index.cache_bytes)
    metrics.index_behind_seconds.set_function(lambda: service.behind_seconds)
    metrics.journal_unsealed_seconds.set_function(
        lambda: unsealed_seconds(journal.folder, time.time())
    )


def _service(
    settings: Settings, archive: Archive, keys: Keys, index: ArchiveIndex, alarms: Alerts
) -> Service:
    store, archive_log = archive.store, ArchiveLog(archive.store, keys.ring.log_key)
    trust = own_trust(settings, archive_log.key)
    return Service(
        archive=archive, index=index, tail=Tail(archive, index, alarms), alarms=alarms, now=now,
        lookup=Lookup(
            index, archive, keys.cover_of, cache_bytes=settings.gateway_segments_bytes
        ),
        archive_log=archive_log,
        vouched=lambda: newest_vouched(store, archive_log, trust, datetime.now(UTC)),
        collector=Collector(
            store=store, log=archive_log, segment_keys=archive.keys.publics,
            witnesses=list(trust.policy.witnesses.values()),
        ),
    )  # fmt: skip


def _key_watch(
    settings: Settings, private: PrivateObjects, registration: Registration, service: Service,
    alarms: Alerts,
) -> KeyringWatch:  # fmt: skip
    async def adopt(newer: LoadedKeyring) -> None:
        keys = await asyncio.to_thread(with_covers, settings, newer)
        await service.adopt(keys.ring.keyring, keys.cover_of)

    def tell_behind(behind: bool) -> None:
        service.outdated = behind

    epoch, newest = service.archive.keyring.epoch, partial(newest_epoch_told, private)
    return KeyringWatch(
        settings.keyring, epoch, registration, newest, adopt, alarms, cover_wrapper(settings),
        tell_behind,
    )  # fmt: skip


def _rules(settings: Settings) -> JwtRules | None:
    if settings.gateway_jwks is None:
        return None
    return load_rules(settings.gateway_jwks, settings.gateway_issuer, settings.gateway_audience)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Background:
    """What a gateway does beside answering."""

    service: Service
    signer: AnswerSigner
    journal: Journal
    sealed_into: WormStore
    alarms: Alerts
    seal_seconds: float
    refresh_seconds: float
    reasons: ReasonCounter
    reason_seconds: float
    key_watch: KeyringWatch

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """While it is entered."""
        works = (
            self.service.keep_fresh(self.refresh_seconds),
            self.reasons.keep_counted(self.reason_seconds),
            repeated(self._seal, self.seal_seconds, self.alarms, *_SEALING),
            repeated(self._renew, _RENEW_SECONDS, self.alarms, *_RENEWING),
            self.key_watch.run(),
        )
        return beside(works)

    async def _seal(self) -> None:
        """What was read goes into the archive."""
        await self.journal.roll()
        await drain(self.journal.folder, self.sealed_into)

    async def seal_the_rest(self) -> None:
        """Once the journal is closed. What is left stays in its folder for the next start."""
        try:
            async with asyncio.timeout(_LAST_SEAL_SECONDS):
                await drain(self.journal.folder, self.sealed_into)
        except (TimeoutError, AuditError) as error:
            log.warning("the access journal is not all sealed: %s", type(error).__name__)

    async def _renew(self) -> None:
        """Have a key that is not too old, and know those of who shares the folder."""
        await asyncio.to_thread(self.signer.renew, time.time())
