"""What would make the broker match the declarations: a pure comparison, no I/O.

Our own topics are created and their settings set. Never done here: shrinking anything, changing a
partition count, moving replicas, touching a raw topic that exists. What is wrong there is a
`Finding`, for a person to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audit_stream.kafka.topics import FLEET, Topic

MAX_RAW_RETENTION_DAYS = 30  # personal data in clear must not lie in Kafka for longer
_DAY_MS = 86_400_000
_MAX_RAW_RETENTION_MS = MAX_RAW_RETENTION_DAYS * _DAY_MS
#: Settings where less is a loss of records or of safety; -1 is without limit.
_NEVER_SHRUNK = frozenset({"retention.ms", "max.message.bytes", "min.insync.replicas"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A declared topic with all numbers filled in for one cluster."""

    name: str
    raw: bool
    partitions: int
    replicas: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """A topic as the broker has it; `configs` are the values in force."""

    partitions: int
    replicas: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """A topic that is missing."""

    topic: Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Alter:
    """A setting of one of our topics that differs."""

    topic: str
    setting: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong that is not ours to change."""

    topic: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Creations and alterations to do, findings to report."""

    creates: tuple[Create, ...] = ()
    alters: tuple[Alter, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def changes(self) -> int:
        """How many things would be done."""
        return len(self.creates) + len(self.alters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the difference for people. `mark`: + create, ~ alter, ! wrong."""

    mark: str
    topic: str
    what: str
    before: str
    after: str


def resolve(
    topics: Sequence[Topic], *, partitions: int, replication: int | None = None
) -> tuple[Wanted, ...]:
    """Fill in the fleet's partition count, and another replication factor where one is given.

    With fewer replicas, ``min.insync.replicas`` is one less than them (at least 1), so that a
    broker may be away.
    """
    return tuple(_resolve(topic, partitions, replication) for topic in topics)


def _resolve(topic: Topic, partitions: int, replication: int | None) -> Wanted:
    replicas = replication or topic.replicas
    insync = min(topic.configs.min_insync_replicas, max(1, replicas - 1))
    return Wanted(
        name=topic.topic,
        raw=topic.kind == "raw",
        partitions=partitions if topic.partitions == FLEET else int(topic.partitions),
        replicas=replicas,
        configs={**topic.configs.as_kafka(), "min.insync.replicas": str(insync)},
    )


def diff(wanted: Sequence[Wanted], existing: Mapping[str, Existing]) -> Plan:
    """Compare; `existing` holds the wanted topics that the broker has."""
    creates: list[Create] = []
    alters: list[Alter] = []
    findings: list[Finding] = []
    for topic in wanted:
        there = existing.get(topic.name)
        if there is None:
            creates.append(Create(topic=topic))
        elif topic.raw:
            findings += _judge_raw(topic, there)
        else:
            steps = _alterations(topic, there)
            alters += (step for step in steps if isinstance(step, Alter))
            findings += _judge_shape(topic, there)
            findings += (step for step in steps if isinstance(step, Finding))
    findings += _judge_raw_counts(wanted, existing)
    return Plan(creates=tuple(creates), alters=tuple(alters), findings=tuple(findings))


def _alterations(topic: Wanted, there: Existing) -> list[Alter | Finding]:
    return [
        _alter(topic.name, setting, there.configs.get(setting), after)
        for setting, after in topic.configs.items()
        if there.configs.get(setting) != after
    ]


def _alter(topic: str, setting: str, before: str | None, after: str) -> Alter | Finding:
    if before is not None and _shrinks(setting, before, after):
        return Finding(
            topic=topic,
            message=f"{setting} is {before} and would shrink to {after}",
            hint="nothing is ever shrunk here: change the declaration, or the broker by hand",
        )
    return Alter(topic=topic, setting=setting, before=before, after=after)


def _shrinks(setting: str, before: str, after: str) -> bool:
    if setting == "cleanup.policy":
        return "delete" in after and "delete" not in before
    if setting not in _NEVER_SHRUNK:
        return False
    return _size(after) < _size(before)


def _size(value: str) -> float:
    return float("inf") if value == "-1" else int(value)


def _judge_shape(topic: Wanted, there: Existing) -> list[Finding]:
    found: list[Finding] = []
    if there.partitions != topic.partitions:
        found.append(
            Finding(
                topic=topic.name,
                message=f"{there.partitions} partitions, {topic.partitions} declared",
                hint="never changed in place: AUDIT_PARTITIONS is what the raw topics have; the "
                "changelog is made anew by: audit-stream state rebuild",
            )
        )
    if there.replicas < topic.replicas:
        found.append(
            Finding(
                topic=topic.name,
                message=f"{there.replicas} replicas, {topic.replicas} declared",
                hint="reassign its partitions with Kafka's own tools",
            )
        )
    return found


def _judge_raw(topic: Wanted, there: Existing) -> list[Finding]:
    """What is wrong with a raw topic that exists, all of it."""
    configs = there.configs
    wrong: list[tuple[str, str]] = []
    if configs.get("message.timestamp.type") != "LogAppendTime":
        wrong.append(
            ("it has CreateTime timestamps", "set message.timestamp.type=LogAppendTime on it")
        )
    if "compact" in configs.get("cleanup.policy", ""):
        wrong.append(("it is compacted, which drops events", "set cleanup.policy=delete on it"))
    if _size(configs.get("retention.ms", "-1")) > _MAX_RAW_RETENTION_MS:
        wrong.append(
            (
                f"it keeps personal data for longer than {MAX_RAW_RETENTION_DAYS} days",
                f"set retention.ms={_MAX_RAW_RETENTION_MS} or less on it",
            )
        )
    if configs.get("retention.bytes", "-1") != "-1":
        wrong.append(
            ("it drops records by size, before their time", "set retention.bytes=-1 on it")
        )
    if configs.get("unclean.leader.election.enable") == "true":
        wrong.append(
            ("an unclean election may lose records", "set unclean.leader.election.enable=false")
        )
    findings = [Finding(topic=topic.name, message=what, hint=hint) for what, hint in wrong]
    return [*_judge_shape(topic, there), *findings]


def _judge_raw_counts(wanted: Sequence[Wanted], existing: Mapping[str, Existing]) -> list[Finding]:
    raw = [topic.name for topic in wanted if topic.raw and topic.name in existing]
    counts = {name: existing[name].partitions for name in raw}
    if len(set(counts.values())) < 2:
        return []
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    return [
        Finding(
            topic="raw topics",
            message=f"their partition counts differ: {told}",
            hint="all raw topics need the same number of partitions (AUDIT_PARTITIONS)",
        )
    ]


def rows(plan: Plan) -> list[Row]:
    """The plan as lines for a table, in the order it is carried out, findings last."""
    made = [
        Row(
            mark="+",
            topic=create.topic.name,
            what="create",
            before="",
            after=f"{create.topic.partitions} partitions, {create.topic.replicas} replicas, "
            + ", ".join(f"{name}={value}" for name, value in create.topic.configs.items()),
        )
        for create in plan.creates
    ]
    made += [
        Row(mark="~", topic=a.topic, what=a.setting, before=a.before or "", after=a.after)
        for a in plan.alters
    ]
    made += [
        Row(mark="!", topic=f.topic, what=f.message, before="", after=f.hint) for f in plan.findings
    ]
    return made
