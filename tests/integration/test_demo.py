"""The demo, as a newcomer runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def test_the_demo_archives_its_sample_and_verifies(kafka: object, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "audit_stream", "demo", "--folder", str(tmp_path / "demo")],
        capture_output=True, text=True, cwd=ROOT, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VERIFIED: 3,943 records" in done.stdout
    assert "still to come 0, unexplained 0, quarantined 403" in done.stdout
    grown = re.search(r"the archive log grew beside: \d+ leaves in (\d+) batches", done.stdout)
    assert grown is not None
    assert int(grown[1]) > 2, "written while the worker archived, not once at the end"
