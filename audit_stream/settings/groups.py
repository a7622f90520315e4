"""The settings, as fields in groups: each group is a heading of the reference page.

Every description is a sentence for the operator; it is also the hint of an error about the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from audit_stream.errors import ConfigError
from audit_stream.ports import Assurance
from audit_stream.settings.secret import secret_of
from audit_stream.stores.open import Place, place_of

RAW_TOPICS = (
    "outbound_message_status_update",
    "outbound_email_status_update",
    "outbound_voice_status_update",
)
DEFAULT_TAG = "COMPLIANCE_ARCHIVE_V1"
_BROKER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})\Z")


def _split(value: object) -> object:
    """``a, b`` → ``("a", "b")``; the environment knows only strings."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _split_pairs(value: object) -> object:
    """``a=x, b=y`` → ``{"a": "x", "b": "y"}``."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not all("=" in part for part in parts):
        raise ValueError("write it as topic=value, topic=value")
    return {name.strip(): tag.strip() for name, tag in (part.split("=", 1) for part in parts)}


def _assurance(value: object) -> object:
    """The label of an assurance level, e.g. ``worm_locked``, to the level."""
    if isinstance(value, str):
        by_label = {level.label: level for level in Assurance}
        if value.lower() not in by_label:
            raise ValueError(f"must be one of {', '.join(by_label)}")
        return by_label[value.lower()]
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Pairs = Annotated[Mapping[str, str], NoDecode, BeforeValidator(_split_pairs)]
Level = Annotated[Assurance, BeforeValidator(_assurance)]


def _shown(default: str) -> dict[str, Any]:
    """What the reference page shows as the default, where it is worked out at run time."""
    return {"shown_default": default}


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
        json_schema_extra=_shown("host name and web port; none when the web port is 0"),
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
        json_schema_extra=_shown("3, or the number of brokers where there are fewer"),
    )
    session_timeout_seconds: float = Field(
        20.0, ge=6, le=300, description="After so long without a heartbeat a worker is replaced."
    )
    raw_retention_days: float | None = Field(
        None,
        gt=0,
        description="Retention of the raw topics, where the worker may not read their "
        "configuration; the headroom metric needs it.",
        json_schema_extra=_shown("read from the broker"),
    )
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Security protocol of the Kafka listeners."
    )
    kafka_tls_ca: Path | None = Field(
        None,
        description="PEM file of the authorities that sign the brokers' certificates.",
        json_schema_extra=_shown("the system's"),
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


class ArchiveSettings(BaseModel):
    """Archive and keys"""

    archive: str = Field(
        default_factory=lambda: Path("var/archive").absolute().as_uri(),
        description="The write-once store: `azure://account/container` or `file:///path`.",
        json_schema_extra=_shown("`file://` and `var/archive` under the working directory"),
    )
    subjects: str = Field(
        default_factory=lambda data: f"{str(data.get('archive', '')).rstrip('/')}-subjects",
        description="The root under which `subjects/…` lies: rewritable, outside the archive, "
        "without versions.",
        json_schema_extra=_shown("beside the archive: its URL and `-subjects`"),
    )
    archive_name: str = Field(
        "audit-stream",
        pattern=r"^[^\s+]{1,128}$",
        description="The archive's name, in every header and checkpoint: no space, no `+`.",
    )
    allow_assurance: Level = Field(
        Assurance.WORM_LOCKED,
        description="The lowest assurance to run on: `worm_locked`, `worm_unlocked` or `mutable` "
        "(the file store is `mutable`: what can be rewritten unseen proves nothing).",
    )
    assurance_check_seconds: float = Field(
        3600.0,
        ge=1,
        description="A running worker asks the store again after so many seconds what it enforces, "
        "and ends when that is less than it was.",
    )
    keyring: Path = Field(
        Path("var/keyring.json"),
        description="Keyring file; its cover file lies beside it.",
    )
    state_dir: Path = Field(
        Path("var/state"),
        description="The precedence table's folder: one worker each, rebuilt when lost.",
    )
    status_map: Path | None = Field(
        None,
        description="The versioned file that maps carriers' words to the four statuses.",
        json_schema_extra=_shown("the shipped `topics/status-map.v1.json`"),
    )
    regulatory_tags: Pairs = Field(
        {},
        description=f"Retention class by topic, as `topic=TAG, topic=TAG`; {DEFAULT_TAG} for "
        "the rest.",
    )
    placeholder_ids: Names = Field(
        (),
        description="Customer ids that stand for none (beside empty and blank), after commas: "
        "fix them before the first record.",
    )

    @field_validator("archive", "subjects")
    @classmethod
    def _check_url(cls, value: str) -> str:
        try:
            place_of(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value

    @property
    def archive_place(self) -> Place:
        """The folder or container of the archive."""
        return place_of(self.archive)

    @property
    def subjects_place(self) -> Place:
        """The folder or container of the subject objects."""
        return place_of(self.subjects)

    @property
    def archive_path(self) -> Path:
        """The folder of a ``file://`` archive."""
        return _folder(self.archive_place)

    @property
    def subjects_path(self) -> Path:
        """The folder of ``file://`` subject objects."""
        return _folder(self.subjects_place)

    @property
    def status_map_path(self) -> Path:
        """The status map in use: the configured one or the shipped one."""
        if self.status_map is not None:
            return self.status_map
        from audit_stream.kafka.topics import topics_dir

        return topics_dir() / "status-map.v1.json"

    def regulatory_tag(self, topic: str) -> str:
        """Retention class of a topic's records."""
        return self.regulatory_tags.get(topic, DEFAULT_TAG)


