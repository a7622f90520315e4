"""The page on quarantine with the reasons, of copies in a real Kafka."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from audit_stream.kafka.quarantine import TOPIC
from audit_stream.settings import Settings
from tests.support.asking import serving
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.sample import VOICE, make_sample
from tests.support.visiting import Visitor, text_of

pytestmark = pytest.mark.kafka
SECRET = b"+4915112345678"


async def quarantine(fleet: Fleet, copies: list[tuple[str, str]]) -> None:
    """Put copies there, by reason and source, as a worker does."""
    producer = AIOKafkaProducer(bootstrap_servers=fleet.settings.bootstrap_servers)
    await producer.start()
    try:
        for reason, source in copies:
            headers = [("reason", reason.encode()), ("source", source.encode())]
            await producer.send_and_wait(TOPIC, SECRET, headers=headers)
    finally:
        await producer.stop()


async def test_reasons_are_counted_from_headers_alone(fleet: Fleet, tmp_path: Path) -> None:
    sample = await make_sample(tmp_path / "sample", days=5)
    topic, partition, offset = sample.retried[0].rsplit("/", 2)
    assert topic == VOICE
    await quarantine(fleet, [
        ("status-unmapped", f"{topic}/1/{partition}/{offset}"),
        ("status-unmapped", f"{topic}/1/{partition}/{int(offset) + 2}"),
        ("status-unmapped", f"{topic}/1/{partition}/{int(offset) + 2}"),  # a redo's
        ("not-json", f"{topic}/1/0/17"),
    ])  # fmt: skip
    settings = sample.settings.model_copy(update={
        "broker": fleet.settings.broker, "gateway_quarantine_seconds": 0.2,
    })  # fmt: skip
    await asyncio.to_thread(_look, settings)


def _look(settings: Settings) -> None:
    with serving(settings) as asked:
        visitor = Visitor(asked.url)
        visitor.sign_in(asked.token())
        asyncio.run(eventually(lambda: _shows(visitor), 60))
        text = text_of(visitor.get("/quarantine"))
        assert f"not-json {VOICE} 1 1" in text
        assert f"status-unmapped {VOICE} 2 1" in text
        assert SECRET.decode() not in text
        visitor.client.close()


async def _shows(visitor: Visitor) -> bool:
    return "By reason, counted" in text_of(visitor.get("/quarantine"))
