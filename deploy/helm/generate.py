"""Write what values.schema.json says of settings and files; ``--check`` fails when it is stale.

Run it where audit_stream is installed: ``python deploy/helm/generate.py``. The rest of the schema
is written by hand. Settings that the chart sets itself, and secrets, are left out, so nobody can
give them: a secret is a file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, cast

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from audit_stream.posture import Assurance
from audit_stream.settings import Settings

TARGET = Path(__file__).parent / "audit-stream" / "values.schema.json"
#: What the chart sets itself, from where it mounts things and what pods are named.
OWN = {
    "answer_keys", "delivery_name", "delivery_url", "gateway_host", "gateway_port", "index_dir",
    "instance_id", "journal_dir", "keyring", "keyring_views", "state_dir", "web_host", "web_port",
}  # fmt: skip
#: A person's login, never a pod's.
PERSONS = {"azure_cli_login", "s3_profile", "s3_subjects_profile", "s3_secondary_profile"}
#: Groups of settings whose files each pod may be given; the others', or single ones, only the
#: components named. A gateway judges the replies of authorities, and has no business with them.
COMMON = {"Kafka", "Archive and keys", "Azure", "S3", "Alarms"}
FILES = {
    "commonFiles": COMMON,
    "notaryFiles": COMMON | {"Outside anchors"},
    "gatewayFiles": COMMON | {"Gateway", "anchor_tsa_certificates"},
    "deliveryFiles": COMMON | {"Delivery to a SIEM"},
}
_KEYWORDS = {
    "const", "enum", "exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "pattern",
    "type",
}  # fmt: skip


def _fields() -> Iterator[tuple[str, str, FieldInfo]]:
    """Group, name and field of each setting that values may give."""
    for group in Settings.groups():
        for name, field in group.model_fields.items():
            if name not in OWN | PERSONS and SecretStr not in _kinds(field):
                yield str(group.__doc__), name, field


def _kinds(field: FieldInfo) -> set[Any]:
    kind = field.annotation
    return {kind, *getattr(kind, "__args__", ())}


def _is_file(field: FieldInfo) -> bool:
    return Path in _kinds(field)


def settings() -> dict[str, Any]:
    """The settings that are no files, as an object that has no others."""
    known = Settings.model_json_schema()["properties"]
    found = {
        name: _property(name, field, known[name])
        for _, name, field in _fields()
        if not _is_file(field)
    }
    return {"type": "object", "additionalProperties": False, "properties": found}


def _property(name: str, field: FieldInfo, known: dict[str, Any]) -> dict[str, Any]:
    said = {"description": field.description}
    if field.annotation is Assurance:  # its label stands for it
        return {**said, "enum": [level.label for level in Assurance]}
    if "$ref" in known:
        return {**said, "enum": [str(each.value) for each in cast("type[Enum]", field.annotation)]}
    kind = next((each for each in known.get("anyOf", ()) if each["type"] != "null"), known)
    if kind["type"] in {"array", "object"}:  # as in the environment: `a, b` or `a=x, b=y`
        return {**said, "type": "string", "minLength": 1}
    found = {key: value for key, value in kind.items() if key in _KEYWORDS}
    if found["type"] == "string" and not {"enum", "pattern"} & set(found):
        found["minLength"] = 1  # an empty variable counts as none
    return {**said, **found}


def files(allowed: set[str]) -> dict[str, Any]:
    """The settings that name a file, of these groups or names, each given by a Secret or a
    ConfigMap."""
    found = {
        name: {"description": field.description, "$ref": "#/$defs/file"}
        for group, name, field in _fields()
        if allowed & {group, name} and _is_file(field)
    }
    return {"type": "object", "additionalProperties": False, "properties": found}


def generated() -> dict[str, Any]:
    """The definitions that are made here."""
    return {"settings": settings(), **{name: files(allowed) for name, allowed in FILES.items()}}


def main(check: bool) -> int:
    """Write, or compare."""
    text = TARGET.read_text(encoding="utf-8")
    schema = json.loads(text)
    schema["$defs"] |= generated()
    made = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    if not check:
        TARGET.write_text(made, encoding="utf-8")
    return int(made != text)


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(2)
    sys.exit(main("--check" in sys.argv[1:]))
