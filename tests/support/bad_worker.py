"""A worker with something wrong, for the fleet tests.

``kill STEP WHEN N``; ``freeze STEP WHEN N``, until SIGCONT; ``raise N``: a bug in the sink agent's
N-th chunk; ``away FLAG``: no store while that file exists, one that refuses if it holds a hint;
``slow SECONDS``: a store that takes so long for each object; ``faulty-store``; ``impatient``: it
looks for legal holds all the time; ``holder``, ``eraser``, ``deliverer``, ``mirror``: no worker but
who keeps the holds, erases, delivers, sweeps the second store; ``switched FOLDER``, ``notary
FOLDER``, ``gateway FOLDER``: see `switched_worker`. ``leak BYTES``: each of the sink agent's chunks
leaves so much behind, and descriptors. ``spill sink|store``: a bug whose text quotes a record, in
the sink agent or while storing. ``hurried``: batches come as soon as their partitions are sought,
and the first is not done with when Faust lets all flow; ``forgetful M N``: behind the first M
answers of the fetching thread that hold records, N are dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging.config
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from audit_stream.app import run as run_module
from audit_stream.app.deliverer import run_deliverer
from audit_stream.app.eraser import run_erasures
from audit_stream.app.holds import run_holds
from audit_stream.app.redundant import Keys, keep_mirrored
from audit_stream.app.run import run_worker
from audit_stream.cli.verify import log_key_of, trusted_keys
from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.ports import PutResult
from audit_stream.seal.judge import Chunk
from audit_stream.settings import Settings
from audit_stream.stores import open as stores
from audit_stream.stores.attempts import RetryPolicy
from audit_stream.stores.breaker import BreakerPolicy, CircuitBreaker
from audit_stream.stores.clock import SystemClock
from audit_stream.stores.file import FileStore
from audit_stream.stores.retry import ResilientStore
from audit_stream.stream.context import Context, StepHook, no_hook
from audit_stream.stream.lane import Lane
from audit_stream.stream.pipeline import Pipeline
from audit_stream.stream.quarantine import QuarantineWriter
from audit_stream.stream.transport import BatchConsumer, BatchMessage
from audit_stream.telemetry.logs import logging_config
from tests.support import switched_worker
from tests.support.eventually import eventually


def signal_at(number: signal.Signals, step: str, when: str, count: int) -> StepHook:
    seen = 0

    def hook(now: str, moment: str) -> None:
        nonlocal seen
        if (now, moment) == (step, when):
            seen += 1
            if seen == count:
                os.kill(os.getpid(), number)

    return hook


_SIGNALS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}


class FaultyStore(FileStore):
    """A file store that fails two puts of three: before, and after it took the bytes."""

    calls = 0

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        FaultyStore.calls += 1
        if FaultyStore.calls % 3 == 1:
            raise StoreTransient("lost before the bytes went")
        result = await super().put_if_absent(name, data, metadata)
        if FaultyStore.calls % 3 == 2:
            raise StoreTransient("lost after the bytes went")
        return result


def with_faults(settings: Settings) -> object:
    def adapt(context: Context) -> Context:
        clock = SystemClock()
        breaker = CircuitBreaker(
            "archive", clock=clock, alerts=context.alerts,
            policy=BreakerPolicy(max_failures=1, first_delay=0.2),
        )  # fmt: skip
        store = ResilientStore(
            FaultyStore(settings.archive_path), breaker, clock=clock,
            policy=RetryPolicy(delays=(0.05,)),
        )  # fmt: skip
        return dataclasses.replace(context, store=store)

    return adapt


class SlowStore(FileStore):
    """A file store that takes its time for each object."""

    seconds = 0.0

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        await asyncio.sleep(SlowStore.seconds)
        return await super().put_if_absent(name, data, metadata)


class AwayStore(FileStore):
    """A file store that cannot be reached while a flag file exists; or refuses, with its text."""

    flag: Path

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        with contextlib.suppress(FileNotFoundError):
            if hint := self.flag.read_text():
                raise StoreRefused("the store refused", hint=hint)
            raise StoreTransient("the store is away")
        return await super().put_if_absent(name, data, metadata)


def with_bug(count: int) -> None:
    """Let the sink agent meet a bug in its `count`-th chunk."""
    sink, calls = Pipeline.sink, iter(range(1, count))

    def buggy(self: Pipeline, lane: Lane, chunk: Chunk) -> None:
        if next(calls, None) is None:
            raise ValueError("a bug")
        sink(self, lane, chunk)

    Pipeline.sink = buggy  # type: ignore[method-assign]


def with_leak(size: int) -> None:
    """Let each chunk of the sink agent cost memory and descriptors that nobody gives back."""
    sink, kept = Pipeline.sink, list[object]()

    def leaking(self: Pipeline, lane: Lane, chunk: Chunk) -> None:
        kept.append((b"x" * size, [os.dup(1) for _ in range(5)]))
        sink(self, lane, chunk)

    Pipeline.sink = leaking  # type: ignore[method-assign]


def with_spill(where: str) -> None:
    """Fail with a refused record in the error's text, and in its cause's."""
    spilled: list[bytes] = []
    send, sink, put = QuarantineWriter.send, Pipeline.sink, FileStore.put_if_absent

    def spill() -> None:
        text = spilled[-1].decode("utf-8", "replace")
        raise ValueError(f"a bug with {text}") from KeyError(text)

    async def sending(self: QuarantineWriter, record: Any, reason: str, source: str) -> Any:
        if record.value:
            spilled.append(record.value)
        return await send(self, record, reason, source)

    def sinking(self: Pipeline, lane: Lane, chunk: Chunk) -> None:
        if spilled and where == "sink":
            spill()
        sink(self, lane, chunk)

    async def putting(self: FileStore, name: str, data: bytes, metadata: Any) -> PutResult:
        if spilled and name.startswith("segments/"):
            spill()
        return await put(self, name, data, metadata)

    QuarantineWriter.send = sending  # type: ignore[method-assign]
    Pipeline.sink = sinking  # type: ignore[method-assign]
    FileStore.put_if_absent = putting  # type: ignore[method-assign]


def with_hurry() -> None:
    """Let a batch be at work, and the others wait in a queue, when the flow is resumed."""
    seek, ingest, resume = BatchConsumer.perform_seek, Pipeline.ingest, BatchConsumer.resume_flow
    sought, flows = asyncio.Event(), asyncio.Event()

    async def waits(self: BatchConsumer) -> bool:
        return any(queue.qsize() for queue in self.app.flow_control._queues)

    async def seeking(self: BatchConsumer) -> None:
        await seek(self)
        sought.set()
        with contextlib.suppress(AssertionError):  # none comes: that is as it should be
            await eventually(partial(waits, self), 2)

    async def ingesting(self: Pipeline, message: BatchMessage) -> AsyncIterator[Any]:
        await flows.wait()
        async for each in ingest(self, message):
            yield each

    def resuming(self: BatchConsumer) -> None:
        resume(self)
        if sought.is_set():
            flows.set()

    BatchConsumer.perform_seek = seeking  # type: ignore[method-assign]
    Pipeline.ingest = ingesting  # type: ignore[assignment,method-assign]
    BatchConsumer.resume_flow = resuming  # type: ignore[method-assign]


def with_forgetting(kept: int, count: int) -> None:
    """Let answers of the thread be lost on their way."""
    getmany, lost = BatchConsumer._getmany, iter([False] * kept + [True] * count)

    async def asking(self: BatchConsumer, **how: Any) -> Any:
        found = await getmany(self, **how)
        raw = [tp for tp in found or {} if found[tp].records and not self._is_changelog_tp(tp)]
        return {} if raw and next(lost, False) else found

    BatchConsumer._getmany = asking


def main() -> None:
    settings = Settings.load(None)
    logging.config.dictConfig(logging_config("INFO", "console"))
    kind, *rest = sys.argv[1:]
    if kind in _SIGNALS:
        hook = signal_at(_SIGNALS[kind], rest[0], rest[1], int(rest[2]))
        asyncio.run(run_worker(settings, hook))
    elif kind == "raise":
        with_bug(int(rest[0]))
        asyncio.run(run_worker(settings))
    elif kind == "leak":
        with_leak(int(rest[0]))
        asyncio.run(run_worker(settings))
    elif kind == "spill":
        with_spill(rest[0])
        asyncio.run(run_worker(settings))
    elif kind == "hurried":
        with_hurry()
        asyncio.run(run_worker(settings))
    elif kind == "forgetful":
        with_forgetting(int(rest[0]), int(rest[1]))
        asyncio.run(run_worker(settings))
    elif kind == "away":
        AwayStore.flag = Path(rest[0])
        stores.FileStore = AwayStore  # type: ignore[misc]
        asyncio.run(run_worker(settings))
    elif kind == "slow":
        SlowStore.seconds = float(rest[0])
        stores.FileStore = SlowStore  # type: ignore[misc]
        asyncio.run(run_worker(settings))
    elif kind == "impatient":
        run_module.LOOK_SECONDS = 0.2
        asyncio.run(run_worker(settings))
    elif kind == "holder":
        asyncio.run(run_holds(settings, 0.5))
    elif kind == "eraser":
        asyncio.run(run_erasures(settings, 0.5))
    elif kind == "deliverer":
        asyncio.run(run_deliverer(settings))
    elif kind == "mirror":
        keys = Keys(trusted_keys(settings, []), log_key_of(settings, None))
        asyncio.run(keep_mirrored(settings, keys, 0.5))
    elif kind == "switched":
        switched_worker.run(Path(rest[0]), settings)
    elif kind == "notary":
        switched_worker.notary(Path(rest[0]), settings)
    elif kind == "gateway":
        switched_worker.gateway(Path(rest[0]), settings)
    else:
        asyncio.run(run_worker(settings, no_hook, with_faults(settings)))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
