"""Below what is allowed a worker does not start; below what it started on it does not go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from audit_stream.app.assurance import AssuranceWatch, check_assurance
from audit_stream.app.guarded import GuardedStores
from audit_stream.errors import AssuranceError
from audit_stream.posture import Assurance, Finding, Posture, Standing
from audit_stream.settings import Settings
from audit_stream.stores.attempts import RetryPolicy
from audit_stream.stores.breaker import CircuitBreaker
from audit_stream.stores.clock import SystemClock
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.memory_subjects import MemorySubjectStore
from audit_stream.stores.retry import ResilientStore, ResilientSubjectStore
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.metrics import Metrics
from tests.support.eventually import eventually

LOCKED, UNLOCKED, MUTABLE = Assurance.WORM_LOCKED, Assurance.WORM_UNLOCKED, Assurance.MUTABLE


class Store(MemoryWormStore):
    """Says what a test lets it say."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__()
        self.says: Sequence[Finding] = findings

    async def posture(self) -> Posture:
        await self._before()
        return Posture(findings=self.says)


class Subjects(MemorySubjectStore):
    """The same of the subject objects."""

    says: Sequence[Finding] = ()

    async def findings(self) -> Sequence[Finding]:
        return self.says


def finding(level: Assurance, standing: Standing = Standing.BAD) -> Finding:
    return Finding(fact="policy", value=level.label, standing=standing, ceiling=level, advice="do")


def allowing(level: Assurance) -> Settings:
    return Settings.load(None, allow_assurance=level, assurance_check_seconds=1)


class Watched:
    """A watch over stores in memory, and what came of it."""

    def __init__(self, started: Assurance) -> None:
        clock, self.alarms, self.metrics = SystemClock(), AlarmBoard("test"), Metrics()
        self.store, self.subjects = Store(finding(started, Standing.OK)), Subjects()
        breaker = CircuitBreaker("archive", clock=clock, alerts=self.alarms)
        stores = GuardedStores(
            ResilientStore(
                self.store, breaker, clock=clock, policy=RetryPolicy(read_limit=0.0)
            ),
            ResilientSubjectStore(self.subjects, breaker, clock=clock), {},
        )  # fmt: skip
        self.ends: list[tuple[int, str]] = []
        self.watch = AssuranceWatch(
            stores, started, self.metrics, self.alarms, lambda *end: self.ends.append(end)
        )

    def open(self) -> dict[str, str]:
        return {alarm["key"]: alarm["severity"] for alarm in self.alarms.open()}

    def gauge(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            f"audit_stream_{name}", {"target": "archive"}
        )  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.watch.run(allowing(UNLOCKED)))
        try:
            yield
        finally:
            task.cancel()


async def test_a_lower_store_is_refused_and_all_that_is_missing_named() -> None:
    store = Store(
        finding(UNLOCKED), Finding(fact="canary", value="deleted", ceiling=MUTABLE, advice="mend"),
        finding(LOCKED, Standing.WEAK),
    )  # fmt: skip
    with pytest.raises(AssuranceError) as caught:
        await check_assurance(store, allowing(LOCKED))
    assert "policy: worm_unlocked; canary: deleted" in caught.value.message
    assert "do; mend; or accept it with AUDIT_ALLOW_ASSURANCE=mutable" in caught.value.hint
    assert await check_assurance(store, allowing(MUTABLE)) is MUTABLE


async def test_a_store_that_says_nothing_is_mutable() -> None:
    with pytest.raises(AssuranceError):
        await check_assurance(Store(), allowing(UNLOCKED))


async def test_a_level_known_to_be_lower_ends_the_worker_though_it_is_allowed() -> None:
    """Its segments would name the level it started on."""
    watched = Watched(LOCKED)
    async with watched.running():
        assert watched.ends == []
        watched.store.says = [finding(UNLOCKED)]

        async def ended() -> bool:
            return bool(watched.ends)

        await eventually(ended)
    code, reason = watched.ends[0]
    assert code == 70
    assert reason.startswith("AS-1002 the archive was worm_locked and is worm_unlocked; policy")
    assert watched.open() == {"assurance:archive": "critical"}
    assert watched.gauge("assurance_level") == UNLOCKED
    assert watched.gauge("assurance_required_level") == UNLOCKED


async def test_a_level_that_cannot_be_shown_is_an_alarm_until_it_can() -> None:
    watched = Watched(LOCKED)

    async def unshown() -> bool:
        return watched.open() == {"assurance-unshown:archive": "warning"}

    async def calm() -> bool:
        return watched.open() == {}

    async with watched.running():
        watched.store.says = [finding(UNLOCKED, Standing.UNKNOWN)]
        await eventually(unshown)
        watched.store.says = [finding(LOCKED, Standing.OK)]
        await eventually(calm)
    assert watched.ends == []


async def test_a_store_that_is_away_is_no_lower_store(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(UNLOCKED)

    async def not_asked() -> bool:
        return "could not be asked" in caplog.text

    async def ended() -> bool:
        return bool(watched.ends)

    async with watched.running():
        watched.store.outage = True
        watched.store.says = [finding(MUTABLE)]
        await eventually(not_asked)
        assert watched.ends == []
        watched.store.outage = False
        await eventually(ended)  # once it can be asked


async def test_subject_objects_that_leave_something_behind_are_an_alarm() -> None:
    watched = Watched(UNLOCKED)
    bad = Finding(fact="subjects: versioning", value="on", standing=Standing.BAD, advice="off")
    watched.subjects.says = [bad]

    async def told() -> bool:
        return watched.open() == {"assurance:subjects": "warning"}

    async def calm() -> bool:
        return watched.open() == {}

    async with watched.running():
        await eventually(told)
        watched.subjects.says = []
        await eventually(calm)
