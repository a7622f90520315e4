"""Docs that cannot lie: generated pages are fresh, and the README names real things."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from audit_stream.cli.main import COMMANDS
from audit_stream.settings import Settings, env_name

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_reference_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_names_only_commands_that_exist() -> None:
    named = set(re.findall(r"audit-stream ([a-z]+)", README))
    assert named
    assert named <= set(COMMANDS)


def test_the_readme_names_only_settings_that_exist() -> None:
    known = {env_name(name) for name in Settings.model_fields}
    named = set(re.findall(r"AUDIT_[A-Z_]+[A-Z]", README))
    assert named
    assert named <= known


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make ([a-z]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_links_of_the_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
