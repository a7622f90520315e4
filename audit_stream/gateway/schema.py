"""The OpenAPI descriptions of requests and answers, where they say more than the code can."""

from __future__ import annotations

from typing import Any

from audit_stream.gateway.answer import RECORD
from audit_stream.gateway.problems import MEDIA_TYPE, TITLES
from audit_stream.gateway.query import LONGEST, MOST, USUAL

_TEXT = {"type": "string", "minLength": 1, "maxLength": LONGEST}
_NULLABLE = {"type": ["string", "null"]}
_DESCRIPTIONS = {
    "message_uuid": "The platform's message id.",
    "customer_external_id": "The customer's id; alone it gives a page of messages.",
    "carrier_message_id": "The carrier's message id.",
    "platform_tenant_id": "The tenant; needed where the token is bound to several.",
    "cursor": "Of the page before.",
}
_FIELDS: dict[str, Any] = {
    name: {**_TEXT, "description": text} for name, text in _DESCRIPTIONS.items()
} | {"limit": {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL}}

PARAMETERS: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in _FIELDS.items()
    ],
    "security": [{"bearer": []}],
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {
            "type": "object", "properties": _FIELDS, "additionalProperties": False,
            "minProperties": 1,
        }}},
    },
    "security": [{"bearer": []}],
}  # fmt: skip
_AS_OF = {
    "type": ["object", "null"],
    "properties": {
        "size": {"type": "integer"}, "root": {"type": "string"}, "time": {"type": "string"},
        "anchored": {"type": "boolean"}, "anchored_size": {"type": ["integer", "null"]},
    },
}  # fmt: skip
_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["status", "verification_timestamp", "as_of", "signature"],
    "properties": {
        "status": {"const": "verified"},
        "audit_record": {
            "type": "object", "required": list(RECORD), "additionalProperties": False,
            "properties": dict.fromkeys(RECORD, _NULLABLE),
        },
        "verification_timestamp": {"type": "string", "format": "date-time"},
        "history": {"type": "array", "items": {"type": "object"}},
        "messages": {"type": "array", "items": {"type": "object"}},
        "cursor": _NULLABLE,
        "conflict": {"type": "boolean"},
        "as_of": _AS_OF,
        "assurance": {"enum": ["mutable", "worm_unlocked", "worm_locked"]},
        "redaction": {"type": ["object", "null"]},
        "signature": {"type": "string", "description": "Detached JWS over JCS of the rest."},
    },
}  # fmt: skip
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "detail": {"type": "string"}, "as_of": _AS_OF, "archived_through": {"type": "object"},
        "failed": {"type": "string"}, "signature": {"type": "string"},
    },
}  # fmt: skip


def _responses(*problems: int, good: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    found: dict[int | str, dict[str, Any]] = {
        200: {"description": "Good", "content": {"application/json": {"schema": good}}}
    }
    for status in problems:
        content = {MEDIA_TYPE: {"schema": _PROBLEM}}
        found[status] = {"description": TITLES[status], "content": content}
    return found


LOOK_UP = _responses(400, 401, 403, 404, 409, 429, 500, 503, good=_ANSWER)
SEARCH = _responses(400, 401, 403, 404, 409, 413, 415, 429, 500, 503, good=_ANSWER)
BUNDLE = _responses(400, 401, 403, 404, 409, 413, 415, 429, 500, 503, good={})
BUNDLE[200] = {
    "description": "The bundle",
    "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
}
KEYS = _responses(500, good={"type": "object", "required": ["keys"]})
