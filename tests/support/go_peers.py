"""Programs of others, in Go, that judge what we write or store it: `tests/peers` pins them.

`.ci/run` builds them with `make peers`; here it is done again, which is quick when nothing changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD_SECONDS = 900


@cache
def go_peer(name: str) -> str:
    """The path of the program; where there is no Go the test fails, or is not run."""
    if shutil.which("go") is None:
        if os.environ.get("AUDIT_TEST_REQUIRE") == "1":
            pytest.fail("go is not installed", pytrace=False)
        pytest.skip("NOT RUN: go is not installed (see tests/support/go_peers.py)")
    subprocess.run(["make", "--silent", "peers"], cwd=ROOT, check=True, timeout=BUILD_SECONDS)
    return str(ROOT / "build" / "peers" / name)
