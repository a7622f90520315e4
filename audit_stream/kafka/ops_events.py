"""Writing ``audit-ops-events``: alarms, over a producer that shares nothing with the pipeline's."""

from __future__ import annotations

from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.writing import REQUEST_MS, write_records

TOPIC = "audit-ops-events"
_REQUEST_MS = REQUEST_MS


async def write_event(connection: KafkaConnection, key: str, value: bytes) -> None:
    """Write one record, within ten seconds. `BrokerError`, `TopicError` as `write_records`."""
    record = (key.encode("utf-8", "replace"), value)
    await write_records(connection, TOPIC, [record], request_ms=_REQUEST_MS)
