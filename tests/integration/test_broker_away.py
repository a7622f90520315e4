"""A broker that is away: the worker waits, says that it is not ready, and loses nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from audit_stream.kafka.embedded import EmbeddedKafka, free_ports
from tests.integration.test_bad_days import answers
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.mark.parametrize("how", ["stopped", "frozen"])
async def test_p8_a_worker_without_its_broker_is_alive_and_not_ready(
    tmp_path: Path, fresh: str, how: str
) -> None:
    port = free_ports(1)[0]
    async with EmbeddedKafka(tmp_path / "kafka") as broker:
        fleet = Fleet(broker.url, tmp_path, fresh, extra={"AUDIT_WEB_PORT": str(port)})
        await fleet.prepare()
        events = Events(103, fleet.topic)
        fleet.start(0)
        try:
            await fleet.send(events.lines(500))
            await fleet.check(events.oracle)
            await eventually(lambda: ready(port, True))
            await (broker.stop() if how == "stopped" else asyncio.to_thread(broker.pause))
            await eventually(lambda: ready(port, False), 60)
            assert answers(port, "/healthz")
            await (broker.start() if how == "stopped" else asyncio.to_thread(broker.resume))
            await fleet.send(events.lines(500))
            await fleet.check(events.oracle, 120)
            await eventually(lambda: ready(port, True), 60)
        finally:
            await fleet.close()


async def ready(port: int, wanted: bool) -> bool:
    return await asyncio.to_thread(answers, port, "/readyz") is wanted
