"""Writing ``audit-redactions``: the certificates of erasures, as they stand in the register."""

from __future__ import annotations

from collections.abc import Sequence

from audit_stream.evidence.register import Entry
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.writing import write_records

TOPIC = "audit-redactions"
_SECONDS_EACH, _SECONDS = 0.1, 30.0


async def publish_certificates(connection: KafkaConnection, entries: Sequence[Entry]) -> None:
    """Write each certificate's line, keyed by the archive's name. Again is harmless: who reads
    them tells them apart by `number`. `BrokerError`, `TopicError`."""
    records = [(entry.archive.encode(), entry.line()) for entry in entries]
    limit = _SECONDS + _SECONDS_EACH * len(records)
    await write_records(connection, TOPIC, records, limit=limit)
