"""Our worker with the personal fields left unsealed: what sealing costs, in the benchmark only.

Every subject is taken for an erased one. Flattening, precedence, hashing, segments, subject
objects, state and changelog stay; key derivation, salts, disclosures and encryption go.
"""

from __future__ import annotations

import os
import sys

from audit_stream.cli.main import run
from audit_stream.privacy.subjects import KeyDeriver

_REFUSAL = "the benchmark's worker without sealing: set AUDIT_BENCH_NO_SEAL=1 to mean it"


def nobody(self: KeyDeriver, subject: tuple[str, str, str], year: int) -> None:
    """As `KeyDeriver.keys` answers for an erased subject."""


if __name__ == "__main__":
    if os.environ.get("AUDIT_BENCH_NO_SEAL") != "1":
        sys.exit(_REFUSAL)
    KeyDeriver.keys = nobody  # type: ignore[method-assign]
    run()
