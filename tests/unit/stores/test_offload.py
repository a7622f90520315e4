"""Blocking calls off the event loop: bounded, limited in time, cancelled at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.stores.offload import Offload


class Hanging:
    """A blocking call that hangs until `release`; `started` counts how often it was begun."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.started = threading.Semaphore(0)

    def __call__(self) -> bool:
        self.started.release()
        return self.release.wait(30)

    async def wait_started(self, calls: int) -> None:
        """Wait until that many were begun."""
        for _ in range(calls):
            assert await asyncio.to_thread(self.started.acquire, timeout=30)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    call = Hanging()
    yield call
    call.release.set()


async def test_it_returns_and_raises_what_the_call_does() -> None:
    offload = Offload("disk")
    assert await offload.run(int, "ff", base=16) == 255
    with pytest.raises(ValueError, match="invalid literal"):
        await offload.run(int, "x")


async def test_a_hanging_call_is_given_up(hanging: Hanging) -> None:
    with pytest.raises(StoreTransient, match="did not answer"):
        await Offload("disk", time_limit=0.02).run(hanging)


async def test_cancelling_returns_at_once_while_the_call_hangs(hanging: Hanging) -> None:
    call = asyncio.create_task(Offload("disk").run(hanging))
    await hanging.wait_started(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not hanging.release.is_set()


async def test_no_more_calls_run_at_a_time_than_there_are_threads(hanging: Hanging) -> None:
    offload = Offload("disk", threads=2)
    calls = [asyncio.create_task(offload.run(hanging)) for _ in range(6)]
    await hanging.wait_started(2)
    assert not hanging.started.acquire(timeout=0.05)
    hanging.release.set()
    assert await asyncio.gather(*calls) == [True] * 6


async def test_after_close_calls_are_refused() -> None:
    offload = Offload("disk")
    await offload.close()
    with pytest.raises(StoreRefused, match="closed"):
        await offload.run(int)
