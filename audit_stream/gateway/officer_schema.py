"""The OpenAPI descriptions of what officers ask and are told."""

from __future__ import annotations

from typing import Any

from audit_stream.erasure.request import State
from audit_stream.gateway import schema
from audit_stream.gateway.asked import KINDS, MOST_VARIANTS
from audit_stream.gateway.holding import PERSONS
from audit_stream.gateway.query import MOST, USUAL
from audit_stream.holds.hold import State as HoldState

_COUNT, _TEXT, _TIME = schema.COUNT, schema.TEXT_OUT, schema.TIME
_NULLABLE = schema.NULLABLE
REFERENCE = {"type": "string", "pattern": "^[A-Za-z0-9._:#-]{1,64}$"}
_BASIS = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~][ -~]*$"}
BEARER: dict[str, Any] = {"security": [{"bearer": []}]}
_VARIANTS = {
    "type": "array", "maxItems": MOST_VARIANTS,
    "items": {"anyOf": [{"type": "integer", "minimum": 0}, schema.TEXT]},
    "description": "Other spellings to erase, too: by the numbers that a dry run told, or in full.",
}  # fmt: skip


def _asked(kind: str, *, dry_run: bool) -> dict[str, Any]:
    needed = [kind, "dry_run"] if dry_run else [kind, "request_ref", "basis"]
    return {
        "type": "object", "additionalProperties": False, "required": needed, "properties": {
            kind: schema.TEXT, "platform_tenant_id": schema.TEXT, "request_ref": REFERENCE,
            "basis": _BASIS, "variants": _VARIANTS, "dry_run": {"const": dry_run},
        },
    }  # fmt: skip


