"""Each receiver gets what its documentation asks for, whatever stands in an alarm."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest

from audit_stream.telemetry.alarm import Alarm, State
from audit_stream.telemetry.shapes import Shape, body, dedup_key
from tests.support import vendor_schemas

ROOT = Path(__file__).parents[3]
KEY = "0123456789abcdef0123456789ABCDEF"
SCHEMAS: dict[Shape, dict[str, Any]] = {
    "generic": json.loads((ROOT / "topics/schemas/audit-ops-events.v1.schema.json").read_bytes()),
    "slack": vendor_schemas.SLACK,
    "teams": vendor_schemas.TEAMS,
    "pagerduty": vendor_schemas.PAGERDUTY,
}
OPENED = Alarm(
    key="breaker:archive", state="open", severity="critical", worker="worker-0", at=1733045400.25,
    summary="archive is failing, writing waits: the store refused (check the proxy)",
)  # fmt: skip
CLOSED = replace(OPENED, state="closed", summary="archive works again", at=1733046000.0)
NASTY = "<!channel> & [a](http://b) *bold* _it_ {{DATE(x)}} :skull: \udcff \x00 日本 "


def shaped(shape: Shape, alarm: Alarm, archive: str = "audit") -> dict[str, Any]:
    return body(shape, alarm, archive=archive, routing_key=KEY)


def texts(value: Any) -> str:
    """Everything a person would read."""
    return json.dumps(value, ensure_ascii=False)


def test_there_is_a_schema_for_each_shape() -> None:
    assert set(SCHEMAS) == set(get_args(Shape))


@pytest.mark.parametrize("shape", get_args(Shape))
@pytest.mark.parametrize("state", get_args(State))
@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
@pytest.mark.parametrize(
    ("key", "summary", "archive"),
    [
        ("breaker:archive", "down", "audit"),
        ("no-colon", "", "a" * 128),
        ("AS-4001:" + "t" * 249 + "/99999", "&" * 5000, "a" * 128),
        (NASTY, NASTY * 100, "größe"),
    ],
)
def test_a_message_is_as_its_receiver_documents_it(
    shape: Shape, state: State, severity: str, key: str, summary: str, archive: str
) -> None:
    alarm = replace(OPENED, state=state, severity=severity, key=key, summary=summary)
    message = shaped(shape, alarm, archive)
    jsonschema.Draft202012Validator(SCHEMAS[shape]).validate(message)
    assert len(json.dumps(message).encode()) < vendor_schemas.TEAMS_BYTES


@pytest.mark.parametrize("shape", ["generic", "slack", "teams"])
def test_a_person_reads_what_where_and_when(shape: Shape) -> None:
    for alarm in (OPENED, CLOSED):
        read = texts(shaped(shape, alarm))
        for fact in (alarm.key, alarm.summary, alarm.worker, alarm.document()["time"]):
            assert fact in read
    assert texts(shaped(shape, OPENED)) != texts(shaped(shape, CLOSED))


def test_the_generic_form_is_the_topics_record() -> None:
    assert shaped("generic", OPENED) == {
        "key": "breaker:archive", "state": "open", "severity": "critical",
        "summary": OPENED.summary, "time": "2024-12-01T09:30:00.250Z",
        "v": "audit-ops-event/1", "worker": "worker-0",
    }  # fmt: skip


def test_nothing_in_slack_can_call_a_channel_or_make_a_link() -> None:
    message = shaped("slack", replace(OPENED, summary="<!channel> a & b"))
    assert "<!channel>" not in texts(message)
    assert message["blocks"][1]["text"] == {
        "type": "plain_text", "text": "&lt;!channel&gt; a &amp; b", "emoji": False,
    }  # fmt: skip


@pytest.mark.parametrize("length", range(2990, 3001))
def test_a_cut_never_leaves_half_an_entity(length: int) -> None:
    # 5 characters each when escaped, after so many others
    alarm = replace(OPENED, summary="x" * (length - 2700) + "&" * 700)
    jsonschema.Draft202012Validator(SCHEMAS["slack"]).validate(shaped("slack", alarm))


def test_teams_shows_every_character_as_it_is() -> None:
    (attachment,) = shaped("teams", replace(OPENED, summary="*a* _b_ [c](d)"))["attachments"]
    kinds = {block["type"] for block in attachment["content"]["body"]}
    assert kinds == {"RichTextBlock"}  # a TextBlock would read Markdown
    assert "*a* _b_ [c](d)" in texts(attachment)


def test_pagerduty_is_triggered_and_resolved_under_one_key() -> None:
    trigger, resolve = shaped("pagerduty", OPENED), shaped("pagerduty", CLOSED)
    assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
    assert trigger["dedup_key"] == resolve["dedup_key"] == "audit/breaker:archive"
    payload = trigger["payload"]
    assert (payload["class"], payload["component"], payload["group"]) == (
        "breaker", "archive", "audit",
    )  # fmt: skip
    assert payload["summary"] == OPENED.summary
    assert payload["custom_details"] == OPENED.document()


def test_workers_share_a_dedup_key_and_installations_do_not() -> None:
    other = replace(OPENED, worker="worker-1", at=1.0, summary="other words")
    assert shaped("pagerduty", OPENED)["dedup_key"] == shaped("pagerduty", other)["dedup_key"]
    assert dedup_key("test", OPENED.key) != dedup_key("production", OPENED.key)


def test_long_keys_stay_apart_when_shortened() -> None:
    keys = {dedup_key("a" * 128, "k" * 200 + str(number)) for number in range(100)}
    assert len(keys) == 100
    assert max(map(len, keys)) <= 255
    assert dedup_key("a" * 128, "k" * 126) == "a" * 128 + "/" + "k" * 126  # 255: whole
