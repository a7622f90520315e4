"""The real Kafka that the integration tests share."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from audit_stream.errors import BrokerError, ConfigError
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.embedded import EmbeddedKafka
from tests.support.fleet import Fleet

REQUIRE = "AUDIT_TEST_REQUIRE"  # set to 1 where nothing may be left out


def not_run(error: Exception) -> None:
    """End the test: a failure where everything is required, else reported as not run."""
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"no Kafka to test with: {error}", pytrace=False)
    pytest.skip(f"NOT RUN: no Kafka to test with: {error}")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker for the whole session. Tests name their topics freshly and leave it running."""
    broker = EmbeddedKafka(tmp_path_factory.mktemp("kafka"))
    try:
        asyncio.run(broker.start())
    except (BrokerError, ConfigError) as error:
        not_run(error)
    yield broker
    asyncio.run(broker.stop())


@pytest.fixture
def connection(kafka: EmbeddedKafka) -> KafkaConnection:
    """How to reach the shared broker."""
    return KafkaConnection.parse(kafka.url)


@pytest.fixture
def fresh() -> str:
    """A prefix for names that no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
async def fleet(kafka: EmbeddedKafka, tmp_path: Path, fresh: str) -> AsyncIterator[Fleet]:
    """An installation with topics of its own; its workers end with the test."""
    found = Fleet(kafka.url, tmp_path, fresh)
    await found.prepare()
    yield found
    await found.close()
