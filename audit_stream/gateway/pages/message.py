"""A message's answer as its page shows it. Pure: from the API's document to a template's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit_stream.gateway.pages import words


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One archived status of the message."""

    status: str
    at: str  # by the carrier
    received: str  # by the broker
    carrier: str
    error: str | None
    revision: int
    personal: str
    proof: Mapping[str, Any]  # names and values of what proves it


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the page says of a message."""

    message: str
    tenant: str
    customer: str | None
    status: str
    meaning: str
    at: str
    sentence: str
    conflict: bool
    erased: str | None  # a sentence on the certificate
    facts: Mapping[str, str]
    steps: tuple[Step, ...]
    assurance: str


def shown(answer: Mapping[str, Any]) -> Shown:
    """Of one message's answer, or one of a customer's page."""
    record, history = answer["audit_record"], answer["history"]
    steps = tuple(map(_step, history))
    status = record["delivery_status"]
    return Shown(
        message=record["message_uuid"], tenant=record["platform_tenant_id"],
        customer=record["customer_external_id"], status=words.STATUS[status],
        meaning=words.DISPUTED if answer["conflict"] else words.MEANING[status],
        at=words.moment(record["carrier_receipt_timestamp"]),
        sentence=_sentence(steps), conflict=answer["conflict"],
        erased=certified(answer["redaction"]), facts=_facts(record), steps=steps,
        assurance=words.ASSURANCE[answer["assurance"]],
    )  # fmt: skip


def certified(redaction: Mapping[str, Any] | None) -> str | None:
    """A sentence on the certificate of an erasure; None: nothing was erased."""
    if redaction is None:
        return None
    if redaction["certificate_id"] is not None:
        return f"Redaction certificate {redaction['certificate_id']}."
    found = redaction["certificates"]
    if found is None:
        return "Its redaction certificate is not written yet."
    if found["first"] == found["last"]:
        return f"Redaction certificate number {found['first']}, {found['newest_id']}."
    return (
        f"One of the redaction certificates number {found['first']} to {found['last']}: which one "
        "is stored nowhere, since it would tell whose record this is."
    )


def checked(answer: Mapping[str, Any]) -> list[str]:
    """What was checked before this answer was given, one sentence each."""
    history = answer["history"]
    placed = sum(each["evidence"]["log_index"] is not None for each in history)
    found = [
        "The stored file was read anew just now, and its signature is the archive's.",
        f"The fingerprint (SHA-256) of {words.counted(len(history), 'record')} was computed anew.",
        "Each record stands in the signed list of its file: none was put in or changed.",
    ]
    if any(each["personal"] == "opened" for each in history):
        found.append("The personal fields were decrypted, and are those the record was made with.")
    if placed == len(history):
        found.append("Each file stands in the archive's log, which only grows.")
    else:
        found.append(
            f"{placed} of {words.counted(len(history), 'file')} stand in the archive's log; the "
            "rest is not in it yet, and the log does not vouch for it."
        )
    return found


def is_anchored(answer: Mapping[str, Any]) -> bool | None:
    """Whether what vouches from outside covers every file of the message; None: nobody does."""
    size = (answer["as_of"] or {}).get("anchored_size")
    if size is None:
        return None
    places = [each["evidence"]["log_index"] for each in answer["history"]]
    return all(place is not None and place < size for place in places)


def _step(each: Mapping[str, Any]) -> Step:
    evidence = each["evidence"]
    index = evidence["log_index"]
    return Step(
        status=words.STATUS[each["delivery_status"]],
        at=words.moment(each["carrier_receipt_timestamp"]),
        received=words.moment(each["ingestion_timestamp"]), carrier=each["carrier_status"],
        error=each["carrier_error_code"], revision=each["revision"],
        personal=words.PERSONAL[each["personal"]],
        proof={
            "Fingerprint": each["integrity_hash"], "Source": each["source"],
            "Follows": each["supersedes"] or "nothing: it is the first",
            "File": evidence["segment"], "Record in the file": str(evidence["record_index"]),
            "Place in the log": "not logged yet" if index is None else words.number(index),
        },
    )  # fmt: skip


def _sentence(steps: tuple[Step, ...]) -> str:
    """``Delivered 10 May 2024 14:32:01 UTC, read 10 May 2024 18:40:12 UTC, verified.``"""
    parts = [f"{each.status.lower()} {each.at}" for each in steps]
    text = ", ".join([*parts, "verified."])
    return text[0].upper() + text[1:]


def _facts(record: Mapping[str, Any]) -> dict[str, str]:
    found = {
        "Message": record["message_uuid"], "Tenant": record["platform_tenant_id"],
        "Customer": record["customer_external_id"] or "not shown",
        "Channel": words.channel(record["communication_type"]),
        "Workflow": record["originating_workflow_id"],
        "Agent": record["originating_agent_id"] or "none",
        "Error code": record["carrier_error_code"] or "none",
        "Retention": record["regulatory_tag"], "Audit id": record["audit_id"],
    }  # fmt: skip
    return {name: str(value) for name, value in found.items()}
