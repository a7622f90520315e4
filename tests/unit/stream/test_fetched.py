"""The consumer's thread, where the client does not do as it is told."""

from __future__ import annotations

import asyncio

import pytest

from audit_stream.stream.fetched import BatchThread


class Connecting:
    """A client as aiokafka's was that was closed amid a connect."""

    async def stop(self) -> None:
        raise AttributeError("'NoneType' object has no attribute 'done'")


class Assigning:
    """One that was closed amid an assignment, which was cancelled."""

    async def stop(self) -> None:
        task = asyncio.create_task(asyncio.sleep(3600))
        task.cancel()
        await task


class Hanging:
    """One that goes on."""

    async def stop(self) -> None:
        await asyncio.sleep(3600)


def thread_with(client: object) -> BatchThread:
    thread = BatchThread.__new__(BatchThread)
    thread._method_queue, thread._consumer = None, client
    return thread


@pytest.mark.parametrize(
    ("client", "error"), [(Connecting(), "AttributeError"), (Assigning(), "CancelledError")]
)
async def test_a_client_that_cannot_close_does_not_keep_a_stop_from_its_end(
    client: object, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    await thread_with(client).on_thread_stop()
    [said] = [each.message for each in caplog.records]
    assert said.startswith(f"the consumer's client did not close: {error} at ")
    assert "test_fetched.py" in said


async def test_who_is_cancelled_ends(caplog: pytest.LogCaptureFixture) -> None:
    stopping = asyncio.create_task(thread_with(Hanging()).on_thread_stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert caplog.records == []
