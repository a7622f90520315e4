"""The job every peer does, as the Python peers share it; the Java peer does the same.

Parse, pass over what is intermediate or no rise, flatten, hash the flat JSON with SHA-256. What
comes out has the shape of our record line, so that one check reads all contenders' results.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

RANK = {"DELIVERED": 1, "READ": 2, "FAILED": 3, "EXPIRED": 4}
_REGULATORY_TAG = "COMPLIANCE_ARCHIVE_V1"


def rank_of(raw: dict[str, Any]) -> int:
    """1 to 4 for a terminal status, 0 for an intermediate one."""
    return RANK.get(raw["status"], 0)


def record_line(raw: dict[str, Any], timestamp_ms: int) -> bytes:
    """The flat record of a rise with its hash, as one line of JSON."""
    pub = canonical(_flatten(raw, timestamp_ms))
    digest = hashlib.sha256(pub).hexdigest().encode()
    return b'{"integrity_hash":"sha256:%b","pub":%b}' % (digest, pub)


def canonical(pub: dict[str, Any]) -> bytes:
    """JSON with sorted keys and no spaces."""
    return orjson.dumps(pub, option=orjson.OPT_SORT_KEYS)


def _flatten(raw: dict[str, Any], timestamp_ms: int) -> dict[str, Any]:
    recipient = raw["recipient"]
    return {
        "audit_id": raw["id"],
        "carrier_error_code": raw.get("error_code"),
        "carrier_message_id": raw.get("carrier_message_id"),
        "carrier_receipt_timestamp": raw["timestamp"],
        "carrier_status": raw["status"],
        "communication_type": raw["type"],
        "customer_external_id": recipient.get("external_id"),
        "delivery_status": raw["status"],
        "ingestion_timestamp": timestamp_ms,
        "legal_hold": True,
        "message_uuid": raw["message_id"],
        "originating_agent_id": raw.get("agent_id"),
        "originating_workflow_id": raw["workflow_id"],
        "platform_tenant_id": raw["tenant"]["id"],
        "recipient_address": recipient.get("address"),
        "regulatory_tag": _REGULATORY_TAG,
    }
