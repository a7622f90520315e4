"""The OpenAPI descriptions of requests and answers, where they say more than the code can."""

from __future__ import annotations

from typing import Any

from audit_stream.gateway.answer import RECORD
from audit_stream.gateway.problems import MEDIA_TYPE, TITLES
from audit_stream.gateway.query import LONGEST, MOST, USUAL

TEXT = {
    "type": "string", "minLength": 1, "maxLength": LONGEST,
    "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]*$",
}  # fmt: skip
SD_JWT = "application/sd-jwt"
NULLABLE = {"type": ["string", "null"]}
_DESCRIPTIONS = {
    "message_uuid": "The platform's message id.",
    "customer_external_id": "The customer's id; alone it gives a page of messages.",
    "carrier_message_id": "The carrier's message id.",
    "platform_tenant_id": "The tenant; needed where the token is bound to several.",
    "cursor": "Of the page before.",
}
_FIELDS: dict[str, Any] = {
    name: {**TEXT, "description": text} for name, text in _DESCRIPTIONS.items()
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


def body(*forms: dict[str, Any]) -> dict[str, Any]:
    """A request's, of one of these forms."""
    content = {"application/json": {"schema": {"anyOf": list(forms)}}}
    return {
        "requestBody": {"required": True, "content": content}, "security": [{"bearer": []}],
    }  # fmt: skip


NOTICE = body({
    "type": "object", "properties": {
        "message_uuids": {"type": "array", "maxItems": MOST, "items": _FIELDS["message_uuid"]},
    }, "additionalProperties": True,
})  # fmt: skip
BODY, BUNDLE_BODY = body(*_ONE, _PAGES), body(*_ONE)
TEXT_OUT, COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
TIME = {"type": "string", "format": "date-time"}
_HASH = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}


def members(named: dict[str, Any], *optional: str) -> dict[str, Any]:
    """These members and no other."""
    return {
        "type": "object", "properties": named, "additionalProperties": False,
        "required": [name for name in named if name not in optional],
    }  # fmt: skip


def ref(name: str) -> dict[str, Any]:
    """To one of the components."""
    return {"$ref": f"#/components/schemas/{name}"}


