"""TLS and SASL against a real broker: the right credentials get in, others are told why not."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from audit_stream.errors import BrokerError, ConfigError
from audit_stream.kafka.connect import (
    KafkaConnection,
    describe_topics,
    live_brokers,
    open_admin,
    topic_ends,
)
from audit_stream.kafka.embedded import HOST, EmbeddedKafka, free_ports
from tests.integration.conftest import not_run
from tests.support.eventually import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
PASSWORD = "correct-horse"


@dataclass(frozen=True)
class Identity:
    """PEM files: a certificate for the loopback address, and it with its key."""

    certificate: Path
    bundle: Path


def identity(folder: Path, name: str) -> Identity:
    """A self-signed certificate of its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=36_500))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    made = Identity(certificate=folder / f"{name}.pem", bundle=folder / f"{name}-bundle.pem")
    made.certificate.write_bytes(pem)
    made.bundle.write_bytes(private + pem)
    return made


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
