"""The Faust application of a worker: two agents, one table, and nothing Faust may decide alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError, ProducerFenced
from faust.types import TP
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential

from audit_stream.errors import AuditError, BrokerError, BrokerRefused, Fenced
from audit_stream.stream.changelog import ChangelogWriter
from audit_stream.stream.context import Context
from audit_stream.stream.flow import AuditApp
from audit_stream.stream.form import FIRST_FORM, StateForm
from audit_stream.stream.pipeline import Pipeline
from audit_stream.stream.process import EXIT_FENCED, EXIT_INTERNAL, Watchdog, is_cancelled
from audit_stream.stream.rekey import Rekeyer
from audit_stream.stream.sources import RekeySources
from audit_stream.stream.table import BatchTable
from audit_stream.stream.transport import BatchSchema

log = logging.getLogger(__name__)
TABLE = "precedence"
_TICK_SECONDS = 0.1
_COMMIT_SECONDS = 1.0
_REBALANCE_SECONDS = 60.0
_FENCE_WAIT_SECONDS, _FENCE_WAIT_LIMIT_SECONDS = 0.25, 5.0
_RESYNC_LIMIT_SECONDS = 24 * 3600.0
_FETCH_BYTES = 1 << 20
LOOP, _POLL = "event loop", "poll thread"  # what the watchdog watches


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """What Faust needs to know."""

    app_id: str
    broker: str  # kafka://host:port;host:port
    topics: Sequence[str]  # archived: raw, or rekeyed twins
    rekey: Mapping[str, str]  # raw topic -> its rekeyed twin
    partitions: int
    state_dir: Path
    session_timeout: float
    static_member: str | None
    client_id: str  # of the Kafka clients: whose member of the group this is
    client_options: Mapping[str, Any] = field(repr=False)
    changelog_id: Callable[[], Awaitable[str | None]]  # Kafka's id of the changelog, now
    credentials: Any = field(default=None, repr=False)
    form: StateForm = FIRST_FORM
    leaves: bool = False  # the group, when it is stopped


def _is_away(error: BaseException) -> bool:
    """A broker that is away comes back; whoever was fenced or refused has to end."""
    return isinstance(error, BrokerError) and not isinstance(error, Fenced | BrokerRefused)


def _say_that_it_is_away(state: RetryCallState) -> None:
    assert state.outcome is not None
    log.warning("waiting for the broker: %s", state.outcome.exception())


def unless_fenced(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The loop's handler of errors nobody waits for. The client leaves futures of a transaction
    behind that a rebalance cut off and the next owner fenced: they say what is no fault."""
    if isinstance(context.get("exception"), ProducerFenced):
        log.info("what was under way to a changelog partition is given up: it has another owner")
    else:
        loop.default_exception_handler(context)


def _why_crashed(reason: BaseException | None) -> str:
    """With the code of an error of ours, as `EndNote` keeps it."""
    return f"{reason.code}: {reason}" if isinstance(reason, AuditError) else "Faust crashed"


def build_app(config: WorkerConfig) -> AuditApp:
    """The Faust app, configured so that nothing is lost and nothing is served."""
    return AuditApp(
        config.app_id,
        broker=config.broker,
        broker_credentials=config.credentials,
        broker_client_id=config.client_id,
        store="rocksdb://",
        datadir=str(config.state_dir),
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        topic_partitions=config.partitions,
        table_standby_replicas=0,
        processing_guarantee="at_least_once",
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
        stream_buffer_maxsize=16,
        broker_commit_interval=_COMMIT_SECONDS,
        broker_session_timeout=config.session_timeout,
        broker_heartbeat_interval=min(3.0, config.session_timeout / 4),
        broker_rebalance_timeout=_REBALANCE_SECONDS,
        broker_request_timeout=_RESYNC_LIMIT_SECONDS,  # also bounds the resync after a recovery
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=_FETCH_BYTES,
        consumer_group_instance_id=config.static_member,
        consumer_connections_max_idle_ms=540_000,
        producer_acks=-1,
    )


