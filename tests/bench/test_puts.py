"""What a put costs, measured on the stores that need no server of others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import puts
from bench.processes import RunFailed
from bench.servers import Double
from tests.support.blobs.process import BlobProcess

_FEW = puts.Plan(count=4, rounds=1, warmup=1)


@pytest.fixture
def double() -> Iterator[Double]:
    with BlobProcess() as process:
        yield Double(process)


async def test_every_store_has_a_row_of_what_was_measured(tmp_path: Path, double: Double) -> None:
    text = await puts.table(tmp_path / "file", [double], _FEW)
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \| ([\d.]+) \| ([\d,]+) \| ([\d.]+) \|$", text, re.M)
    assert [row[0] for row in rows] == ["file", "write-once double"]
    for _, middle, slowest, per_second, cpu in rows:
        assert 0 < float(middle) <= float(slowest)
        assert int(per_second.replace(",", "")) > 0
        assert float(cpu) > 0
    stored = [path for path in (tmp_path / "file").rglob("*") if path.is_file()]
    assert len(stored) == 9  # one to warm up, four alone, four together
    assert double.requests().total() == 0  # none of them a worker's


async def test_a_store_that_has_the_objects_already_is_not_measured(tmp_path: Path) -> None:
    for path in (tmp_path / "round-0" / "warmup",):
        path.mkdir(parents=True)
        (path / "0").write_bytes(b"other")
    with pytest.raises(RunFailed, match="round-0/warmup/0 already"):
        await puts.table(tmp_path, [], _FEW)
