"""HashiCorp's formatter, as an npm package has it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = Path(os.environ.get("AUDIT_TEST_HCL", ROOT / "build" / "hcl")) / "node_modules"
FORMAT = ROOT / "tests" / "support" / "hcl_format.js"


def unformatted(*files: Path) -> list[str]:
    """Those that HashiCorp's formatter would write otherwise."""
    if not (MODULES / "@cdktf" / "hcl-tools").exists() or not shutil.which("node"):
        if os.environ.get("AUDIT_TEST_REQUIRE") == "1":
            pytest.fail("@cdktf/hcl-tools is not installed", pytrace=False)
        pytest.skip("NOT RUN: npm install --prefix build/hcl @cdktf/hcl-tools")
    command = ["node", str(FORMAT), str(MODULES), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
