"""The stores an installation's settings name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from audit_stream.ports import SubjectStore, WormStore
from audit_stream.settings import Settings
from audit_stream.stores.azure_target import AzureAccess, Turn, at_once
from audit_stream.stores.blocking import BlockingReader, open_reader
from audit_stream.stores.breaker import CircuitBreaker
from audit_stream.stores.clock import SystemClock
from audit_stream.stores.open import open_store, open_subjects
from audit_stream.stores.retry import ResilientStore, ResilientSubjectStore
from audit_stream.telemetry.alerts import AlarmBoard


def archive_store(settings: Settings, turn: Turn = at_once) -> WormStore:
    """The archive to write to, without retries and breaker; `turn` comes before each request."""
    return open_store(settings.archive, replace(settings.azure_access(), turn=turn))


def archive_to_read(settings: Settings) -> ResilientStore:
    """The archive for commands that only read."""
    return store_to_read(settings.archive, settings.azure_access())


def archive_to_write(settings: Settings) -> WormStore:
    """The archive for a command that writes; reads are tried again for half a minute."""
    return _retrying(archive_store(settings))


def store_to_read(url: str, access: AzureAccess) -> ResilientStore:
    """Any archive to read from: what may pass is tried again for half a minute."""
    return _retrying(open_store(url, access, read_only=True))


def _retrying(store: WormStore) -> ResilientStore:
    clock = SystemClock()
    breaker = CircuitBreaker("archive", clock=clock, alerts=AlarmBoard("command"))
    return ResilientStore(store, breaker, clock=clock)


def subject_store(settings: Settings, turn: Turn = at_once) -> SubjectStore:
    """The subject objects; `turn` comes before each request."""
    return open_subjects(
        settings.subjects, replace(settings.azure_access(subjects=True), turn=turn)
    )


def subjects_to_write(settings: Settings) -> ResilientSubjectStore:
    """The subject objects for a command that rewrites them: what may pass is tried again."""
    clock = SystemClock()
    breaker = CircuitBreaker("subjects", clock=clock, alerts=AlarmBoard("command"))
    return ResilientSubjectStore(subject_store(settings), breaker, clock=clock)


@contextmanager
def archive_reader(settings: Settings) -> Iterator[BlockingReader]:
    """The archive, read by plain code."""
    with open_reader(archive_to_read(settings)) as reader:
        yield reader