_PLACE = members({"generation": COUNT, "partition": COUNT, "next": COUNT})
_THROUGH: dict[str, Any] = {
    "type": "object", "additionalProperties": {"type": "array", "items": _PLACE},
    "description": "By topic: the first offset of each partition that is not here yet.",
}  # fmt: skip
_CANNOT_BE_NULL = dict.fromkeys(RECORD, TEXT_OUT)
_RECORD = members({
    **_CANNOT_BE_NULL, "customer_external_id": NULLABLE, "carrier_error_code": NULLABLE,
    "originating_agent_id": NULLABLE, "integrity_hash": _HASH,
})  # fmt: skip
_REVISION = members({
    "revision": COUNT, "delivery_status": TEXT_OUT, "carrier_status": TEXT_OUT,
    "carrier_receipt_timestamp": TEXT_OUT, "carrier_error_code": NULLABLE,
    "ingestion_timestamp": TIME, "source": TEXT_OUT, "supersedes": NULLABLE,
    "integrity_hash": _HASH, "personal": TEXT_OUT,
    "evidence": members({
        "segment": TEXT_OUT, "record_index": COUNT, "log_index": {"type": ["integer", "null"]},
    }),
})  # fmt: skip
_REDACTION = {
    **members({
        "erased": {"const": True}, "certificate_id": NULLABLE,
        "certificates": {
            **members({"first": COUNT, "last": COUNT, "newest_id": NULLABLE}),
            "type": ["object", "null"],
        },
    }),
    "type": ["object", "null"],
}  # fmt: skip
_MESSAGE = {
    "audit_record": ref("Record"), "history": {"type": "array", "items": ref("Revision")},
    "conflict": {"type": "boolean"}, "redaction": _REDACTION,
    "assurance": {"enum": ["mutable", "worm_unlocked", "worm_locked"]},
    "evidence": members({"bundle": TEXT_OUT, "keys": TEXT_OUT}),
}  # fmt: skip
SIGNATURE = {"type": "string", "description": "Detached JWS (ES256) over JCS of the rest."}
_SIGNED = {
    "as_of": ref("AsOf"), "archived_through": _THROUGH, "verification_timestamp": TIME,
    "signature": SIGNATURE,
}  # fmt: skip
_DISPOSED = members({
    "disposal_id": TEXT_OUT, "regulatory_tag": TEXT_OUT, "executed_at": TIME,
    "first": {"type": ["string", "null"], "description": "Time of the first record, and the last."},
    "last": NULLABLE,
})  # fmt: skip
_VERIFIED = {"status": {"const": "verified"}, **_SIGNED}
_COMPONENTS: dict[str, Any] = {
    "AsOf": {
        **members({
            "size": COUNT, "root": TEXT_OUT, "time": TIME, "anchored": {"type": "boolean"},
            "anchored_size": {"type": ["integer", "null"]},
        }),
        "type": ["object", "null"],
    },
    "Record": _RECORD, "Revision": _REVISION, "Answer": members({**_VERIFIED, **_MESSAGE}),
    "Page": members({
        **_VERIFIED, "messages": {"type": "array", "items": members(_MESSAGE)},
        "cursor": NULLABLE, "redaction": _REDACTION,
    }),
    "Problem": members({
        "type": TEXT_OUT, "title": TEXT_OUT, "status": {"type": "integer"},
        "detail": TEXT_OUT, **_SIGNED, "failed": TEXT_OUT, "redaction": _REDACTION,
        "disposed": {"type": "array", "items": _DISPOSED},
    }, *_SIGNED, "failed", "redaction", "disposed"),
}  # fmt: skip
_FOUND = {"oneOf": [ref("Answer"), ref("Page")]}
_ANY = (408, 431, 500, 503)  # of every route: a head may be slow or too large, too many may ask


def responses(
    *problems: int, kind: str, good: dict[str, Any], status: int = 200
) -> dict[int | str, dict[str, Any]]:  # fmt: skip
    """A good answer of this form, and the problems there may be."""
    found: dict[int | str, dict[str, Any]] = {
        status: {"description": "Good", "content": {kind: {"schema": good}}}
    }
    for problem in sorted({*problems, *_ANY}):
        content = {MEDIA_TYPE: {"schema": ref("Problem")}}
        found[problem] = {"description": TITLES[problem], "content": content}
    return found


BODIES = (413, 415)
_LOOKED_UP = (400, 401, 403, 404, 409, 429)
_ZIP = {"type": "string", "format": "binary"}
LOOK_UP = responses(*_LOOKED_UP, kind="application/json", good=_FOUND)
SEARCH = responses(*_LOOKED_UP, *BODIES, kind="application/json", good=_FOUND)
for _found in (LOOK_UP, SEARCH):
    _found[200]["content"][SD_JWT] = {"schema": TEXT_OUT}
BUNDLE = responses(*_LOOKED_UP, *BODIES, kind="application/zip", good=_ZIP)
_REFUSED = members({
    "status": {"const": "refused"}, "legal_hold": {"const": True}, "exempt_by": TEXT_OUT,
    "named": COUNT, "archived": COUNT, "verification_timestamp": TIME, "signature": SIGNATURE,
})  # fmt: skip
DELETION = responses(
    400, 401, 403, 429, *BODIES, kind="application/json", good=_REFUSED, status=202
)  # fmt: skip
KEYS = responses(
    400, kind="application/json",
    good=members({"keys": {"type": "array", "items": {"type": "object"}}}),
)  # fmt: skip


def completed(document: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """What FastAPI makes of the routes, with what they refer to, and 405 for each path."""
    document["components"] = {
        "schemas": {**_COMPONENTS, **more},
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
    }  # fmt: skip
    refused = {"description": TITLES[405], "content": {MEDIA_TYPE: {"schema": ref("Problem")}}}
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"]["405"] = refused
    return document
