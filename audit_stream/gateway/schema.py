"""The OpenAPI descriptions of requests and answers, where they say more than the code can."""

from __future__ import annotations

from typing import Any

from audit_stream.gateway.answer import RECORD
from audit_stream.gateway.problems import MEDIA_TYPE, TITLES
from audit_stream.gateway.query import LONGEST, MOST, USUAL

_TEXT = {
    "type": "string", "minLength": 1, "maxLength": LONGEST,
    "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
}  # fmt: skip
SD_JWT = "application/sd-jwt"
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
_OPTIONAL = ("customer_external_id", "platform_tenant_id")


def _of(*names: str, needed: str) -> dict[str, Any]:
    return {
        "type": "object", "properties": {name: _FIELDS[name] for name in (needed, *names)},
        "required": [needed], "additionalProperties": False,
    }  # fmt: skip


_ONE = [
    _of("carrier_message_id", *_OPTIONAL, needed="message_uuid"),
    _of(*_OPTIONAL, needed="carrier_message_id"),
]
_PAGES = _of("platform_tenant_id", "cursor", "limit", needed="customer_external_id")


def _body(*forms: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"anyOf": list(forms)}}}
    return {
        "requestBody": {"required": True, "content": content}, "security": [{"bearer": []}],
    }  # fmt: skip


BODY, BUNDLE_BODY = _body(*_ONE, _PAGES), _body(*_ONE)
_TEXT_OUT, _COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
_TIME = {"type": "string", "format": "date-time"}
_HASH = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}


def _object(members: dict[str, Any], *optional: str) -> dict[str, Any]:
    """These members and no other."""
    return {
        "type": "object", "properties": members, "additionalProperties": False,
        "required": [name for name in members if name not in optional],
    }  # fmt: skip


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_PLACE = _object({"generation": _COUNT, "partition": _COUNT, "next": _COUNT})
_THROUGH: dict[str, Any] = {
    "type": "object", "additionalProperties": {"type": "array", "items": _PLACE},
    "description": "By topic: the first offset of each partition that is not here yet.",
}  # fmt: skip
_CANNOT_BE_NULL = dict.fromkeys(RECORD, _TEXT_OUT)
_RECORD = _object({
    **_CANNOT_BE_NULL, "customer_external_id": _NULLABLE, "carrier_error_code": _NULLABLE,
    "originating_agent_id": _NULLABLE, "integrity_hash": _HASH,
})  # fmt: skip
_REVISION = _object({
    "revision": _COUNT, "delivery_status": _TEXT_OUT, "carrier_status": _TEXT_OUT,
    "carrier_receipt_timestamp": _TEXT_OUT, "carrier_error_code": _NULLABLE,
    "ingestion_timestamp": _TIME, "source": _TEXT_OUT, "supersedes": _NULLABLE,
    "integrity_hash": _HASH, "personal": _TEXT_OUT,
    "evidence": _object({
        "segment": _TEXT_OUT, "record_index": _COUNT, "log_index": {"type": ["integer", "null"]},
    }),
})  # fmt: skip
_REDACTION = {
    **_object({
        "erased": {"const": True}, "certificate_id": _NULLABLE,
        "certificates": {
            **_object({"first": _COUNT, "last": _COUNT, "newest_id": _NULLABLE}),
            "type": ["object", "null"],
        },
    }),
    "type": ["object", "null"],
}  # fmt: skip
_MESSAGE = {
    "audit_record": _ref("Record"), "history": {"type": "array", "items": _ref("Revision")},
    "conflict": {"type": "boolean"}, "redaction": _REDACTION,
    "assurance": {"enum": ["mutable", "worm_unlocked", "worm_locked"]},
    "evidence": _object({"bundle": _TEXT_OUT, "keys": _TEXT_OUT}),
}  # fmt: skip
_SIGNED = {
    "as_of": _ref("AsOf"), "archived_through": _THROUGH, "verification_timestamp": _TIME,
    "signature": {"type": "string", "description": "Detached JWS (ES256) over JCS of the rest."},
}  # fmt: skip
_VERIFIED = {"status": {"const": "verified"}, **_SIGNED}
_COMPONENTS: dict[str, Any] = {
    "AsOf": {
        **_object({
            "size": _COUNT, "root": _TEXT_OUT, "time": _TIME, "anchored": {"type": "boolean"},
            "anchored_size": {"type": ["integer", "null"]},
        }),
        "type": ["object", "null"],
    },
    "Record": _RECORD, "Revision": _REVISION, "Answer": _object({**_VERIFIED, **_MESSAGE}),
    "Page": _object({
        **_VERIFIED, "messages": {"type": "array", "items": _object(_MESSAGE)},
        "cursor": _NULLABLE, "redaction": _REDACTION,
    }),
    "Problem": _object({
        "type": _TEXT_OUT, "title": _TEXT_OUT, "status": {"type": "integer"},
        "detail": _TEXT_OUT, **_SIGNED, "failed": _TEXT_OUT, "redaction": _REDACTION,
    }, *_SIGNED, "failed", "redaction"),
}  # fmt: skip
_FOUND = {"oneOf": [_ref("Answer"), _ref("Page")]}
_ANY = (408, 431, 500, 503)  # of every route: a head may be slow or too large, too many may ask


def _responses(*problems: int, kind: str, good: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    found: dict[int | str, dict[str, Any]] = {
        200: {"description": "Good", "content": {kind: {"schema": good}}}
    }
    for status in sorted({*problems, *_ANY}):
        content = {MEDIA_TYPE: {"schema": _ref("Problem")}}
        found[status] = {"description": TITLES[status], "content": content}
    return found


_BODIES = (413, 415)
_LOOKED_UP = (400, 401, 403, 404, 409, 429)
_ZIP = {"type": "string", "format": "binary"}
LOOK_UP = _responses(*_LOOKED_UP, kind="application/json", good=_FOUND)
SEARCH = _responses(*_LOOKED_UP, *_BODIES, kind="application/json", good=_FOUND)
for _found in (LOOK_UP, SEARCH):
    _found[200]["content"][SD_JWT] = {"schema": _TEXT_OUT}
BUNDLE = _responses(*_LOOKED_UP, *_BODIES, kind="application/zip", good=_ZIP)
KEYS = _responses(
    400, kind="application/json",
    good=_object({"keys": {"type": "array", "items": {"type": "object"}}}),
)  # fmt: skip


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """What FastAPI makes of the routes, with what they refer to, and 405 for each path."""
    document["components"] = {
        "schemas": _COMPONENTS, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
    }  # fmt: skip
    refused = {"description": TITLES[405], "content": {MEDIA_TYPE: {"schema": _ref("Problem")}}}
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"]["405"] = refused
    return document
