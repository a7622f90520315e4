"""Our worker with the personal fields left unsealed: what sealing costs, in the benchmark only.

Flattening, precedence, hashing, segments, subject objects, state and changelog stay; key
derivation, salts, disclosures and encryption go. Such an archive does not verify; it is
thrown away.
"""

from __future__ import annotations

import os
import sys
from hashlib import sha256

import msgspec

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
    ingested = self._ingested(timestamp)
    pub = msgspec.json.encode(self._pub([], event, offset, ingested, revision, before, origin))
    integrity = sha256(pub)
    hashed = integrity.hexdigest().encode()
    line = b'{"integrity_hash":"sha256:%b","pii":null,"pub":%b}\n' % (hashed, pub)
    return line, integrity.digest(), NO_TAG


if __name__ == "__main__":
    if os.environ.get("AUDIT_BENCH_NO_SEAL") != "1":
        sys.exit(_REFUSAL)
    RecordSealer.seal = unsealed  # type: ignore[method-assign]
    run()
