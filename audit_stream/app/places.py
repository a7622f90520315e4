"""The stores an installation's settings name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from audit_stream.app.second import SECOND, mirrored, second_store, tell_diverged
from audit_stream.ports import Alerts, SubjectStore, WormStore
from audit_stream.settings import Settings
from audit_stream.stores.access import StoreAccess
from audit_stream.stores.attempts import RetryPolicy
from audit_stream.stores.blocking import BlockingReader, open_reader
from audit_stream.stores.breaker import CircuitBreaker
from audit_stream.stores.clock import SystemClock
from audit_stream.stores.open import open_store, open_subjects
from audit_stream.stores.retry import ResilientStore, ResilientSubjectStore
from audit_stream.stores.routed import RoutedStore
from audit_stream.stores.target import Turn, at_once
from audit_stream.telemetry.alerts import AlarmBoard


def archive_store(
    settings: Settings, turn: Turn = at_once, *, read_only: bool = False
) -> WormStore:
    """The archive without its second store, retries and breaker: one store, or one for each class
    that has its own. `turn` comes before each request."""

    def open_at(url: str, tag: str | None = None) -> WormStore:
        return open_store(url, settings.store_access(tag=tag, turn=turn), read_only=read_only)

    main = open_at(settings.archive)
    if not settings.archives:
        return main
    classes = {tag: open_at(url, tag) for tag, url in settings.archives.items()}
    return RoutedStore(main, classes, settings.class_of)


def archive_to_read(settings: Settings) -> ResilientStore:
    """The archive for commands that only read."""
    return retrying(archive_store(settings, read_only=True))


def archive_to_write(
    settings: Settings, alarms: Alerts | None = None, *, strict: bool = False
) -> WormStore:
    """The archive, with its second store, for a command that writes, or a pass of a service: what
    may pass is tried again for half a minute. `alarms`: the service's, for its breakers. `strict`:
    nothing counts as stored that is not on both, whatever the settings say."""
    primary = retrying(archive_store(settings), alarms=alarms)
    primary.be_brief()
    if settings.archive_secondary is None:
        return primary
    secondary = retrying(second_store(settings), SECOND, alarms=alarms)
    told = tell_diverged(alarms or AlarmBoard("command"))
    both = mirrored(settings, primary, secondary, told, strict=strict)
    if both.is_strict:
        secondary.be_brief()  # else the copies come behind, and nobody waits for them
    return both


def store_to_read(url: str, access: StoreAccess) -> ResilientStore:
    """Any archive to read from: what may pass is tried again for half a minute."""
    return retrying(open_store(url, access, read_only=True))


def retrying(
    store: WormStore, target: str = "archive", policy: RetryPolicy | None = None,
    alarms: Alerts | None = None,
) -> ResilientStore:  # fmt: skip
    """A store behind a breaker of its own. Without `alarms`, as a command uses it: they go
    nowhere."""
    clock = SystemClock()
    return ResilientStore(store, _breaker(target, clock, alarms), clock=clock, policy=policy)


def _breaker(target: str, clock: SystemClock, alarms: Alerts | None) -> CircuitBreaker:
    return CircuitBreaker(target, clock=clock, alerts=alarms or AlarmBoard("command"))


def subject_store(settings: Settings, turn: Turn = at_once) -> SubjectStore:
    """The subject objects; `turn` comes before each request."""
    return open_subjects(settings.subjects, settings.store_access("subjects", turn=turn))


def subjects_to_write(settings: Settings, alarms: Alerts | None = None) -> ResilientSubjectStore:
    """The subject objects for a command that rewrites them, or a pass of a service, likewise."""
    clock = SystemClock()
    breaker = _breaker("subjects", clock, alarms)
    store = ResilientSubjectStore(subject_store(settings), breaker, clock=clock)
    store.be_brief()
    return store


@dataclass(frozen=True, slots=True)
class Stores:
    """Both, to write to."""

    archive: WormStore
    subjects: SubjectStore

    async def close(self) -> None:
        """Close both."""
        await self.archive.close()
        await self.subjects.close()


def stores_to_write(
    settings: Settings, alarms: Alerts | None = None, *, strict: bool = False
) -> Stores:
    """As `archive_to_write` and `subjects_to_write` open them."""
    archive = archive_to_write(settings, alarms, strict=strict)
    return Stores(archive, subjects_to_write(settings, alarms))


@contextmanager
def archive_reader(settings: Settings) -> Iterator[BlockingReader]:
    """The archive, read by plain code."""
    with open_reader(archive_to_read(settings)) as reader:
        yield reader
