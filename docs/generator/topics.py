"""The topics as they are declared in topics/."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from audit_stream.kafka.retention import FOR_EVER
from audit_stream.kafka.topics import FLEET, Configs, SchemaReference, Topic, load_topic, topics_dir
from docs.generator.markdown import anchor, code, flat, table

_HEAD = """# Topics

What each topic is declared to be, from the files in `topics/` ([how to change
one](../../topics/README.md)); `audit-stream topics apply` makes a broker match them. `{raw}`
stands for each topic of `AUDIT_REKEY_TOPICS`, `{app}` for `AUDIT_APP_ID`. Partitions `fleet` are
`AUDIT_PARTITIONS`. Where personal data lies: [personal data](personal-data.md).

"""
_DAY_MS = 86_400_000


def page() -> str:
    """An overview, then each topic."""
    topics = [load_topic(path) for path in sorted(topics_dir().glob("*.yaml"))]
    rows = [
        [f"[`{one.topic}`](#{anchor(one.topic)})", one.kind, _partitions(one), _kept(one.configs),
         one.pii, ", ".join(one.producers), ", ".join(one.consumers)]
        for one in topics
    ]  # fmt: skip
    heads = ["topic", "kind", "partitions", "kept", "personal data", "written by", "read by"]
    return "".join((_HEAD, table(heads, rows), *(part for one in topics for part in _topic(one))))


def _topic(topic: Topic) -> Iterator[str]:
    settings = ", ".join(f"`{name}={value}`" for name, value in topic.configs.as_kafka().items())
    rows = [
        ["kind", topic.kind],
        ["owner", topic.owner],
        ["key", flat(topic.key)],
        ["ordering", flat(topic.ordering)],
        ["partitions, replicas", f"{_partitions(topic)}, {topic.replicas}"],
        ["kept", _kept(topic.configs)],
        ["personal data", topic.pii],
        ["written by", ", ".join(topic.producers)],
        ["read by", ", ".join(topic.consumers) or "nobody of ours"],
        ["encoding", topic.encoding],
        ["schemas", "; ".join(map(_schema, topic.schemas)) or "none: internal"],
        ["settings", settings],
        ["rights", "; ".join(f"{role}: {', '.join(may)}" for role, may in topic.acls.items())],
    ]
    yield f"\n## {topic.topic}\n\n{flat(topic.description)}\n\n{table(['', ''], rows)}"
    for reference in topic.schemas:
        yield "\n" + _members(reference)


def _partitions(topic: Topic) -> str:
    return f"`{FLEET}`" if topic.partitions == FLEET else str(topic.partitions)


def _kept(configs: Configs) -> str:
    if configs.retention_ms == FOR_EVER:
        last = configs.cleanup_policy == "compact"
        return "the last of each key, for ever" if last else "for ever"
    return f"{configs.retention_ms // _DAY_MS} days"


def _schema(reference: SchemaReference) -> str:
    link = f"[`{reference.resource}`](../../topics/schemas/{reference.resource})"
    return f"{reference.describes} version {reference.version}, {reference.compatibility}: {link}"


def _members(reference: SchemaReference) -> str:
    """The members that the schema names; `required` ones are marked."""
    path = Path(topics_dir()) / "schemas" / reference.resource
    schema = json.loads(path.read_text(encoding="utf-8"))
    required = set(schema.get("required", ()))
    rows = [
        [f"`{name}`", "yes" if name in required else "no", flat(member.get("description"))]
        for name, member in schema["properties"].items()
    ]
    return f"{reference.describes.capitalize()}, version {reference.version}:\n\n" + table(
        [code([schema["title"]]), "required", "meaning"], rows
    )
