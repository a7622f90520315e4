"""A raw event's bytes -> judged and flat, in the order formats.md section 1 lays down.

`read_event` covers the judgement up to (not including) the key and precedence. It is total: any
bytes give one of three answers, and no exception.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import orjson

from audit_stream.flatten.common import read_common
from audit_stream.flatten.status_map import INTERMEDIATE, StatusMap

#: Larger values are quarantined unread. The broker's own default limit, which is for a compressed
#: batch, though; a constant, because a disposition must not depend on a setting.
MAX_VALUE_BYTES = 1_048_576
#: The standard library's parser recurses, so how deep it gets depends on the caller's stack; a
#: disposition must not, so this is far below what any caller leaves it.
MAX_UNCOMMON_DEPTH = 400
MAX_TEXT = 256  # characters
MAX_ERROR_CODE = 128  # characters
#: Shorter personal values (a "12") would match clear fields by chance.
MIN_LEAK_LENGTH = 5

_BAD_ERROR_CODE = "invalid:error_code"
_REQUIRED = ("id", "message_id", "type", "status", "timestamp", "workflow_id", "tenant.id")
#: A string, or (group 1) an integer that may need more than 64 bits.
_LONG_INTEGER = re.compile(rb'"(?:[^"\\]|\\.)*"|((?<![\d.eE+-])-?\d{19,}(?![\d.eE]))', re.DOTALL)
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Event(msgspec.Struct, frozen=True, gc=False):
    """A valid terminal event, flat. Texts are as received; None where the event has none."""

    audit_id: str
    message_uuid: str
    carrier_message_id: str | None
    communication_type: str
    delivery_status: str
    carrier_status: str
    carrier_receipt_timestamp: str
    carrier_error_code: str | None
    workflow_id: str
    agent_id: str | None
    tenant_id: str
    customer_external_id: str | None
    recipient_address: str | None


class _Tenant(msgspec.Struct, gc=False):
    id: str


class _Recipient(msgspec.Struct, gc=False):
    external_id: str | None = None
    address: str | None = None


class _Common(msgspec.Struct, gc=False):
    """A raw event as platforms send nearly all of them; any other is read by the long way."""

    id: str
    message_id: str
    type: str
    status: str
    timestamp: str
    workflow_id: str
    tenant: _Tenant
    recipient: _Recipient
    carrier_message_id: str | None = None
    error_code: str | None = None
    agent_id: str | None = None
    reasons: Any = None


_decode_common = msgspec.json.Decoder(_Common).decode
#: Between the joined clear fields; a personal value that holds it goes the long way.
_BETWEEN = "|"


class Rejected(Exception):
    """Carries the quarantine reason; reasons are a bounded set and hold no event data."""


def read_event(value: bytes | None, status_map: StatusMap) -> Event | str | None:
    """An `Event` when valid, None when intermediate, else the reason for quarantine."""
    common = read_common(value, status_map.answers, Event)
    return read_typed(value, status_map) if common is NotImplemented else common


def read_typed(value: bytes | None, status_map: StatusMap) -> Event | str | None:
    """As `read_event`, by a typed decode: any text, and where nothing is compiled."""
    if value is None:
        return "not-an-object"
    if len(value) > MAX_VALUE_BYTES:
        return "too-large"
    if b"\\" not in value and (len(value) <= 2 * MAX_UNCOMMON_DEPTH or not _may_be_deep(value)):
        try:
            if not value.isascii():
                value.decode()  # the decoder does not look into what it passes over
            common = _decode_common(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return read_exactly(value, status_map)
        if common.reasons is None:
            mapped = status_map.look_up_plain(common.status, common.error_code)
            if mapped is INTERMEDIATE:
                return None
            if mapped is not None:
                event = _flatten_common(common, mapped)
                if event is not None:
                    return event
    return read_exactly(value, status_map)


def _flatten_common(raw: _Common, mapped: str) -> Event | None:
    """The event if it is valid beyond doubt, in a few C calls; None leaves it to the long way.

    A join that is printable and no longer than one text may be has only valid parts.
    """
    status = raw.status
    audit_id, message_uuid, kind, stamp = raw.id, raw.message_id, raw.type, raw.timestamp
    workflow, tenant_id = raw.workflow_id, raw.tenant.id
    carrier_id, code, agent = raw.carrier_message_id, raw.error_code, raw.agent_id
    external, address = raw.recipient.external_id, raw.recipient.address
    if not (audit_id and message_uuid and kind and status and stamp and workflow and tenant_id):
        return None
    if carrier_id == "" or agent == "":
        return None
    clear = _BETWEEN.join(
        (audit_id, message_uuid, kind, status, mapped, stamp, workflow, tenant_id,
         carrier_id or "", code or "", agent or "")
    )  # fmt: skip
    if len(clear) > MAX_TEXT or not clear.isprintable() or (code and len(code) > MAX_ERROR_CODE):
        return None
    for personal in (external, address):
        if personal:
            if len(personal) > MAX_TEXT or not personal.isprintable() or _BETWEEN in personal:
                return None
            if personal in clear and len(personal) >= MIN_LEAK_LENGTH:
                return None
    return Event(
        audit_id, message_uuid, carrier_id, kind, mapped, status, stamp, code, workflow, agent,
        tenant_id, external, address,
    )  # fmt: skip


def read_exactly(value: bytes, status_map: StatusMap) -> Event | str | None:
    """The long way: every case, with its reason. The shorter ones must agree with it."""
    try:
        raw = orjson.loads(value)
    except orjson.JSONDecodeError:
        return _read_uncommon(value, status_map)
    if type(raw) is not dict:
        return "not-an-object"
    judged = _judge(raw, status_map)
    if judged == _BAD_ERROR_CODE and type(raw["error_code"]) is float:
        return _read_long_code(value, raw, status_map)
    return judged


def _read_long_code(value: bytes, raw: dict[str, Any], status_map: StatusMap) -> Event | str | None:
    """orjson makes a float of an integer that needs more than 64 bits; the code may be one."""
    quoted = orjson.loads(_LONG_INTEGER.sub(_quote, value))
    return _judge(raw | {"error_code": quoted["error_code"]}, status_map)


def _quote(match: re.Match[bytes]) -> bytes:
    return b'"%b"' % match[1] if match[1] else match[0]


def _read_uncommon(value: bytes, status_map: StatusMap) -> Event | str | None:
    """What orjson refuses but RFC 8259 allows: numbers beyond a double, and lone surrogates.

    Surrogates make a terminal event invalid; an intermediate one still counts as intermediate.
    """
    try:
        raw = json.loads(value.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return "not-json"
    if type(raw) is not dict:
        return "not-an-object"
    if _is_deep(raw):
        return "not-json"
    judged = _judge(raw, status_map)
    return "invalid:text" if isinstance(judged, Event) and _has_surrogates(raw) else judged


def _has_surrogates(raw: dict[str, Any]) -> bool:
    try:
        json.dumps(raw, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _may_be_deep(value: bytes) -> bool:
    return value.count(b"{") + value.count(b"[") > MAX_UNCOMMON_DEPTH


def _is_deep(raw: dict[str, Any]) -> bool:
    level: list[Any] = [raw]
    for _ in range(MAX_UNCOMMON_DEPTH):
        inner = (v.values() if type(v) is dict else v for v in level if type(v) in (dict, list))
        level = [item for items in inner for item in items]
        if not level:
            return False
    return True


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are not JSON


def _judge(raw: dict[str, Any], status_map: StatusMap) -> Event | str | None:
    status = raw.get("status")
    if type(status) is not str:
        return "status-missing"
    mapped = status_map.look_up(status, raw)
    if mapped is INTERMEDIATE:
        return None
    if mapped is None:
        return "status-unmapped"
    try:
        return _flatten(raw, status, mapped)
    except Rejected as rejected:
        return str(rejected)


def _flatten(raw: dict[str, Any], status: str, mapped: str) -> Event:
    get = raw.get
    tenant, recipient = get("tenant"), get("recipient")
    if type(tenant) is not dict:
        raise Rejected("invalid:tenant.id")
    if type(recipient) is not dict:
        raise Rejected("invalid:recipient")
    required: tuple[Any, ...] = (
        get("id"), get("message_id"), get("type"), status, get("timestamp"), get("workflow_id"),
        tenant.get("id"),
    )  # fmt: skip
    for value, field in zip(required, _REQUIRED, strict=True):
        _text(value, field)
    audit_id, message_uuid, kind, _, stamp, workflow, tenant_id = required
    event = Event(
        audit_id, message_uuid, _optional(get("carrier_message_id"), "carrier_message_id"), kind,
        mapped, status, stamp, _error_code(get("error_code")), workflow,
        _optional(get("agent_id"), "agent_id"), tenant_id,
        _personal(recipient.get("external_id"), "recipient.external_id"),
        _personal(recipient.get("address"), "recipient.address"),
    )  # fmt: skip
    _refuse_leak(event)
    return event


def _text(value: Any, field: str) -> str:
    # isprintable() is C and settles nearly all; the pattern decides the rare rest.
    if (
        type(value) is str
        and 0 < len(value) <= MAX_TEXT
        and (value.isprintable() or not _FORBIDDEN.search(value))
    ):
        return value
    raise Rejected(f"invalid:{field}")


def _optional(value: Any, field: str) -> str | None:
    return None if value is None else _text(value, field)


def _personal(value: Any, field: str) -> str | None:
    """As `_optional`, but empty is allowed: platforms send "" for an unknown customer."""
    return value if value is None or value == "" else _text(value, field)


def _error_code(value: Any) -> str | None:
    if value is None:
        return None
    code = str(value) if type(value) is int else value
    if type(code) is str and len(code) <= MAX_ERROR_CODE and not _FORBIDDEN.search(code):
        return code
    raise Rejected(_BAD_ERROR_CODE)


def _refuse_leak(event: Event) -> None:
    """A clear field that holds the recipient's own address or id would be kept for years."""
    # No field holds a control character, so nothing matches across two fields.
    texts = msgspec.structs.astuple(event)
    clear = "\x00".join([text for text in texts[:11] if text is not None])
    for personal in texts[11:]:
        if personal is not None and len(personal) >= MIN_LEAK_LENGTH and personal in clear:
            raise Rejected("personal-data")
