"""How to reach Kafka, and what one may ask it without joining a group."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    for_code,
)

from audit_stream.errors import BrokerError, BrokerRefused, ConfigError, TopicError
from audit_stream.kafka.requests import DescribeTopics

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


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicInfo:
    """A topic as the broker has it. `topic_id` is Kafka's UUID (base64url, as Kafka prints it)."""

    name: str
    topic_id: str | None
    partitions: int
    replicas: int  # the least of any partition


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


async def describe_topics(
    connection: KafkaConnection, topics: Iterable[str]
) -> dict[str, TopicInfo]:
    """The topics that exist, by name. Never creates one. Raises BrokerError."""
    async with open_admin(connection) as admin:
        return await describe_with(admin, topics)


async def describe_with(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> dict[str, TopicInfo]:
    """As `describe_topics`, on an open client; raises Kafka's own errors."""
    wanted = sorted(set(topics))
    try:
        # The public client speaks Metadata v5 only: no topic ids, and asking can create a topic.
        response = await admin._send_request(DescribeTopics(wanted))
    except (IncompatibleBrokerVersion, NotImplementedError):
        raise BrokerError(
            "the broker is too old: it does not know topic ids", hint="Kafka 2.8 or later"
        ) from None
    found: dict[str, TopicInfo] = {}
    for error_code, name, topic_id, _internal, partitions, *_ in response.topics:
        if error_code == UnknownTopicOrPartitionError.errno:
            continue
        if error_code:
            raise for_code(error_code)(name)
        found[name] = TopicInfo(
            name=name,
            topic_id=base64.urlsafe_b64encode(topic_id.bytes).decode("ascii").rstrip("="),
            partitions=len(partitions),
            replicas=min((len(partition[4]) for partition in partitions), default=0),
        )
    return found


async def live_brokers(connection: KafkaConnection) -> int:
    """How many brokers the cluster has now. Raises BrokerError."""
    async with open_admin(connection) as admin:
        response = await admin._send_request(DescribeTopics([]))
        return len(response.brokers)


async def topic_partitions(connection: KafkaConnection, topics: Iterable[str]) -> dict[str, int]:
    """Partition counts of the topics that exist. Raises BrokerError."""
    found = await describe_topics(connection, topics)
    return {name: info.partitions for name, info in found.items()}


async def topic_id(connection: KafkaConnection, topic: str) -> str | None:
    """Kafka's UUID of the topic, which changes when it is recreated; None when it is missing."""
    found = await describe_topics(connection, [topic])
    return found[topic].topic_id if topic in found else None


async def topic_configs(
    connection: KafkaConnection, topics: Iterable[str]
) -> dict[str, Mapping[str, str]]:
    """Every setting in force for each topic that exists. Raises BrokerError."""
    async with open_admin(connection) as admin:
        existing = await describe_with(admin, topics)
        return await configs_with(admin, existing)


async def configs_with(
    admin: AIOKafkaAdminClient, topics: Iterable[str]
) -> dict[str, Mapping[str, str]]:
    """As `topic_configs`, on an open client and topics that exist; raises Kafka's own errors."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in topics]
    found: dict[str, Mapping[str, str]] = {}
    for response in await admin.describe_configs(resources) if resources else ():
        for error_code, _message, _type, name, entries in response.resources:
            if error_code:
                raise for_code(error_code)(name)
            found[name] = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
    return found


async def topic_ends(
    connection: KafkaConnection, topics: Iterable[str]
) -> dict[tuple[str, int], tuple[int, int]]:
    """(topic, partition) → (log start, end = next offset to be written; control markers count).

    Raises TopicError when a topic is missing, BrokerError when the broker does not answer.
    """
    wanted = sorted(set(topics))
    counts = await topic_partitions(connection, wanted)
    if missing := [name for name in wanted if name not in counts]:
        raise TopicError(
            f"no such topic: {', '.join(missing)}", hint="run: audit-stream topics apply"
        )
    parts = [TopicPartition(name, index) for name in wanted for index in range(counts[name])]
    if not parts:
        return {}
    async with translated(connection):
        consumer = AIOKafkaConsumer(enable_auto_commit=False, **connection.client_options())
        try:
            await consumer.start()
            starts = await consumer.beginning_offsets(parts)
            ends = await consumer.end_offsets(parts)
        finally:
            await consumer.stop()
    return {(tp.topic, tp.partition): (starts[tp], ends[tp]) for tp in parts}


async def committed_offsets(
    connection: KafkaConnection, group: str, places: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], int]:
    """The group's committed offset by (topic, partition), 0 where it has none."""
    async with open_admin(connection) as admin:
        found = await admin.list_consumer_group_offsets(group)
    known = {(tp.topic, tp.partition): max(0, entry.offset) for tp, entry in found.items()}
    return {place: known.get(place, 0) for place in places}
