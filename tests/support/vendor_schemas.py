"""What the receivers' own documentation asks of a message, as JSON Schema."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string", "minLength": 1}

#: docs.slack.dev: "Sending messages using incoming webhooks"; Block Kit reference of the header
#: (150 characters), section and context blocks; "Text object" (1 to 3,000 characters, `emoji` of
#: plain_text only); at most 50 blocks; "Formatting message text": &, < and > are control
#: characters and come as entities.
_SLACK_PLAIN: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "text"],
    "properties": {
        "type": {"const": "plain_text"},
        "text": {
            "type": "string", "minLength": 1, "maxLength": 3000,
            "pattern": "^([^&<>]|&(amp|lt|gt);)*$",
        },
        "emoji": {"type": "boolean"},
    },
}  # fmt: skip


def _block(kind: str, **members: Any) -> dict[str, Any]:
    return {
        "type": "object", "additionalProperties": False, "required": ["type", *members],
        "properties": {"type": {"const": kind}, **members},
    }  # fmt: skip


SLACK: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["text"],
    "properties": {
        "text": {"type": "string", "pattern": "^([^&<>]|&(amp|lt|gt);)*$", "maxLength": 40_000},
        "blocks": {
            "type": "array", "minItems": 1, "maxItems": 50,
            "items": {"oneOf": [
                _block("header", text={
                    "allOf": [_SLACK_PLAIN, {"properties": {"text": {"maxLength": 150}}}],
                }),
                _block("section", text=_SLACK_PLAIN),
                _block("context", elements={
                    "type": "array", "minItems": 1, "maxItems": 10, "items": _SLACK_PLAIN,
                }),
            ]},
        },
    },
}  # fmt: skip

#: learn.microsoft.com: "Create and send messages" for Workflows (an array of attachments with
#: Adaptive Cards), "Microsoft Teams" connector (request body of the webhook trigger); the Adaptive
#: Cards schema explorer of AdaptiveCard, RichTextBlock and TextRun (both since 1.2).
_TEXT_RUN: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "text"],
    "properties": {
        "type": {"const": "TextRun"},
        "text": _TEXT,
        "color": {
            "enum": ["default", "dark", "light", "accent", "good", "warning", "attention"]
        },
        "size": {"enum": ["default", "small", "medium", "large", "extraLarge"]},
        "weight": {"enum": ["default", "lighter", "bolder"]},
        "fontType": {"enum": ["default", "monospace"]},
        "isSubtle": {"type": "boolean"},
        "italic": {"type": "boolean"},
    },
}  # fmt: skip
_CARD: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "version", "body"],
    "properties": {
        "$schema": {"const": "http://adaptivecards.io/schemas/adaptive-card.json"},
        "type": {"const": "AdaptiveCard"},
        "version": {"enum": ["1.2", "1.3", "1.4"]},
        "msteams": {"additionalProperties": False, "properties": {"width": {"const": "Full"}}},
        "body": {
            "type": "array", "minItems": 1,
            "items": _block("RichTextBlock", inlines={
                "type": "array", "minItems": 1, "items": _TEXT_RUN,
            }),
        },
    },
}  # fmt: skip
TEAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "attachments"],
    "properties": {
        "type": {"const": "message"},
        "attachments": {
            "type": "array", "minItems": 1, "maxItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["contentType", "content"],
                "properties": {
                    "contentType": {"const": "application/vnd.microsoft.card.adaptive"},
                    "contentUrl": {"type": "null"},
                    "content": _CARD,
                },
            },
        },
    },
}  # fmt: skip
TEAMS_BYTES = 28 << 10  # largest message

#: developer.pagerduty.com: "Send an Alert Event" (parameters, examples), "Events API v2 Overview"
#: (PD-CEF: the timestamp is ISO 8601).
_KEY = {"type": "string", "minLength": 32, "maxLength": 32}
_DEDUP = {"type": "string", "minLength": 1, "maxLength": 255}
PAGERDUTY: dict[str, Any] = {
    "type": "object",
    "oneOf": [
        {
            "additionalProperties": False,
            "required": ["routing_key", "event_action", "dedup_key", "payload"],
            "properties": {
                "routing_key": _KEY,
                "event_action": {"const": "trigger"},
                "dedup_key": _DEDUP,
                "client": _TEXT,
                "client_url": _TEXT,
                "payload": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["summary", "source", "severity"],
                    "properties": {
                        "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                        "source": _TEXT,
                        "severity": {"enum": ["critical", "error", "warning", "info"]},
                        "timestamp": {
                            "type": "string",
                            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d{4})$",
                        },
                        "component": _TEXT,
                        "group": _TEXT,
                        "class": _TEXT,
                        "custom_details": {"type": "object"},
                    },
                },
            },
        },
        {
            "additionalProperties": False,
            "required": ["routing_key", "event_action", "dedup_key"],
            "properties": {
                "routing_key": _KEY,
                "event_action": {"enum": ["acknowledge", "resolve"]},
                "dedup_key": _DEDUP,
            },
        },
    ],
}
