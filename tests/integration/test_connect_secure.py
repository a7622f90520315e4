"""TLS and SASL against a real broker: the right credentials get in, others are told why not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from audit_stream.errors import BrokerError, ConfigError
from audit_stream.kafka.ask import describe_topics, live_brokers, topic_ends
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.embedded import HOST, EmbeddedKafka, free_ports
from tests.integration.conftest import not_run
from tests.support.certificates import identity
from tests.support.eventually import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
PASSWORD = "correct-horse"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaConnection]:
    """The connection that a broker with TLS and a password lets in."""
    folder = tmp_path_factory.mktemp("secured")
    server = identity(folder, "server")
    plain, secure, controller = free_ports(3)
    listeners = f"PLAINTEXT://{HOST}:{plain},SASL_SSL://{HOST}:{secure}"
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    broker = EmbeddedKafka(
        folder / "kafka",
        port=plain,
        overrides={
            "listeners": f"{listeners},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": listeners,
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "listener.security.protocol.map": (
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL"
            ),
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": (f'{login} user_worker="{PASSWORD}";'),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(server.bundle),
        },
    )
    try:
        asyncio.run(broker.start())
    except (BrokerError, ConfigError) as error:
        not_run(error)
    yield KafkaConnection(
        bootstrap=(f"{HOST}:{secure}",),
        security="SASL_SSL",
        tls_ca=server.certificate,
        sasl_mechanism="PLAIN",
        sasl_username="worker",
        sasl_password=PASSWORD,
    )
    asyncio.run(broker.stop())


async def test_the_right_certificate_and_password_get_in(
    secured: KafkaConnection, fresh: str
) -> None:
    async def there() -> bool:
        return fresh in await describe_topics(secured, [fresh])

    async with open_admin(secured) as admin:
        await admin.create_topics([NewTopic(fresh, 2, 1)])
    await eventually(there)
    assert await live_brokers(secured) == 1
    assert await topic_ends(secured, [fresh]) == {(fresh, 0): (0, 0), (fresh, 1): (0, 0)}


async def test_another_password_is_refused_and_not_repeated(secured: KafkaConnection) -> None:
    with pytest.raises(BrokerError) as caught:
        await live_brokers(replace(secured, sasl_password="guessed-secret"))
    assert "SASL" in str(caught.value)
    assert "guessed-secret" not in str(caught.value)


async def test_a_server_that_our_authority_did_not_sign_is_not_talked_to(
    secured: KafkaConnection, tmp_path: Path
) -> None:
    stranger = identity(tmp_path, "stranger")
    with pytest.raises(BrokerError, match="TLS"):
        await live_brokers(replace(secured, tls_ca=stranger.certificate))


async def test_a_client_without_tls_gets_no_answer(secured: KafkaConnection) -> None:
    with pytest.raises(BrokerError):
        async with asyncio.timeout(60):
            await live_brokers(KafkaConnection(bootstrap=secured.bootstrap))