_FORMS = [_asked(kind, dry_run=dry_run) for kind in KINDS for dry_run in (False, True)]
FILE_BODY = schema.body(*_FORMS)
PAGE_PARAMETERS: dict[str, Any] = BEARER | {"parameters": [
    {"name": "cursor", "in": "query", "required": False, "schema": schema.TEXT},
    {"name": "limit", "in": "query", "required": False,
     "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL}},
]}  # fmt: skip
_PERIOD = {"first": _NULLABLE, "last": _NULLABLE}
_TENANTS = {"type": "array", "items": _TEXT}
_STATES = {"enum": [state.value for state in State]}
_REQUEST = schema.members({
    "request_ref": REFERENCE, "kind": {"enum": list(KINDS)}, "basis": _TEXT, "state": _STATES,
    "fields": _TENANTS,
    "found": schema.members({
        "records": _COUNT, "tenants": _TENANTS, **_PERIOD, "spellings": _COUNT,
    }),
    "requested_by": _TEXT, "requested_at": _TIME, "due": {"type": "string", "format": "date"},
    "approved_by": _NULLABLE, "approved_at": _NULLABLE, "held_by": _TENANTS,
    "epoch": {"type": ["integer", "null"]},
    "certificate": {
        **schema.members({"number": _COUNT, "certificate_id": _TEXT}), "type": ["object", "null"],
    },
})  # fmt: skip
_LOOKED = schema.members({
    "records": _COUNT, "tenants": _TENANTS, **_PERIOD,
    "spellings": {"type": "array", "items": schema.members({
        "number": _COUNT, "reason": _TEXT, "records": _COUNT, "chosen": {"type": "boolean"},
    })},
    "holds": _TENANTS, "holds_complete": {"type": "boolean"},
})  # fmt: skip
_CERTIFICATE = {
    **schema.members({
        "number": _COUNT, "name": _TEXT, "entry": {"type": "object"}, "sig": _TEXT,
        "log_index": {"type": ["integer", "null"]},
    }),
    "type": ["object", "null"],
}  # fmt: skip
COMPONENTS = {"Request": _REQUEST, "DryRun": _LOOKED, "Certificate": _CERTIFICATE}
_ASKED, _SEEN = (400, 401, 403, 404, 409, 422, 429), schema.BODIES


def answered(
    said: dict[str, Any], *problems: int, status: int = 200
) -> dict[int | str, dict[str, Any]]:  # fmt: skip
    """The responses of a route whose good answer has these members and is signed."""
    signed = {**said, "verification_timestamp": _TIME, "signature": schema.SIGNATURE}
    return schema.responses(
        *_ASKED, *problems, kind="application/json", good=schema.members(signed), status=status
    )


_ONE = {"status": _STATES, "request": schema.ref("Request")}
_LOOKED_AT = {
    "status": {"enum": ["looked", *_STATES["enum"]]}, "dry_run": schema.ref("DryRun"),
    "request": {"oneOf": [schema.ref("Request"), {"type": "null"}]},
}  # fmt: skip
FILE = answered({**_ONE, "dry_run": schema.ref("DryRun")}, *_SEEN, status=201)
FILE[200] = answered(_LOOKED_AT)[200]
PAGE = answered({
    "status": {"const": "listed"}, "cursor": _NULLABLE,
    "requests": {"type": "array", "items": schema.ref("Request")},
})  # fmt: skip
SHOW = answered({**_ONE, "certificate": schema.ref("Certificate")})
CHANGED = answered(_ONE)
OPENING = answered({
    "status": {"const": "given"}, "opening": schema.members({
        "hashes": {"type": "array", "items": _TEXT}, "secret": _TEXT, "v": _TEXT,
    }),
})  # fmt: skip

# Holds
_REASON = {"type": "string", "pattern": "^[A-Za-z0-9._:/#-]{1,64}$"}
_ACTOR = {"type": "string", "pattern": "^[A-Za-z0-9._:|-]{1,128}$"}
_ID = {"type": "string", "pattern": "^[A-Za-z0-9._:/#=~|{}-]{1,256}$"}
_RANGE = {
    "type": "string",
    "pattern": "^[A-Za-z0-9._-]{1,249}/(0|[1-9][0-9]{0,9})/(0|[1-9][0-9]{0,9})/"
    "(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,18})$",
    "description": "topic/generation/partition/first-last, both ends included.",
}  # fmt: skip
_WHAT: dict[str, dict[str, Any]] = {
    "customer": schema.TEXT, "address": schema.TEXT, "message": _ID, "workflow": _ID,
    "range": _RANGE,
}  # fmt: skip
_NEEDED = {"matter": _REASON, "custodian": _ACTOR, "reason": _REASON, "approved_by": _ACTOR}


def _declared(what: str, one: dict[str, Any]) -> dict[str, Any]:
    several = {"type": "array", "minItems": 1, "maxItems": MOST, "items": one}
    tenant = {"platform_tenant_id": schema.TEXT} if what in PERSONS else {}
    return {
        "type": "object", "additionalProperties": False, "required": [what, *_NEEDED],
        "properties": {what: {"anyOf": [one, several]}, **tenant, **_NEEDED},
    }  # fmt: skip


HOLD_BODY = schema.body(*(_declared(what, one) for what, one in _WHAT.items()))
RELEASE_BODY = schema.body(schema.members({"reason": _REASON}))
_HOLD_STATES = {"enum": [*(each.value for each in HoldState), "lost"]}
_HOLD = schema.members({
    "hold_id": _TEXT, "state": _HOLD_STATES, "scope": {"type": "object"}, "matter": _TEXT,
    "custodian": _TEXT, "reason": _TEXT, "declared_by": _TEXT, "approved_by": _TEXT,
    "since": _TIME, "declared": {"type": ["boolean", "null"]},
    "release": {
        **schema.members({
            "filed_by": _TEXT, "filed_at": _TIME, "reason": _TEXT, "approved_by": _NULLABLE,
            "approved_at": _NULLABLE,
        }),
        "type": ["object", "null"],
    },
})  # fmt: skip
COMPONENTS["Hold"] = _HOLD
_ONE_HOLD = {"status": _HOLD_STATES, "hold": schema.ref("Hold")}
HELD = answered(_ONE_HOLD, *_SEEN, status=201)
HELD[200] = answered(_ONE_HOLD)[200]
HOLD_CHANGED = answered(_ONE_HOLD, *_SEEN)
ALL_HELD = answered({
    "status": {"const": "listed"}, "holds": {"type": "array", "items": schema.ref("Hold")},
})  # fmt: skip
