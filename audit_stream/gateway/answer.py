"""What the API says of a message: pure, from proven revisions to plain values.

`audit_record` is the effective revision; its members and their names are the API's promise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit_stream.archive.opening import Closed
from audit_stream.evidence.segment import lowest_assurance
from audit_stream.index.lookup import Message, Revision

KEYS = "/.well-known/jwks.json"
BUNDLE = "/api/v1/audit/evidence"
#: How far each topic is archived: its partitions with the first offset that is not.
Through = Mapping[str, Sequence[Mapping[str, int]]]
#: Members of `audit_record`, in the API's order; the second is opened, the last is beside `pub`.
RECORD = (
    "audit_id", "message_uuid", "customer_external_id", "communication_type", "delivery_status",
    "carrier_receipt_timestamp", "carrier_error_code", "originating_workflow_id",
    "originating_agent_id", "regulatory_tag", "platform_tenant_id", "ingestion_timestamp",
    "integrity_hash",
)  # fmt: skip
_PERSONAL = {
    None: "opened", Closed.ERASED: "erased", Closed.UNLINKED: "needs the customer's id",
    Closed.ANOTHERS: "another customer's", Closed.SHREDDED: "its year's key was destroyed",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class AsOf:
    """The archive log as the answer was made; `anchored_size`: the newest that anyone outside
    vouches for, None if nobody does."""

    size: int
    root: str
    time: str
    anchored_size: int | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "size": self.size, "root": self.root, "time": self.time,
            "anchored": self.anchored_size is not None, "anchored_size": self.anchored_size,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """How far the archive was known before it was looked into: what came since may not be in an
    answer, so none says that it is."""

    as_of: AsOf | None
    through: Through

    def state(self) -> dict[str, Any]:
        """The members `as_of` and `archived_through`, of everything."""
        as_of = None if self.as_of is None else self.as_of.document()
        return {"as_of": as_of, "archived_through": self.through}

    def logged(self, leaf_index: int | None) -> int | None:
        """Where a leaf stands in that log; None: it was not logged yet."""
        size = 0 if self.as_of is None else self.as_of.size
        return leaf_index if leaf_index is not None and leaf_index < size else None


def answer(
    message: Message, *, now: str, known: Known, leaf_index: Mapping[str, int | None],
    redaction: Mapping[str, Any] | None,
) -> dict[str, Any]:  # fmt: skip
    """The body without its signature. `leaf_index` and `redaction` as `described`."""
    topics = {each.record.pub["source"].partition("/")[0] for each in message.revisions}
    return {
        **described(message, leaf_index, redaction),
        "status": "verified",
        "verification_timestamp": now,
        **known.state(),
        "archived_through": {
            topic: known.through[topic] for topic in sorted(topics & known.through.keys())
        },
    }


def described(
    message: Message, leaf_index: Mapping[str, int | None], redaction: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What is said of the message itself, alone or on a page of them. `leaf_index`: by segment
    name, None: not logged yet. `redaction`: of what was erased of it, as `Redacted` has it."""
    return {
        "audit_record": audit_record(message.effective),
        "history": [revision(each, leaf_index[each.segment]) for each in message.revisions],
        "conflict": message.conflict,
        "assurance": lowest_assurance(each.header.assurance for each in message.revisions),
        "evidence": {"bundle": BUNDLE, "keys": KEYS},
        "redaction": redaction,
    }


def disclosable(said: Mapping[str, Any], effective: Revision) -> dict[str, Any]:
    """The same as the payload of an SD-JWT (RFC 9901): the record's own bytes are `pub`, whose
    `_sd` has the digests of the personal fields, which come as disclosures or not at all."""
    record = {**effective.record.pub, "integrity_hash": hash_text(effective)}
    return {**said, "_sd_alg": "sha-256", "audit_record": record}


def audit_record(found: Revision) -> dict[str, Any]:
    """The thirteen members; personal ones are null where they cannot be opened."""
    opened = {"customer_external_id": found.personal.fields.get("customer_external_id")}
    beside = {"integrity_hash": hash_text(found)}
    return {name: {**found.record.pub, **opened, **beside}[name] for name in RECORD}


def revision(found: Revision, leaf_index: int | None) -> dict[str, Any]:
    """One record with what proves it."""
    pub = found.record.pub
    return {
        "revision": pub["revision"], "delivery_status": pub["delivery_status"],
        "carrier_status": pub["carrier_status"],
        "carrier_receipt_timestamp": pub["carrier_receipt_timestamp"],
        "carrier_error_code": pub["carrier_error_code"],
        "ingestion_timestamp": pub["ingestion_timestamp"], "source": pub["source"],
        "supersedes": pub["supersedes"], "integrity_hash": hash_text(found),
        "personal": _PERSONAL[found.closed],
        "evidence": {
            "segment": found.segment, "record_index": found.index, "log_index": leaf_index,
        },
    }  # fmt: skip


def hash_text(found: Revision) -> str:
    """``sha256:`` and the integrity hash, as the record's line has it."""
    return f"sha256:{found.record.integrity_hash.hex()}"
