"""The consumer's thread, where the client does not do as it is told."""

from __future__ import annotations

import pytest

from audit_stream.stream.fetched import BatchThread


class Connecting:
    """A client as aiokafka's was that was closed amid a connect."""

    async def stop(self) -> None:
        raise AttributeError("'NoneType' object has no attribute 'done'")


async def test_a_client_that_cannot_close_does_not_keep_a_stop_from_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    thread = BatchThread.__new__(BatchThread)
    thread._method_queue, thread._consumer = None, Connecting()
    await thread.on_thread_stop()
    [said] = [each.message for each in caplog.records]
    assert said.startswith("the consumer's client did not close: AttributeError at test_fetched.py")
