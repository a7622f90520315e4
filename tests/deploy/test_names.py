"""Names in deploy/ that mean something elsewhere: settings, files, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from audit_stream.settings import Settings, env_name

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = sorted(
    path for path in DEPLOY.rglob("*") if path.is_file() and "__pycache__" not in path.parts
)
#: Read before there are settings.
KNOWN = {env_name(name) for name in Settings.model_fields} | {"AUDIT_CONFIG", "AUDIT_TOPICS_DIR"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_settings_are_real(path: Path) -> None:
    text = path.read_text("utf-8")
    assert set(re.findall(r"\bAUDIT_[A-Z0-9_]*[A-Z0-9]", text)) <= KNOWN


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_pages_and_files_named_exist(path: Path) -> None:
    for name in re.findall(r"\b(?:docs|deploy|topics)/[\w./-]+\.\w+", path.read_text("utf-8")):
        assert (ROOT / name).exists(), name
