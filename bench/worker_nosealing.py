"""Our worker with the personal fields left unsealed: what sealing costs, in the benchmark only.

Flattening, precedence, hashing, segments, subject objects, state and changelog stay; key
derivation, salts, disclosures and encryption go. Such an archive does not verify; it is
thrown away.
"""

from __future__ import annotations

import os
import sys
from hashlib import sha256

import orjson

from audit_stream.cli.main import run
from audit_stream.flatten.event import Event
from audit_stream.privacy.sealer import RecordSealer
from audit_stream.privacy.subject_object import NO_TAG

_REFUSAL = "the benchmark's worker without sealing: set AUDIT_BENCH_NO_SEAL=1 to mean it"


def unsealed(
    self: RecordSealer,
    event: Event,
    offset: int,
    timestamp: int,
    revision: int,
    before: int | None,
    origin: str | None,
) -> tuple[bytes, bytes, bytes]:
    """As `RecordSealer.seal`, without the personal part."""
    pub = orjson.dumps(
        {
            "audit_id": event.audit_id,
            "carrier_error_code": event.carrier_error_code,
            "carrier_message_id": event.carrier_message_id,
            "carrier_receipt_timestamp": event.carrier_receipt_timestamp,
            "carrier_status": event.carrier_status,
            "communication_type": event.communication_type,
            "delivery_status": event.delivery_status,
            "ingestion_timestamp": self._ingested(timestamp),
            "message_uuid": event.message_uuid,
            "origin": origin,
            "originating_agent_id": event.agent_id,
            "originating_workflow_id": event.workflow_id,
            "platform_tenant_id": event.tenant_id,
            "revision": revision,
            "source": f"{self._source}{offset}",
            "supersedes": None if before is None else f"{self._source}{before}",
        }
    )
    integrity = sha256(pub)
    hashed = integrity.hexdigest().encode()
    line = b'{"integrity_hash":"sha256:%b","pii":null,"pub":%b}\n' % (hashed, pub)
    return line, integrity.digest(), NO_TAG


if __name__ == "__main__":
    if os.environ.get("AUDIT_BENCH_NO_SEAL") != "1":
        sys.exit(_REFUSAL)
    RecordSealer.seal = unsealed  # type: ignore[method-assign]
    run()
