"""How to reach Kafka."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from audit_stream.errors import BrokerError, BrokerRefused, ConfigError

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
CLIENT_ID = "audit-stream"
REFUSALS = (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})\Z")


class KafkaFields(Protocol):
    """What `audit_stream.settings` knows of Kafka (a layer above, so never imported here)."""

    kafka_security: SecurityProtocol
    kafka_tls_ca: Path | None
    kafka_tls_cert: Path | None
    kafka_tls_key: Path | None
    kafka_sasl_mechanism: SaslMechanism | None
    kafka_sasl_username: str | None

    @property
    def bootstrap_servers(self) -> tuple[str, ...]:
        """``host:port`` of each server."""
        ...

    def sasl_password(self) -> str | None:
        """The SASL password, wherever it is kept."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConnection:
    """Servers (``host:port``) and how to identify ourselves. The password is never shown."""

    bootstrap: tuple[str, ...]
    security: SecurityProtocol = "PLAINTEXT"
    tls_ca: Path | None = None  # PEM; None is the system's authorities
    tls_cert: Path | None = None
    tls_key: Path | None = None
    sasl_mechanism: SaslMechanism | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.bootstrap or not all(map(_SERVER.match, self.bootstrap)):
            raise ConfigError(
                "the broker must be kafka://host:port", hint="more servers after commas"
            )
        if self.security not in get_args(SecurityProtocol):
            raise ConfigError(f"unknown Kafka security protocol {self.security!r}")
        if self.uses_sasl and not (self.sasl_mechanism and self.sasl_username):
            raise ConfigError(f"{self.security} needs a SASL mechanism and a username")
        if self.uses_sasl and self.sasl_password is None:
            raise ConfigError(f"{self.security} needs a SASL password")

    @classmethod
    def parse(cls, broker: str, **options: Any) -> KafkaConnection:
        """From ``kafka://host:port[,host:port]`` (``;`` separates too) and the other fields."""
        scheme, _, rest = broker.partition("://")
        if scheme != "kafka":
            raise ConfigError(
                "the broker must be kafka://host:port", hint="more servers after commas"
            )
        servers = (part.strip().removeprefix("kafka://") for part in re.split("[,;]", rest))
        return cls(bootstrap=tuple(servers), **options)

    @classmethod
    def from_settings(cls, settings: KafkaFields) -> KafkaConnection:
        """From the settings of the same names. Raises ConfigError."""
        return cls(
            bootstrap=settings.bootstrap_servers,
            security=settings.kafka_security,
            tls_ca=settings.kafka_tls_ca,
            tls_cert=settings.kafka_tls_cert,
            tls_key=settings.kafka_tls_key,
            sasl_mechanism=settings.kafka_sasl_mechanism,
            sasl_username=settings.kafka_sasl_username,
            sasl_password=settings.sasl_password(),
        )

    @property
    def uses_sasl(self) -> bool:
        """Whether the protocol asks for a user and password."""
        return self.security.startswith("SASL_")

    @property
    def uses_tls(self) -> bool:
        """Whether the protocol is encrypted."""
        return self.security.endswith("SSL")

    @property
    def servers(self) -> str:
        """The servers for a message or a client: ``host:port,host:port``."""
        return ",".join(self.bootstrap)

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments every aiokafka client takes. Raises ConfigError for bad TLS files."""
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap),
            "client_id": CLIENT_ID,
            "security_protocol": self.security,
        }
        if self.uses_tls:
            options["ssl_context"] = self.tls_context()
        if self.uses_sasl:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        return options

    def tls_context(self) -> ssl.SSLContext:
        """TLS 1.2 or later, server certificate and host name checked."""
        try:
            context = ssl.create_default_context(cafile=self.tls_ca)
            if self.tls_cert is not None:
                context.load_cert_chain(self.tls_cert, self.tls_key, _no_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ConfigError(
                f"cannot load the Kafka TLS files: {type(error).__name__}",
                hint="they must be PEM files this user may read, the key without a password",
            ) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal of a process that has none.
    raise ValueError("the private key has a password")


@asynccontextmanager
async def open_admin(connection: KafkaConnection) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for the block; Kafka's errors leave it as BrokerError."""
    async with translated(connection):
        admin = AIOKafkaAdminClient(**connection.client_options())
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()


@asynccontextmanager
async def translated(connection: KafkaConnection) -> AsyncIterator[None]:
    """Turn what the client raises inside the block into BrokerError with a hint."""
    try:
        yield
    except REFUSALS as error:
        raise BrokerRefused(
            f"Kafka at {connection.servers} refuses us: {type(error).__name__}",
            hint="check the SASL user, and its ACLs against its role's in topics/",
        ) from error
    except KafkaConnectionError as error:
        raise BrokerError(
            f"no Kafka broker answers at {connection.servers}",
            hint="check AUDIT_BROKER, that the broker is up, and the TLS and SASL settings",
        ) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerError(
            f"Kafka at {connection.servers} did not do what was asked: {_reason(error)}",
            hint="check the broker; the same command may go through later",
        ) from error


def _reason(error: BaseException) -> str:
    text = str(error).strip()
    name = type(error).__name__
    return text if text.startswith(name) else f"{name}: {text}" if text else name
