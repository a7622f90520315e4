"""What `reconcile --textfile` leaves for node_exporter."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from audit_stream.archive.coverage import Coverage, PartitionCoverage
from audit_stream.cli.reconcile import write_metrics
from audit_stream.errors import ConfigError
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.stores.memory import MemoryWormStore


def coverage() -> Coverage:
    found = Coverage(MemoryWormStore(), TrustedKeys())
    for partition, unexplained in ((0, 2), (1, 1)):
        found.partitions["t", partition] = PartitionCoverage(
            "t", partition, 0, 10, next=7, counts=Counter("aaq"), unexplained=unexplained,
            quarantined={f"t/{partition}/2"},
        )  # fmt: skip
    found.origins = {"t/1/2"}
    return found


def test_the_proof_is_summed_by_topic(tmp_path: Path) -> None:
    write_metrics(coverage(), tmp_path / "audit.prom")
    lines = (tmp_path / "audit.prom").read_text().splitlines()
    assert {
        'audit_reconciled_unexplained_offsets{topic="t"} 3.0',
        'audit_reconciled_unarchived_offsets{topic="t"} 6.0',
        'audit_reconciled_unresolved_offsets{topic="t"} 1.0',
        'audit_reconciled_offsets{disposition="archived",topic="t"} 4.0',
        'audit_reconciled_offsets{disposition="lost",topic="t"} 0.0',
    } <= set(lines)


def test_a_file_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--textfile .*cannot write"):
        write_metrics(coverage(), tmp_path / "gone" / "audit.prom")
