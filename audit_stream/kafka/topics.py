"""Topics as code: what the files in ``topics/`` declare, as frozen objects."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit_stream.errors import ConfigError

TOPICS_DIR_ENV = "AUDIT_TOPICS_DIR"
TEMPLATE_SUFFIX = ".template"
FLEET = "fleet"  # as many partitions as AUDIT_PARTITIONS says
#: Letters a topic may have: never a dot, which collides with `_` in Kafka's metric names.
NAME_PATTERN = r"^[a-z0-9_-]{1,200}$"
_TEMPLATE_PATTERN = r"^(\{raw\}|\{app\})?[a-z0-9_-]{0,200}$"

Kind = Literal["raw", "rekeyed", "changelog", "own"]
Role = Literal["platform", "worker", "notary", "gateway", "deliverer", "operator"]
Operation = Literal[
    "READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS", "CREATE", "DELETE"
]  # fmt: skip
Sentence = Annotated[str, Field(min_length=10)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SchemaReference(_Strict):
    """One version of what a topic carries."""

    version: Annotated[int, Field(ge=1)]
    describes: Literal["value", "headers"]
    compatibility: Literal["none", "backward", "forward", "full"]
    resource: Annotated[str, Field(pattern=r"^[a-z0-9_-]+\.v[0-9]+\.schema\.json$")]
    examples: Annotated[tuple[str, ...], Field(min_length=1)]


class Configs(_Strict):
    """The topic settings we care for; every other one is the broker's business."""

    cleanup_policy: Literal["delete", "compact"] = Field(alias="cleanup.policy")
    retention_ms: int = Field(alias="retention.ms", ge=-1)
    min_insync_replicas: int = Field(alias="min.insync.replicas", ge=1)
    timestamp_type: Literal["CreateTime", "LogAppendTime"] = Field(alias="message.timestamp.type")
    max_message_bytes: int = Field(alias="max.message.bytes", ge=1024)
    unclean_election: Literal[False] = Field(alias="unclean.leader.election.enable")

    def as_kafka(self) -> dict[str, str]:
        """Setting → value as Kafka spells them."""
        spelled = {True: "true", False: "false"}
        dumped = self.model_dump(by_alias=True)
        return {
            name: spelled[value] if isinstance(value, bool) else str(value)
            for name, value in dumped.items()
        }


class Topic(_Strict):
    """One file of ``topics/``. `partitions` is a count, or ``fleet`` for AUDIT_PARTITIONS."""

    topic: Annotated[str, Field(pattern=_TEMPLATE_PATTERN)]
    kind: Kind
    description: Sentence
    owner: Annotated[str, Field(min_length=2)]
    producers: Annotated[tuple[str, ...], Field(min_length=1)]
    consumers: tuple[str, ...]
    key: Sentence
    ordering: Sentence
    pii: Literal["none", "pseudonymous", "personal"]
    encoding: Literal["json", "raw", "internal"]
    schemas: tuple[SchemaReference, ...]
    partitions: Annotated[int, Field(ge=1, le=1000)] | Literal["fleet"]
    replicas: Annotated[int, Field(ge=1)]
    configs: Configs
    acls: Mapping[Role, tuple[Operation, ...]]


def topics_dir() -> Path:
    """The folder of topic files: ``AUDIT_TOPICS_DIR``, else the installed one, else the checkout's.

    Raises ConfigError when there is none.
    """
    if override := os.environ.get(TOPICS_DIR_ENV):
        candidates = [Path(override)]
    else:
        package = Path(__file__).resolve().parents[1]
        # A wheel carries the folder inside the package (setup.py); a checkout has it beside.
        candidates = [package / "topics", package.parent / "topics"]
    found = next(filter(Path.is_dir, candidates), None)
    if found is None:
        raise ConfigError(
            f"the folder of topic declarations {candidates[-1]} does not exist",
            hint=f"set {TOPICS_DIR_ENV} to the topics/ folder of a checkout",
        )
    return found


def load_topic(path: Path) -> Topic:
    """One file as declared. Raises ConfigError that names the file and the field."""
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
        return Topic.model_validate(document)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path.name}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path.name}: {where}: {first['msg']}") from None


def load_topics(
    *,
    raw_topics: Sequence[str],
    rekey_topics: Sequence[str] = (),
    app_id: str = "audit-stream",
    folder: Path | None = None,
) -> tuple[Topic, ...]:
    """Every topic this installation needs: raw, rekeyed twins, changelog, our own.

    A raw topic without a file of its own is declared like the first one that has one.
    """
    files = sorted((folder or topics_dir()).glob("*.yaml"))
    if not files:
        raise ConfigError("the folder of topic declarations holds no *.yaml")
    declared = [load_topic(path) for path in files]
    raw_by_name = {topic.topic: topic for topic in declared if topic.kind == "raw"}
    if not raw_by_name:
        raise ConfigError("no topic file declares a raw topic")
    pattern = next(iter(raw_by_name.values()))
    raw = [raw_by_name.get(name) or _named(pattern, name) for name in raw_topics]
    rest = [topic for topic in declared if topic.kind != "raw"]
    return (*raw, *(made for topic in rest for made in _instances(topic, rekey_topics, app_id)))


def _instances(topic: Topic, rekey_topics: Sequence[str], app_id: str) -> list[Topic]:
    if topic.kind == "rekeyed":
        return [_named(topic, topic.topic.replace("{raw}", name)) for name in rekey_topics]
    return [_named(topic, topic.topic.replace("{app}", app_id))]


def _named(topic: Topic, name: str) -> Topic:
    update: dict[str, Any] = {"topic": name}
    return topic.model_copy(update=update)
