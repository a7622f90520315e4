"""Writing ``audit-ops-events``: alarms, over a producer that shares nothing with the pipeline's."""

from __future__ import annotations

from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.writing import LIMIT_SECONDS, REQUEST_MS, write_records

TOPIC = "audit-ops-events"
_LIMIT_SECONDS, _REQUEST_MS = LIMIT_SECONDS, REQUEST_MS


async def write_event(connection: KafkaConnection, key: str, value: bytes) -> None:
    """Write one record, within ten seconds. `BrokerError`, `TopicError` as `write_records`."""
    record = (key.encode("utf-8", "replace"), value)
    await write_records(
        connection, TOPIC, [record], limit=_LIMIT_SECONDS, request_ms=_REQUEST_MS
    )  # fmt: skip
