"""Who may import whom: the contracts hold, and each of them bites when it is broken."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = "import sys; from importlinter.cli import lint_imports_command as lint; lint()"
# Where the environment may be read: settings, the frame's own two variables, the child of the
# demo, and two folders that are found before there are settings.
ENVIRONMENT_READERS = {
    "settings/__init__.py", "cli/main.py", "cli/demo.py", "kafka/topics.py", "kafka/jars.py",
}  # fmt: skip


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter over the package in `folder`, by the project's contracts."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, "--config", str(ROOT / "pyproject.toml"), "--no-cache"],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"},
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package, to be spoilt."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "audit_stream", tmp_path / "audit_stream", ignore=ignored)
    return tmp_path


def test_the_contracts_hold(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("errors", "import audit_stream.cli.main", "Layers"),
        ("stream/process", "import audit_stream.settings", "Layers"),
        ("stores/file", "import audit_stream.telemetry.health", "Layers"),
        ("kafka/connect", "import audit_stream.stores.file", "Layers"),
        ("precedence/matrix", "import time", "The pure core"),
        ("seal/builder", "import random", "The pure core"),
        ("verify/segment", "import pathlib", "The pure core"),
        ("bundle/build", "import pathlib", "The pure core"),
        ("notary/log", "import audit_stream.bundle.build", "Layers"),
        ("telemetry/shapes", "import time", "The pure core"),
        ("stores/file", "import faust", "Faust only"),
        ("telemetry/health", "import mode", "Faust only"),
        ("settings/groups", "import aiokafka", "The Kafka client"),
        ("stream/process", "import audit_stream.stores.file", "stream, replay and bundle"),
        ("replay/compare", "import audit_stream.stores.file", "stream, replay and bundle"),
        ("bundle/collect", "import audit_stream.stores.file", "stream, replay and bundle"),
        ("replay/cursor", "import faust", "Faust only"),
        ("verify/segment", "import audit_stream.seal.builder", "The verifier"),
        ("app/run", "import audit_stream.stores.disposal.file", "No worker"),
        ("gateway/api", "import audit_stream.stores.disposal.open", "No worker"),
    ],
)
def test_a_broken_contract_is_reported(copy: Path, module: str, line: str, broken: str) -> None:
    path = copy / "audit_stream" / f"{module}.py"
    path.write_text(f"{path.read_text('utf-8')}\n{line}\n", encoding="utf-8")
    done = lint(copy)
    assert done.returncode == 1, done.stdout
    verdicts = [text for text in done.stdout.splitlines() if text.endswith("BROKEN")]
    assert any(text.startswith(broken) for text in verdicts), done.stdout


def test_a_new_package_needs_a_layer(copy: Path) -> None:
    (copy / "audit_stream" / "helpers.py").touch()
    done = lint(copy)
    assert done.returncode == 1
    assert "helpers" in done.stdout


def test_one_place_opens_covers() -> None:
    """Whoever loads a keyring past it could not open a cover that is wrapped; two are given what
    unwraps."""
    package = ROOT / "audit_stream"
    openers = {
        path.relative_to(package).parts[0] if path.parent.name == "keys" else path.stem
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Name) and node.id in ("load_keyring", "load_cover")
    }
    assert openers == {"keys", "covers", "adoption", "returning"}


def test_one_place_reads_the_environment() -> None:
    package = ROOT / "audit_stream"
    readers = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    assert readers == ENVIRONMENT_READERS
