"""Folding a stored segment into states: what the table would hold had this worker sealed it."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from audit_stream.errors import FormatError
from audit_stream.evidence.segment import Segment
from audit_stream.precedence.matrix import RANK, State, table_key

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def timestamp_ms(text: str) -> int:
    """Unix ms of an `ingestion_timestamp`."""
    moment = datetime.fromisoformat(text)
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def states_of(segment: Segment, name: str, below: int | None = None) -> dict[bytes, State]:
    """Table key -> state after the segment, or at the offset `below`; later records win."""
    states: dict[bytes, State] = {}
    for line in segment.record_lines():
        try:
            pub = orjson.loads(line)["pub"]
            key = table_key(segment.header.stream, pub["platform_tenant_id"], pub["message_uuid"])
            offset = int(pub["source"].rpartition("/")[2])
            if below is not None and offset >= below:
                break
            states[key] = State(
                RANK[pub["delivery_status"]], pub["revision"], offset,
                timestamp_ms(pub["ingestion_timestamp"]),
            )  # fmt: skip
        except (KeyError, ValueError, TypeError) as error:
            raise FormatError(
                f"{name} holds a line that is no record", hint="run `audit-stream verify`"
            ) from error
    return states
