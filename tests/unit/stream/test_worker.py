"""What ends an agent of a worker, and with it the process."""

from __future__ import annotations

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, ProducerFenced

from audit_stream.stream.worker import Worker, unless_fenced


@pytest.fixture
def died() -> list[str]:
    return []


@pytest.fixture
def worker(died: list[str]) -> Any:
    return SimpleNamespace(context=SimpleNamespace(die=lambda code, reason: died.append(reason)))


async def given_up() -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def test_a_future_that_was_given_up_ends_the_process(worker: Any, died: list[str]) -> None:
    """Faust would restart the agent, and go on behind the batch that it had."""
    with Worker._fatal(worker, "ingest agent"):
        await given_up()
    assert died == ["the ingest agent failed: CancelledError"]


async def test_an_agent_that_is_cancelled_ends(worker: Any, died: list[str]) -> None:
    async def work() -> None:
        with Worker._fatal(worker, "ingest agent"):
            await asyncio.Event().wait()

    agent = asyncio.create_task(work())
    await asyncio.sleep(0)
    agent.cancel()
    with pytest.raises(asyncio.CancelledError):
        await agent
    assert died == []


@pytest.mark.parametrize(("error", "levels"), [(ProducerFenced(), []), (KafkaError(), ["ERROR"])])
async def test_what_a_fenced_transaction_leaves_behind_is_no_error(
    error: Exception, levels: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(unless_fenced)
    future = loop.create_future()
    future.set_exception(error)
    del future
    gc.collect()
    assert [each.levelname for each in caplog.records if each.name == "asyncio"] == levels
