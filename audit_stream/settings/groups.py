"""The settings, as fields in groups: each group is a heading of the reference page.

Every description is a sentence for the operator; it is also the hint of an error about the field.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, field_validator

from audit_stream.errors import ConfigError
from audit_stream.evidence.formats import FIRST, FORMATS
from audit_stream.posture import Assurance
from audit_stream.settings.fields import Level, Names, Pairs, shown, vault_url
from audit_stream.stores.open import Place, place_of

DEFAULT_TAG = "COMPLIANCE_ARCHIVE_V1"


class ArchiveSettings(BaseModel):
    """Archive and keys"""

    archive: str = Field(
        default_factory=lambda: Path("var/archive").absolute().as_uri(),
        description="The write-once store: `azure://account/container`, `s3://bucket` "
        "or `file:///path`.",
        json_schema_extra=shown("`file://` and `var/archive` under the working directory"),
    )
    subjects: str = Field(
        default_factory=lambda data: f"{str(data.get('archive', '')).rstrip('/')}-subjects",
        description="The root under which `subjects/…` lies: rewritable, outside the archive, "
        "without versions.",
        json_schema_extra=shown("beside the archive: its URL and `-subjects`"),
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
    keyring_vault: str | None = Field(
        None,
        description="URL of the Azure Key Vault that wraps the cover, as "
        "`https://name.vault.azure.net`; without one the cover file is clear.",
    )
    state_dir: Path = Field(
        Path("var/state"),
        description="The precedence table's folder: one worker each, rebuilt when lost.",
    )
    status_map: Path | None = Field(
        None,
        description="The versioned file that maps carriers' words to the four statuses.",
        json_schema_extra=shown("the shipped `topics/status-map.v1.json`"),
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

    @field_validator("keyring_vault")
    @classmethod
    def _check_vault(cls, value: str | None) -> str | None:
        return None if value is None else vault_url(value)

    @property
    def archive_place(self) -> Place:
        """The folder, container or bucket of the archive."""
        return place_of(self.archive)

    @property
    def subjects_place(self) -> Place:
        """The folder, container or bucket of the subject objects."""
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

    write_format: int = Field(
        FIRST.number,
        description="The format of the segments that workers write; a chain never goes back to a "
        "lower one. Raise it when everything that reads the archive knows the new one.",
    )
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

    @field_validator("write_format")
    @classmethod
    def _check_format(cls, value: int) -> int:
        if value not in FORMATS:
            known = ", ".join(map(str, sorted(FORMATS)))
            raise ValueError(f"this release writes the formats {known}")
        return value


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
