"""What delivery is made of, as the settings name it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf

from audit_stream.app.checks import load_archive_keyring
from audit_stream.app.gateway_keys import Keys, with_covers
from audit_stream.app.newest import never, newest_keyring
from audit_stream.app.now import now
from audit_stream.app.places import archive_to_read, subject_store
from audit_stream.app.receiving import only_a_post_tells, receiver
from audit_stream.app.registered import index_key_of, registered
from audit_stream.app.trust import read_given
from audit_stream.archive.fleet import Registration
from audit_stream.archive.private import PrivateObjects
from audit_stream.archive.receivers import note_receiver
from audit_stream.delivery.courier import Courier
from audit_stream.delivery.fields import Fields, NoFields, PersonalFields
from audit_stream.delivery.gate import Gate
from audit_stream.delivery.undeliverable import Undeliverable
from audit_stream.errors import ConfigError, FormatError
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.undeliverable import write_undeliverable
from audit_stream.keys.file import LoadedKeyring
from audit_stream.keys.public import parse_public
from audit_stream.ports import Alerts, SubjectStore
from audit_stream.settings import Settings
from audit_stream.stores.attempts import Attempts, RetryPolicy
from audit_stream.stores.breaker import BreakerPolicy, CircuitBreaker
from audit_stream.stores.clock import SystemClock
from audit_stream.stores.open import open_subjects
from audit_stream.stores.retry import ResilientStore, ResilientSubjectStore

ROLE = "deliverer"


@dataclass(frozen=True, slots=True)
class Held:
    """The keys of a process that sends personal fields, and where it says that it has them."""

    registration: Registration
    private: PrivateObjects
    fields: PersonalFields
    epoch: int


@dataclass(frozen=True, slots=True)
class Delivering:
    """One target, open."""

    settings: Settings
    store: ResilientStore
    positions: ResilientSubjectStore
    trusted: TrustedKeys
    courier: Courier
    gate: Gate
    breaker: CircuitBreaker
    attempts: Attempts
    connection: KafkaConnection = field(repr=False)
    held: Held | None = None  # None: no personal field is sent

    async def keep(self, entries: Sequence[Undeliverable]) -> None:
        """Into ``audit-undeliverable``: those of one partition of the archive into one there, so
        that a retry keeps their order."""
        places = [f"{each.topic}/{each.generation}/{each.partition}" for each in entries]
        records = [(at.encode(), each.encode()) for at, each in zip(places, entries, strict=True)]
        await write_undeliverable(self.connection, records)

    async def noted(self) -> None:
        """Before posts: a person may have had the receiver forgotten meanwhile, and is to be put
        right before it has anything more. `StoreError`: then nothing may be sent."""
        if self.held is not None:
            await note(self.settings, self.held.private)

    async def adopt(self, newer: LoadedKeyring) -> None:
        """Go on with these keys; posts under way with the ones before are waited for."""
        assert self.held is not None
        keys = await asyncio.to_thread(with_covers, self.settings, newer)
        await self.noted()
        async with self.gate.closed():
            self.held.fields.use(keys.ring.keyring, keys.cover_of)


@contextlib.asynccontextmanager
async def delivering(
    settings: Settings, alarms: Alerts, asked_to_end: Callable[[], bool] = never, *,
    patience: float = inf,
) -> AsyncIterator[Delivering]:  # fmt: skip
    """The target that the settings name, for the block. `ConfigError`, `KeyringError`; `AskedToEnd`
    where its keyring had to be waited for, which is done for `patience` seconds."""
    clock, name = SystemClock(), settings.delivery_name
    policy = BreakerPolicy(
        max_failures=settings.breaker_attempts, first_delay=settings.breaker_probe_seconds,
        bursts=True,
    )  # fmt: skip
    breaker = CircuitBreaker(f"siem:{name}", clock=clock, alerts=alarms, policy=policy)
    attempts = Attempts(breaker, only_a_post_tells, clock=clock, policy=RetryPolicy())
    delivery = receiver(settings)
    newest = partial(newest_keyring, asked_to_end=asked_to_end, patience=patience)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(delivery.close)
        stack.callback(attempts.close)
        store = archive_to_read(settings)
        stack.push_async_callback(store.close)
        positions = _positions(settings, alarms)
        stack.push_async_callback(positions.close)
        held, trusted = None, None
        fields: Fields = NoFields()
        if settings.delivery_fields:
            held, trusted = await stack.enter_async_context(
                _holding(settings, store, alarms, newest)
            )
            fields = held.fields
        trusted = trusted or trusted_keys(settings)
        gate = Gate(clock)
        courier = Courier(delivery, attempts, gate, fields, settings.delivery_concurrency, now)
        yield Delivering(
            settings=settings, store=store, positions=positions, trusted=trusted, courier=courier,
            gate=gate, breaker=breaker, attempts=attempts, held=held,
            connection=KafkaConnection.from_settings(settings),
        )  # fmt: skip


def trusted_keys(settings: Settings) -> TrustedKeys:
    """Who may have signed segments. `ConfigError`, `KeyringError`."""
    path = settings.delivery_public_keys
    if path is None:
        return load_archive_keyring(settings, closed=True).trusted
    try:
        return TrustedKeys(*parse_public(read_given(path).decode("ascii", "replace")).segments)
    except FormatError as error:
        raise ConfigError(
            f"AUDIT_DELIVERY_PUBLIC_KEYS: {error.message}",
            hint="name the public.txt that `keyring view` wrote",
        ) from error


def positions_store(settings: Settings) -> SubjectStore:
    """Where positions lie."""
    return open_subjects(settings.positions_url, settings.store_access("subjects"))


def _positions(settings: Settings, alarms: Alerts) -> ResilientSubjectStore:
    clock = SystemClock()
    breaker = CircuitBreaker("delivery-positions", clock=clock, alerts=alarms)
    return ResilientSubjectStore(positions_store(settings), breaker, clock=clock)


@contextlib.asynccontextmanager
async def _holding(
    settings: Settings,
    store: ResilientStore,
    alarms: Alerts,
    newest: Callable[..., Awaitable[LoadedKeyring]],
) -> AsyncIterator[tuple[Held, TrustedKeys]]:
    """The newest keys, held only while the archive's fleet has this process registered."""
    subjects = subject_store(settings)
    private = PrivateObjects(subjects, index_key_of(settings.keyring))
    try:
        async with registered(private, ROLE) as registration:
            ring = await newest(settings, store, private, alarms)
            keys = await asyncio.to_thread(with_covers, settings, ring)
            fields = _fields(settings, subjects, keys)
            await note(settings, private)
            await registration.loaded(keys.epoch)
            held, trusted = Held(registration, private, fields, keys.epoch), keys.ring.trusted
            del ring, keys  # `fields` alone has the keys: they go with the epoch
            yield held, trusted
    finally:
        await subjects.close()


async def note(settings: Settings, private: PrivateObjects) -> None:
    """That the receiver is sent personal fields: before the first is, so that erasures tell it."""
    form = settings.delivery_idempotency_key
    await note_receiver(
        private, settings.delivery_name, settings.delivery_fields, form.value, now()
    )


def _fields(settings: Settings, subjects: SubjectStore, keys: Keys) -> PersonalFields:
    return PersonalFields(settings.delivery_fields, subjects, keys.ring.keyring, keys.cover_of)
