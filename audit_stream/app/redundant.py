"""The two stores of an archive, opened to be compared, swept and repaired."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from audit_stream.app.kept import keep
from audit_stream.app.places import archive_store, retrying, store_to_read
from audit_stream.app.second import SECOND, second_store
from audit_stream.errors import ConfigError
from audit_stream.evidence.note import NoteKey
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.ports import Alerts, WormStore
from audit_stream.redundancy.composing import Composed, Composing
from audit_stream.redundancy.judge import Judge
from audit_stream.redundancy.pairing import Outcome, Pairing, Told
from audit_stream.redundancy.sides import Side, Sides
from audit_stream.settings import Settings
from audit_stream.stores.attempts import RetryPolicy
from audit_stream.stores.open import open_store
from audit_stream.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
#: An object that was damaged under its store is given up on sooner than a store that is away.
_POLICY = RetryPolicy(read_limit=10.0)
_SWEEPING = ("secondary-sweep", "the sweep of the second store")


@dataclass(frozen=True, slots=True)
class Keys:
    """Whose signatures count; `log` None: the log's objects cannot be judged."""

    segments: TrustedKeys
    log: NoteKey | None


def need_second(settings: Settings) -> None:
    """`ConfigError` without a second store."""
    if settings.archive_secondary is None:
        raise ConfigError(
            "there is no second store", hint="set AUDIT_ARCHIVE_SECONDARY, or name both archives"
        )


def open_sides(
    settings: Settings, writing: Side | None = None
) -> AbstractAsyncContextManager[Sides]:
    """The settings' stores, each by itself; one may be written to."""
    need_second(settings)
    return _opened(Sides(
        retrying(archive_store(settings, read_only=writing != "primary"), policy=_POLICY),
        retrying(second_store(settings, read_only=writing != "secondary"), SECOND, _POLICY),
    ))  # fmt: skip


def open_archives(settings: Settings, a: str, b: str) -> AbstractAsyncContextManager[Sides]:
    """Any two, to be read."""
    access = settings.store_access()
    return _opened(Sides(store_to_read(a, access), store_to_read(b, access)))


@asynccontextmanager
async def _opened(sides: Sides) -> AsyncIterator[Sides]:
    try:
        yield sides
    finally:
        await sides.primary.close()
        await sides.secondary.close()


async def compare(sides: Sides, keys: Keys, told: Told) -> Outcome:
    """Every object of both, byte by byte."""
    return await Pairing(sides, _judge(sides, keys)).run(told)


async def add_missing(
    sides: Sides, keys: Keys, to: Side, told: Told, *, dry: bool, whole: bool, after: str = ""
) -> Outcome:
    """Add to one store what only the other has. `whole`: read what stands on both, too, and all of
    the log; a sweep reads neither."""
    judge = Judge(sides, keys.segments, keys.log, against_log=whole)
    pairing = Pairing(sides, judge, add_to=to, dry=dry, whole=whole)
    try:
        return await pairing.run(told, after=after)
    finally:
        if pairing.outcome.last:
            log.info("looked at everything up to %s", pairing.outcome.last)


async def compose(sides: Sides, keys: Keys, into: str | None, settings: Settings, told: Told
) -> Composed:  # fmt: skip
    """A whole archive in the store at `into`; None: say what it would be made of."""
    store: WormStore | None = None
    if into is not None:
        store = retrying(open_store(into, settings.store_access()), "into")
    try:
        return await Composing(sides, _judge(sides, keys), store).run(told)
    finally:
        if store is not None:
            await store.close()


def _judge(sides: Sides, keys: Keys) -> Judge:
    return Judge(sides, keys.segments, keys.log)


async def keep_mirrored(settings: Settings, keys: Keys, every: float) -> None:
    """Sweep every so many seconds, until SIGTERM or SIGINT."""

    async def work(metrics: Metrics, alarms: Alerts) -> None:
        async with open_sides(settings, "secondary") as sides:
            found = await add_missing(
                sides, keys, "secondary", lambda _: None, dry=False, whole=False
            )
        tell_swept(metrics, found)
        log.info("second store: %d objects copied, %d left", found.added_count, found.alone)
        for each in found.differences[:1]:
            alarms.raise_alarm("secondary-diverged:sweep", f"{each}, and {found.alone} in all")
        if not found.differences:
            alarms.close_alarm("secondary-diverged:sweep", "nothing is missing on the second store")

    await keep(settings, "second_store", _SWEEPING, work, every)


def tell_swept(metrics: Metrics, found: Outcome) -> None:
    """What a sweep found, as metrics."""
    metrics.secondary_copied_total.inc(found.added_count)
    metrics.secondary_missing_objects.set(found.alone)
    metrics.secondary_differing_objects.set(found.differing)
    metrics.secondary_swept_timestamp_seconds.set(time.time())
