"""Genesys Cloud's events -> the raw events that audit_stream archives. An example to begin with.

    python normalise.py EVENT.json ... | audit-stream import -

Each file holds one event as Amazon EventBridge delivers it, or one receipt as an Open Messaging
integration has it. Written after the published SDK models and examples, not after a tenant's own
events: compare with yours first. What it does not know it passes on under the word it came with,
which audit_stream quarantines; it leaves out only what is no status of an outbound message.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]
MESSAGES, CALLS = "outbound_message_status_update", "outbound_voice_status_update"
#: Participants that are the other side of an outbound message or call.
RECIPIENTS = ("customer", "external")
#: What the platform says of a message that came in.
INBOUND = "received"


def normalise(event: Json, organisation: str = "") -> Iterator[dict[str, Any]]:
    """The raw events in one event of Genesys Cloud; `organisation`: whose, for a bare receipt."""
    if event.get("type") == "Receipt" or "isFinalReceipt" in event:
        yield _receipt(event, organisation)
        return
    body = event["detail"]["eventBody"]
    # source: aws.partner/genesys.com/cloud/<organisation>/<suffix>
    tenant = event["source"].split("/")[3]
    template = event["detail-type"]
    for participant in body.get("participants", ()):
        if participant.get("purpose") in RECIPIENTS and template.endswith(".calls"):
            yield _call(event, body, participant, tenant)
        elif participant.get("purpose") not in RECIPIENTS:
            yield from _messages(event, body, participant, tenant)


def _messages(event: Json, body: Json, sender: Json, tenant: str) -> Iterator[dict[str, Any]]:
    for message in sender.get("messages", ()):
        if message.get("messageStatus") == INBOUND:
            continue
        message_id = message.get("messageId") or (message.get("message") or {}).get("id")
        yield {
            "id": f"{event['id']}/{message_id}",
            "type": MESSAGES,
            "message_id": message_id,
            "status": message.get("messageStatus"),
            "timestamp": message.get("messageTime") or event["time"],
            "error_code": (message.get("errorInfo") or {}).get("code"),
            "workflow_id": f"conversation:{body['id']}",
            "agent_id": (sender.get("user") or {}).get("id"),
            "recipient": _recipient(body),
            "tenant": {"id": tenant},
        }


def _call(event: Json, body: Json, callee: Json, tenant: str) -> dict[str, Any]:
    """A call: answered or not is inferred, from whether it was ever connected."""
    ended = callee.get("disconnectType")
    status = "call-connected" if callee.get("connectedTime") else f"call-{ended or 'under-way'}"
    agents = [each for each in body["participants"] if each.get("purpose") == "agent"]
    return {
        "id": f"{event['id']}/{callee['id']}",
        "type": CALLS,
        "message_id": callee["id"],
        "status": status,
        "timestamp": callee.get("endTime") or callee.get("connectedTime") or event["time"],
        "error_code": (callee.get("errorInfo") or {}).get("code"),
        "workflow_id": f"conversation:{body['id']}",
        "agent_id": (agents[0].get("user") or {}).get("id") if agents else None,
        "recipient": _recipient(body),
        "tenant": {"id": tenant},
    }


def _receipt(receipt: Json, organisation: str) -> dict[str, Any]:
    """A receipt has its message's id; `isFinalReceipt` says whether it is the last word."""
    channel = receipt.get("channel") or {}
    final = receipt.get("isFinalReceipt", True)
    to = channel.get("to") or {}
    reasons = receipt.get("reasons") or [{}]
    return {
        "id": f"{receipt['id']}/{receipt.get('status')}/{channel.get('time')}",
        "type": MESSAGES,
        "message_id": receipt["id"],
        "carrier_message_id": channel.get("messageId"),
        "status": receipt.get("status") if final else f"{receipt.get('status')}-interim",
        "timestamp": channel.get("time"),
        "error_code": reasons[0].get("code"),
        "workflow_id": f"integration:{channel.get('id') or 'open'}",
        "recipient": {"external_id": None, "address": to.get("id")},
        "tenant": {"id": organisation},
    }


def _recipient(body: Json) -> dict[str, Any]:
    for participant in body.get("participants", ()):
        if participant.get("purpose") in RECIPIENTS:
            contact = participant.get("externalContact") or {}
            return {"external_id": contact.get("id"), "address": participant.get("address")}
    return {"external_id": None, "address": None}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for raw in normalise(json.loads(Path(name).read_bytes()), "your-organisation"):
            sys.stdout.write(json.dumps(raw) + "\n")
