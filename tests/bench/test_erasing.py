"""The bench of erasure, small: it checks what it measures, and prints its table."""

from __future__ import annotations

import pytest

from bench import erasing as bench


def test_it_prints_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--objects", "5", "--tags", "200", "--events", "3000"]) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line]
    assert [row[2].split()[1] for row in rows[2:]] == ["s", "s", "ms", "ms", "s", "s", "MB"]
    assert all(float(row[2].split()[0]) > 0 for row in rows[2:])