def _folder(place: Place) -> Path:
    if not isinstance(place, Path):
        raise ConfigError(f"{place.url} is no folder", hint="this needs a file:// archive")
    return place


class SegmentSettings(BaseModel):
    """Segments and memory"""

    segment_max_records: int = Field(
        10_000, ge=1, le=1_000_000, description="A segment is sealed at so many records."
    )
    segment_max_bytes: int = Field(
        8 << 20,
        ge=1 << 10,
        le=1 << 30,
        description="A segment is sealed at so many bytes of record lines.",
    )
    segment_max_seconds: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="A segment is sealed so many seconds after its first offset.",
    )
    memory_budget_bytes: int = Field(
        128 << 20,
        ge=16 << 20,
        description="Builders, overlays and fetched batches of a worker together; at the budget "
        "the largest builder is sealed first.",
    )
    quarantine_brake_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Quarantine brake: a partition stops with an alarm when more than this share "
        "of its last 10,000 records would go to quarantine.",
    )
    quarantine_brake_run: int = Field(
        1_000,
        ge=1,
        description="Quarantine brake: it stops, too, when so many records in a row would.",
    )
    breaker_attempts: int = Field(
        5, ge=1, description="More failed attempts in a row than this open the store's breaker."
    )
    breaker_probe_seconds: float = Field(
        5.0, gt=0, description="An open breaker asks the store again after so many seconds."
    )


class ProcessSettings(BaseModel):
    """Process and operations"""

    web_host: str = Field(
        "127.0.0.1",
        description="Address that serves `/metrics`, `/healthz`, `/readyz` and `/alarms`, without "
        "a login: open it (`0.0.0.0`) only where the network is yours.",
    )
    web_port: int = Field(9464, ge=0, le=65_535, description="Its port; 0 takes any free one.")
    broker_wait_seconds: float = Field(
        300.0,
        ge=0,
        description="How long a worker that starts waits for a broker that does not answer.",
    )
    shutdown_seconds: float = Field(
        25.0, gt=0, description="A worker that has not stopped so long after SIGTERM is ended."
    )
    stall_seconds: float = Field(
        60.0,
        ge=1,
        description="A worker whose event loop or poll thread stands still for so long is ended.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level that is logged."
    )
    log_format: Literal["console", "json"] = Field("console", description="Form of a log line.")
    alert_webhook: SecretStr | None = Field(
        None, description="URL that gets a JSON POST for each alarm that opens or closes."
    )

    @field_validator("alert_webhook")
    @classmethod
    def _check_webhook(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme not in (
            "http",
            "https",
        ):
            raise ValueError("must be an http:// or https:// URL")
        return value
