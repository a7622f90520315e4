"""Schemas say everything about what a topic carries, and the examples match them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from audit_stream.kafka.topics import SchemaReference, Topic, load_topic, topics_dir

TOPICS = topics_dir()
DECLARED = [load_topic(path) for path in sorted(TOPICS.glob("*.yaml"))]
SCHEMA_FILES = sorted((TOPICS / "schemas").glob("*"))
EXAMPLE_FILES = sorted(path for path in (TOPICS / "examples").rglob("*") if path.is_file())


def load(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text("utf-8"))


def references() -> Iterator[tuple[Topic, SchemaReference]]:
    """Every schema version of every topic."""
    for topic in DECLARED:
        for reference in topic.schemas:
            yield topic, reference


def examples(reference: SchemaReference) -> list[Path]:
    """The files a reference names; a name that ends in a slash is a folder."""
    found: list[Path] = []
    for name in reference.examples:
        path = TOPICS / "examples" / name
        found += sorted(path.iterdir()) if name.endswith("/") else [path]
    return found


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every sub-schema that describes a JSON object."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for part in schema.values():
            yield from objects(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from objects(part)


@pytest.mark.parametrize("path", SCHEMA_FILES, ids=lambda path: path.name)
def test_every_schema_is_valid_and_titled_down_to_each_field(path: Path) -> None:
    schema = load(path)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    for part in objects(schema):
        assert part["title"]
        assert part["description"]
        assert isinstance(part["additionalProperties"], bool), part["title"]
        for name, member in part["properties"].items():
            assert member["title"], name
            assert len(member["description"]) > 5, name


def test_versions_of_each_topic_count_from_one() -> None:
    for topic in DECLARED:
        versions = [reference.version for reference in topic.schemas]
        assert versions == list(range(1, len(versions) + 1)), topic.topic
        assert bool(versions) == (topic.encoding != "internal"), topic.topic


def test_the_version_stands_in_the_schema_files_name() -> None:
    for _, reference in references():
        assert reference.resource.endswith(f".v{reference.version}.schema.json")


def test_no_schema_is_missing_and_none_is_an_orphan() -> None:
    named = {reference.resource for _, reference in references()}
    assert named == {path.name for path in SCHEMA_FILES}


def test_no_example_is_missing_and_none_is_an_orphan() -> None:
    named = {path for _, reference in references() for path in examples(reference)}
    assert named == set(EXAMPLE_FILES)


@pytest.mark.parametrize(
    ("topic", "reference"), list(references()), ids=lambda part: getattr(part, "topic", "")
)
def test_every_example_matches_its_schema(topic: Topic, reference: SchemaReference) -> None:
    validator = jsonschema.Draft202012Validator(load(TOPICS / "schemas" / reference.resource))
    found = examples(reference)
    assert found, topic.topic
    for path in found:
        validator.validate(load(path))


@pytest.mark.parametrize(
    ("topic", "reference"), list(references()), ids=lambda part: getattr(part, "topic", "")
)
def test_an_example_without_a_required_field_is_refused(
    topic: Topic, reference: SchemaReference
) -> None:
    schema = load(TOPICS / "schemas" / reference.resource)
    validator = jsonschema.Draft202012Validator(schema)
    example = load(examples(reference)[0])
    assert schema["required"], topic.topic
    for name in schema["required"]:
        assert not validator.is_valid({k: v for k, v in example.items() if k != name}), name


def test_our_own_topics_allow_no_unknown_field() -> None:
    for topic, reference in references():
        schema = load(TOPICS / "schemas" / reference.resource)
        assert schema["additionalProperties"] == (topic.kind in ("raw", "rekeyed")), topic.topic
