"""The test suite's own promise: what was not run is named, and may be forbidden."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import golden, not_run

SKIPS = """
import pytest
def test_good(): pass
@pytest.mark.skipif(True, reason="no such thing here")
def test_left_out(): pass
"""


def run(folder: Path, text: str, required: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", not_run.__name__, "-p",
               "no:cacheprovider", "test_it.py"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(golden.ROOT), not_run.REQUIRED: required}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(("required", "code"), [("", 0), ("0", 0), ("1", 1)])
def test_a_skipped_test_is_named_and_fails_where_all_is_required(
    required: str, code: int, tmp_path: Path
) -> None:
    done = run(tmp_path, SKIPS, required)
    assert "NOT RUN: test_it.py::test_left_out: " in done.stdout
    assert "no such thing here" in done.stdout
    assert done.returncode == code


def test_where_all_is_required_and_run_nothing_fails(tmp_path: Path) -> None:
    done = run(tmp_path, "def test_good(): pass\n", "1")
    assert "NOT RUN" not in done.stdout
    assert done.returncode == 0
