"""The settings that say which topics are archived, and how Kafka is reached."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

from audit_stream.settings.fields import Names, shown
from audit_stream.settings.secret import secret_of

RAW_TOPICS = (
    "outbound_message_status_update",
    "outbound_email_status_update",
    "outbound_voice_status_update",
)
_BROKER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})\Z")


class KafkaSettings(BaseModel):
    """Kafka"""

    broker: str = Field(
        "kafka://127.0.0.1:9092",
        description="Bootstrap servers: `kafka://host:port`, more of them after commas.",
    )
    app_id: str = Field(
        "audit-stream",
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="Consumer group, and prefix of the changelog topic and transactional ids.",
    )
    instance_id: str | None = Field(
        None,
        description="Static group membership: a name that a restarted worker takes again.",
        json_schema_extra=shown("host name and web port; none when the web port is 0"),
    )
    topics: Names = Field(
        RAW_TOPICS, min_length=1, description="The raw topics to archive, after commas."
    )
    rekey_topics: Names = Field(
        (),
        description="Those of `topics` whose platform cannot key by message id: a small agent "
        "copies them to `<topic>-rekeyed` first.",
    )
    partitions: int = Field(
        8,
        ge=1,
        le=100_000,
        description="Partitions of every raw topic. Counts that differ are refused at start.",
    )
    replication: int | None = Field(
        None,
        ge=1,
        description="Replication factor of the topics we create.",
        json_schema_extra=shown("as each topic declares, 3; a smaller cluster has to say so"),
    )
    session_timeout_seconds: float = Field(
        20.0, ge=6, le=300, description="After so long without a heartbeat a worker is replaced."
    )
    leave_on_stop: bool = Field(
        False,
        description="A static member that is stopped leaves its group: its partitions are others' "
        "at once, and come back with a rebalance. For workers that are scaled in by a machine.",
    )
    raw_retention_days: float | None = Field(
        None,
        gt=0,
        description="Retention of the raw topics, where the worker may not read their "
        "configuration; the headroom metric needs it.",
        json_schema_extra=shown("read from the broker"),
    )
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Security protocol of the Kafka listeners."
    )
    kafka_tls_ca: Path | None = Field(
        None,
        description="PEM file of the authorities that sign the brokers' certificates.",
        json_schema_extra=shown("the system's"),
    )
    kafka_tls_cert: Path | None = Field(
        None, description="PEM file of our certificate, for mutual TLS."
    )
    kafka_tls_key: Path | None = Field(None, description="PEM file of its private key.")
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="SASL mechanism, with SASL_PLAINTEXT or SASL_SSL."
    )
    kafka_sasl_username: str | None = Field(None, description="SASL user.")
    kafka_sasl_password: SecretStr | None = Field(None, description="SASL password.")
    kafka_sasl_password_file: Path | None = Field(
        None, description="File that holds the SASL password, instead of the password itself."
    )

    @field_validator("broker")
    @classmethod
    def _check_broker(cls, value: str) -> str:
        scheme, _, rest = value.partition("://")
        if scheme != "kafka" or not all(_BROKER.match(p.strip()) for p in rest.split(",")):
            raise ValueError("must be kafka://host:port, more servers after commas")
        return value

    @property
    def bootstrap_servers(self) -> tuple[str, ...]:
        """``host:port`` of each bootstrap server."""
        return tuple(part.strip() for part in self.broker.partition("://")[2].split(","))

    def sasl_password(self) -> str | None:
        """The SASL password, from the setting or its file. Raises `ConfigError`."""
        secret = secret_of(self, "kafka_sasl_password")
        return None if secret is None else secret()
