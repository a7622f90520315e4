"""What the API says of requests to erase and of holds, before it is signed: no tag, nobody's id."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from audit_stream.archive.certificates import Certificate
from audit_stream.erasure.request import Request
from audit_stream.evidence.encoding import b64u
from audit_stream.evidence.hold import Action, HoldEntry
from audit_stream.gateway.counting import Looked
from audit_stream.holds.hold import Hold, State
from audit_stream.holds.standing import LOST


def requested(request: Request) -> dict[str, Any]:
    """A request, without its tags."""
    found = request.found
    certificate = None
    if request.certificate is not None:
        certificate = {"number": request.certificate, "certificate_id": request.certificate_id}
    return {
        "request_ref": request.ref, "kind": request.kind, "basis": request.basis,
        "state": request.state.value, "fields": list(request.fields),
        "found": {
            "records": found.records, "tenants": list(found.tenants), "first": found.first,
            "last": found.last, "spellings": found.variants,
        },
        "requested_by": request.requested_by, "requested_at": request.requested_at,
        "due": request.due, "approved_by": request.approved_by,
        "approved_at": request.approved_at, "held_by": list(request.held_by),
        "epoch": request.epoch, "certificate": certificate,
    }  # fmt: skip


def looked_up(looked: Looked) -> dict[str, Any]:
    """A dry run: numbers, and other spellings by theirs; what they are stands nowhere."""
    found = looked.found
    return {
        "records": found.records, "tenants": list(found.tenants), "first": found.first,
        "last": found.last,
        "spellings": [
            {"number": each.number, "reason": each.reason, "records": each.records,
             "chosen": each.chosen}
            for each in looked.spellings
        ],
        "holds": list(looked.holds), "holds_complete": looked.holds_complete,
    }  # fmt: skip


def certified(certificate: Certificate, log_index: int | None) -> dict[str, Any]:
    """A certificate as it is stored, and where it stands in the archive's log."""
    entry = certificate.entry
    return {
        "number": entry.number, "name": entry.name, "entry": orjson.loads(entry.line()),
        "sig": b64u(entry.signature), "log_index": log_index,
    }  # fmt: skip


def held(hold: Hold | HoldEntry, *, declared: bool | None = None) -> dict[str, Any]:
    """A hold, without tags; `declared`: whether the register has it, None: it was not asked."""
    said = {
        "hold_id": hold.hold_id, "scope": hold.scope.said(), "matter": hold.matter,
        "custodian": hold.custodian, "reason": hold.reason, "declared_by": hold.declared_by,
        "approved_by": hold.approved_by, "declared": declared,
    }  # fmt: skip
    said["state"] = state_of(hold)
    if isinstance(hold, HoldEntry):
        return said | {"since": hold.time, "release": None}
    release = None if hold.release is None else asdict(hold.release)
    return said | {"since": hold.filed_at, "release": release}


def state_of(hold: Hold | HoldEntry) -> str:
    """Of one of which only the register's entry is left: lost, unless it was released."""
    if isinstance(hold, Hold):
        return hold.state.value
    return LOST if hold.action is Action.DECLARED else State.RELEASED.value
