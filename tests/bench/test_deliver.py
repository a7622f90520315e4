"""The benchmark of delivery measures what it says: every record, once."""

from __future__ import annotations

from pathlib import Path

from bench.archive import BenchArchive
from bench.deliver import endpoint, measure


def test_each_run_delivers_the_whole_archive(tmp_path: Path) -> None:
    records = BenchArchive(folder=tmp_path).make(300)
    with endpoint(0.0) as port:
        runs = [measure(tmp_path, port, 8) for _ in range(2)]
    assert [run.records for run in runs] == [records, records]
    assert all(run.rate > 0 and run.cpu_each > 0 for run in runs)
