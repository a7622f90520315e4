"""The guide to Genesys Cloud: its events, through its adapter and its map, give its table."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

from audit_stream.flatten.event import Event, read_event
from audit_stream.flatten.status_map import StatusMap
from audit_stream.kafka.topics import topics_dir
from audit_stream.stream.rekey import message_key

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
GUIDE = (HOW_TO / "connect-genesys-cloud.md").read_text(encoding="utf-8")
EVENTS = sorted((HOW_TO / "genesys" / "events").glob("*.json"))
MAP = StatusMap.parse((HOW_TO / "genesys" / "status-map.json").read_bytes())
SHIPPED = StatusMap.parse((topics_dir() / "status-map.v1.json").read_bytes())
ORGANISATION = "11111111-2222-4333-8444-555555555555"


def _adapter() -> Any:
    spec = importlib.util.spec_from_file_location("normalise", HOW_TO / "genesys" / "normalise.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _raw() -> Iterator[tuple[str, dict[str, Any]]]:
    normalise = _adapter().normalise
    for path in EVENTS:
        for event in normalise(json.loads(path.read_bytes()), ORGANISATION):
            yield path.name, event


def _judged(event: dict[str, Any], status_map: StatusMap = MAP) -> Event | str | None:
    return read_event(json.dumps(event).encode(), status_map)


def _said(judged: Event | str | None) -> str:
    if isinstance(judged, Event):
        return judged.delivery_status
    return "intermediate" if judged is None else f"quarantined: {judged}"


def test_each_event_becomes_what_the_guide_says() -> None:
    shown = re.findall(r"^\| `([a-z-]+\.json)` \| `([^`]+)` \| ([^|]+) \|$", GUIDE, re.MULTILINE)
    found = [(name, event["status"], _said(_judged(event))) for name, event in _raw()]
    assert sorted(shown) == sorted(found)
    assert {name for name, _ in _raw()} == {path.name for path in EVENTS}


def test_what_is_valid_has_the_declared_shape_and_a_key() -> None:
    schema = json.loads(
        (topics_dir() / "schemas" / "outbound_status_update.v1.schema.json").read_bytes()
    )
    for _, event in _raw():
        jsonschema.validate(event, schema)
        assert message_key(json.dumps(event).encode()) == event["message_id"].encode()
        assert event["tenant"] == {"id": ORGANISATION}


def test_the_words_of_genesys_itself_are_in_the_shipped_map() -> None:
    own = [event for _, event in _raw() if not re.search("call-|-interim|handed", event["status"])]
    assert own
    for event in own:
        assert _said(_judged(event, SHIPPED)) == _said(_judged(event))


def test_inbound_messages_are_left_out_and_reasons_are_kept() -> None:
    events = [event for _, event in _raw()]
    assert "received" not in {event["status"] for event in events}
    assert {"RecipientOptedOut", "MessageExpired"} <= {event.get("error_code") for event in events}


def test_the_same_event_twice_is_the_same_event() -> None:
    assert list(_raw()) == list(_raw())


def test_the_command_prints_lines_to_import() -> None:
    done = subprocess.run(
        [sys.executable, str(HOW_TO / "genesys" / "normalise.py"), *map(str, EVENTS)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == len(list(_raw()))
    assert all(json.loads(line)["message_id"] for line in done.stdout.splitlines())
