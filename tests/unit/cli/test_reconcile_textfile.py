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
        )  # fmt: skip
    return found


def test_the_proof_is_summed_by_topic(tmp_path: Path) -> None:
    write_metrics(coverage(), tmp_path / "audit.prom", proven=True)
    lines = (tmp_path / "audit.prom").read_text().splitlines()
    assert {
        'audit_reconciled_unexplained_offsets{topic="t"} 3.0',
        'audit_reconciled_unarchived_offsets{topic="t"} 6.0',
        'audit_reconciled_unresolved_offsets{topic="t"} 0.0',
        'audit_reconciled_offsets{disposition="archived",topic="t"} 4.0',
        'audit_reconciled_offsets{disposition="lost",topic="t"} 0.0',
    } <= set(lines)


def test_a_file_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--textfile .*cannot write"):
        write_metrics(coverage(), tmp_path / "gone" / "audit.prom", proven=True)


def test_what_is_missing_of_an_older_generation_is_no_less_missing(tmp_path: Path) -> None:
    found = coverage()
    found.older.append(PartitionCoverage(
        "t", 0, 0, 607, next=600, counts=Counter(), unexplained=600,
    ))  # fmt: skip
    write_metrics(found, tmp_path / "audit.prom", proven=True)
    lines = (tmp_path / "audit.prom").read_text().splitlines()
    assert {
        f'audit_reconciled_unexplained_offsets{{topic="t"}} {found.unexplained:.1f}',
        'audit_reconciled_unarchived_offsets{topic="t"} 6.0',
    } <= set(lines)
    assert found.unexplained == 610


@pytest.mark.parametrize("proven", [True, False])
def test_against_another_topic_nothing_is_proven(tmp_path: Path, proven: bool) -> None:
    """`AuditStreamReconcileStale` fires at once."""
    write_metrics(coverage(), tmp_path / "audit.prom", proven=proven)
    [line] = [
        each for each in (tmp_path / "audit.prom").read_text().splitlines()
        if each.startswith("audit_reconciled_timestamp_seconds ")
    ]  # fmt: skip
    assert (float(line.split()[1]) > 0) is proven
