"""The bodies a webhook is posted, by receiver. Pure: an alarm in, a JSON object out.

generic    the record of ``audit-ops-events``
slack      an incoming webhook's message in blocks (docs.slack.dev, "Sending messages using
           incoming webhooks" and "Block Kit")
teams      a message with one Adaptive Card, as a Workflows webhook takes it (the trigger "When a
           Teams webhook request is received"; learn.microsoft.com/connectors/teams). The older
           connectors and their MessageCard are retired.
pagerduty  Events API v2 (developer.pagerduty.com, "Send an Alert Event")
"""

from __future__ import annotations

import hashlib
import html
import re
from typing import Any, Literal

from audit_stream.telemetry.alarm import Alarm, clip

Shape = Literal["generic", "slack", "teams", "pagerduty"]

_SLACK_HEADER, _SLACK_TEXT = 150, 3000  # characters of a header block, of any other text
_DEDUP_KEY = 255  # characters
_CUT_ENTITY = re.compile(r"&[a-z]*\Z")


def body(shape: Shape, alarm: Alarm, *, archive: str, routing_key: str = "") -> dict[str, Any]:
    """What to post. `archive` names the installation, `routing_key` PagerDuty's integration."""
    match shape:
        case "generic":
            return alarm.document()
        case "slack":
            return _slack(alarm, archive)
        case "teams":
            return _teams(alarm, archive)
        case "pagerduty":
            return _pagerduty(alarm, archive, routing_key)


def _title(alarm: Alarm) -> str:
    return f"🔴 Alarm {alarm.key}" if alarm.state == "open" else f"🟢 Closed: {alarm.key}"


def _facts(alarm: Alarm, archive: str) -> str:
    told = alarm.document()
    return f"{told['severity']} · archive {archive} · {told['worker']} · {told['time']}"


def _slack(alarm: Alarm, archive: str) -> dict[str, Any]:
    summary = alarm.document()["summary"]
    return {
        "text": _escaped(f"{_title(alarm)}: {summary}", _SLACK_TEXT),  # in notifications
        "blocks": [
            {"type": "header", "text": _plain(_title(alarm), _SLACK_HEADER)},
            {"type": "section", "text": _plain(summary)},
            {"type": "context", "elements": [_plain(_facts(alarm, archive))]},
        ],
    }


def _plain(text: str, limit: int = _SLACK_TEXT) -> dict[str, Any]:
    return {"type": "plain_text", "text": _escaped(text, limit), "emoji": False}


def _escaped(text: str, limit: int) -> str:
    """Slack's three control characters as entities: no summary can call a channel or link away."""
    return _CUT_ENTITY.sub("", html.escape(clip(text, limit), quote=False)[:limit])


def _teams(alarm: Alarm, archive: str) -> dict[str, Any]:
    colour = "attention" if alarm.state == "open" else "good"
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": [
            _run(clip(_title(alarm), 300), weight="bolder", size="medium", color=colour),
            _run(alarm.document()["summary"]),
            _run(_facts(alarm, archive), isSubtle=True, size="small"),
        ],
        "msteams": {"width": "Full"},
    }
    kind = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": kind, "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _run(text: str, **style: Any) -> dict[str, Any]:
    """A paragraph: only a text run shows every character as it is, a TextBlock has Markdown."""
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}


def _pagerduty(alarm: Alarm, archive: str, routing_key: str) -> dict[str, Any]:
    event = {"routing_key": routing_key, "dedup_key": dedup_key(archive, alarm.key)}
    if alarm.state == "closed":
        return {**event, "event_action": "resolve"}
    told = alarm.document()
    kind, _, part = told["key"].partition(":")
    return {
        **event,
        "event_action": "trigger",
        "client": "audit-stream",
        "payload": {
            "summary": told["summary"],
            "source": told["worker"],
            "severity": told["severity"],
            "timestamp": told["time"],
            "component": part or kind,
            "group": archive,
            "class": kind,
            "custom_details": told,
        },
    }


def dedup_key(archive: str, key: str) -> str:
    """One alarm of one installation, whoever of its workers says so: at most 255 characters."""
    whole = f"{archive}/{key}"
    if len(whole) <= _DEDUP_KEY:
        return whole
    digest = hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()
    return f"{clip(whole, _DEDUP_KEY - len(digest) - 1)}#{digest}"