class Worker:
    """Runs the app until it is asked to stop, or ends the process."""

    def __init__(
        self, config: WorkerConfig, pipeline: Pipeline, changelog: ChangelogWriter,
        rekeyer: Rekeyer, watchdog: Watchdog,
    ) -> None:  # fmt: skip
        self.config = config
        self.pipeline = pipeline
        self.app = build_app(config)
        self._changelog = changelog
        self._rekeyer = rekeyer
        self._watchdog = watchdog
        self.table = BatchTable(
            self.app, name=TABLE, partitions=config.partitions, fence=self._fence,
            form=config.form, lacks=self._lacks,
        )  # fmt: skip
        self.app.tables.add(self.table)
        self._channel = self.app.channel()
        self._sources = RekeySources(self.app.consumer, self.context.metrics, self.context.alerts)
        self._stop = asyncio.Event()
        self._define_agents()

    def _define_agents(self) -> None:
        archived = self.app.topic(*self.config.topics, schema=BatchSchema(), key_type=bytes,
                                  value_type=bytes, allow_empty=True)  # fmt: skip
        self.app.agent(archived, name="ingest")(self._ingest)
        self.app.agent(self._channel, name="sink")(self._sink)
        if self.config.rekey:
            sources = self.app.topic(*self.config.rekey, schema=BatchSchema(), key_type=bytes,
                                     value_type=bytes, allow_empty=True)  # fmt: skip
            self.app.agent(sources, name="rekey")(self._rekey)

    @property
    def context(self) -> Context:
        """The pipeline's, which changes with the key epoch."""
        return self.pipeline.context

    async def _fence(self, partitions: set[int]) -> None:
        self.pipeline.drop()
        self.context.metrics.rebalances_total.inc()
        retrying = AsyncRetrying(
            wait=wait_exponential(_FENCE_WAIT_SECONDS, max=_FENCE_WAIT_LIMIT_SECONDS),
            retry=retry_if_exception(self._is_waited_out), sleep=self._pause,
            before_sleep=_say_that_it_is_away, reraise=True,
        )  # fmt: skip
        try:
            await retrying(self._own, partitions)
        except AuditError as error:
            if not (self._stop.is_set() and _is_away(error)):
                self.context.die(EXIT_INTERNAL, f"{error.code}: {error}")

    def _is_waited_out(self, error: BaseException) -> bool:
        """Faust cannot stop before a rebalance has returned."""
        return _is_away(error) and not self._stop.is_set()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def _own(self, partitions: set[int]) -> None:
        await self._changelog.own(partitions)
        try:
            await self._adopt_changelog(partitions)
        except (KafkaError, TimeoutError) as error:
            raise BrokerError(f"cannot see the ends of the changelog: {error!r}") from error

    async def _adopt_changelog(self, partitions: set[int]) -> None:
        """Local state goes if the changelog it was written with is gone: the archive has all."""
        topic_id = await self.config.changelog_id()
        tps = {TP(self.table.changelog_topic.get_topic_name(), p): p for p in partitions}
        ends = await self.app.consumer.highwaters(*tps) if tps else {}
        for tp, partition in tps.items():
            if not self.table.batches.adopt_changelog(partition, topic_id, ends.get(tp) or 0):
                log.warning("%s/%s is not the changelog this state was written with: the state is "
                            "made anew from the archive", *tp)  # fmt: skip

    # -- agents: never raise (Faust would ack what crashed them and go on)

    async def _ingest(self, stream: Any) -> None:
        async for event in stream.noack().events():
            with self._fatal("ingest agent"):
                async for lane, chunk in self.pipeline.ingest(event.message):
                    await self._channel.put((lane, chunk))
            await asyncio.sleep(0)

    async def _sink(self, stream: Any) -> None:
        async for work in stream:
            with self._fatal("sink agent"):
                self.pipeline.sink(*work)

    async def _rekey(self, stream: Any) -> None:
        async for event in stream.noack().events():
            with self._fatal("rekey agent"):
                await self._rekeyer.copy(event.message)
                await self._sources.check(event.message)
                self.app.consumer.ack(event.message)

    @contextlib.contextmanager
    def _fatal(self, what: str) -> Iterator[None]:
        """What fails in the block ends the process, also by being cancelled where the agent is not:
        Faust would go on behind it."""
        try:
            yield
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_cancelled():
                raise
            log.exception("the %s failed", what)
            self.context.die(EXIT_INTERNAL, f"the {what} failed: {type(error).__name__}")

    def _lacks(self, what: str) -> None:
        self.context.die(EXIT_INTERNAL, what)

    def _fenced(self, name: str) -> None:
        error = Fenced(
            f"another process is the member {name} of the group {self.config.app_id} now",
            hint="give each worker an AUDIT_INSTANCE_ID, or a host name, of its own",
        )
        self.context.die(EXIT_FENCED, f"{error.code}: {error}")

    # -- life

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; a crash of Faust ends the process."""
        self._stop = stop
        asyncio.get_running_loop().set_exception_handler(unless_fenced)
        self.app.finalize()
        self.pipeline.attach(self.app.consumer, self.table.batches)
        self.app.consumer.polled = lambda: self._watchdog.beat(_POLL)
        self.app.consumer.other_positions = self._sources.positions
        self.app.consumer.fenced = self._fenced
        starting = asyncio.create_task(self.app.start())
        ticking = asyncio.create_task(self._tick())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            await starting
            await stop.wait()
        ticking.cancel()
        self.pipeline.drop()
        await self.app.stop()
        if self.config.leaves:
            await self.context.leave()
        await self._changelog.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self._watchdog.beat(LOOP)
            restoring = self.app.rebalancing or not self.pipeline.lanes
            self._watchdog.excuse(_POLL, "no assignment yet" if restoring else None)
            if self.app.crashed:
                self.context.die(EXIT_INTERNAL, _why_crashed(self.app.crash_reason))
            with self._fatal("sealing timer"):
                self.pipeline.tick()

    @property
    def restore_remaining(self) -> int:
        """Changelog records still to be restored."""
        recovery = self.app.tables.recovery
        return max(0, recovery.active_remaining_total()) if recovery.in_recovery else 0

    @property
    def ready(self) -> dict[str, bool]:
        """Conditions of readiness Faust and the pipeline can tell."""
        assigned = bool(self.app.assignor) and not self.app.rebalancing
        return {"assigned": assigned, "restored": bool(self.app.tables.actives_ready)}
