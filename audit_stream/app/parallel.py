"""Work on partitions in processes: one job at a time in each, progress told, a clean stop.

A stop (SIGINT, SIGTERM) cancels what runs; every job keeps its own position, so that is clean. A
child ends with its parent, however the parent ends.
"""

from __future__ import annotations

import asyncio
import logging
import logging.config
import multiprocessing as mp
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from typing import Any, TypeVar

from audit_stream.app import interpreter
from audit_stream.errors import AuditError
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.telemetry.logs import hush_interpreter, logging_config

log = logging.getLogger(__name__)
J = TypeVar("J")
R = TypeVar("R")
_POLL_SECONDS = 0.1
#: Job index, first offset not done, where it ends.
Progress = tuple[int, int, int]


def folder_name(stream: StreamObject, partition: int) -> str:
    """What the folder of a job on one partition is called."""
    return f"{stream.topic}-{stream.generation:05d}-{partition:05d}"


class Channel:
    """What a job has of its parent: a way to tell progress, and the word to stop."""

    def __init__(self, index: int, progress: Any, stop: Any, share: float) -> None:
        self._index, self._progress, self._stop, self._share = index, progress, stop, share

    def told(self, done: int, end: int) -> None:
        """Tell how far the job is."""
        self._progress.put((self._index, done, end))

    @property
    def stopped(self) -> bool:
        """Whether the parent was asked to stop."""
        return bool(self._stop.is_set())

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it in an event loop until it ends; a stop cancels it, which is no error."""
        asyncio.run(self._run(work))

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        while not task.done():
            if self.stopped and not task.cancelling():
                task.cancel()
            await asyncio.wait({task}, timeout=_POLL_SECONDS)
        if not task.cancelled():
            task.result()

    def throttle(self, rate: int | None) -> Throttle:
        """This job's share of a limit on all of them, records a second."""
        return Throttle(None if rate is None else rate * self._share)


class Throttle:
    """Keeps to so many records a second on average."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._began: float | None = None
        self._spent = 0

    async def spend(self, records: int) -> None:
        """Return when so many more records fit into the rate."""
        if self._rate is None:
            return
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        self._spent += records
        await asyncio.sleep(max(0.0, self._began + self._spent / self._rate - now))


def default_processes() -> int:
    """One a processor."""
    return os.cpu_count() or 1


def run_jobs(
    work: Callable[[J, Channel], R], jobs: Sequence[J], *, processes: int, log_level: str,
    told: Callable[[Progress], None],
) -> list[R]:  # fmt: skip
    """The results in the order of the jobs. The first error of a job ends the others."""
    if not jobs:
        return []
    workers = min(processes, len(jobs))
    context = mp.get_context("spawn")
    progress, stop = context.SimpleQueue(), context.Event()
    with (
        _stop_on_signals(stop.set),
        _pool(context, workers, log_level, progress, stop) as pool,
    ):
        futures = [
            pool.submit(_work, work, job, index, 1 / workers) for index, job in enumerate(jobs)
        ]
        while not _all_done(futures, stop):
            _drain(progress, told)
        _drain(progress, told)
        return [future.result() for future in futures]


def _all_done(futures: Sequence[Future[Any]], stop: Any) -> bool:
    done, running = wait(futures, timeout=_POLL_SECONDS)
    if any(future.exception() for future in done):
        stop.set()
    return not running


def _drain(progress: Any, told: Callable[[Progress], None]) -> None:
    while not progress.empty():
        told(progress.get())


@contextmanager
def _stop_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _pool(
    context: SpawnContext, workers: int, log_level: str, progress: Any, stop: Any
) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(log_level, progress, stop)
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


_shared: tuple[Any, Any] = (None, None)


def _begin(log_level: str, progress: Any, stop: Any) -> None:
    """A child's start: signals are the parent's, and it does not outlive the parent."""
    global _shared  # noqa: PLW0603 - what a pool's initializer gives its jobs has no other way
    _shared = (progress, stop)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    parent = mp.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    logging.config.dictConfig(logging_config(log_level, "console"))
    hush_interpreter()
    interpreter.tune()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _work(work: Callable[[J, Channel], R], job: J, index: int, share: float) -> R:
    progress, stop = _shared
    try:
        return work(job, Channel(index, progress, stop, share))
    except AuditError:
        raise
    except Exception:  # here, for its way through the code does not reach the parent
        log.exception("a job failed")
        raise
