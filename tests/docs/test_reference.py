"""Docs that cannot lie: generated pages are fresh, and pages name only what there is."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from audit_stream.cli.main import COMMANDS, main
from audit_stream.settings import Settings, env_name
from audit_stream.telemetry.catalogue import CATALOGUE, PREFIX, RECONCILED, RECONCILED_PREFIX

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=_name)


@pytest.fixture
def generator(tmp_path: Path) -> ModuleType:
    """docs/generate.py, writing into a folder of the test's own."""
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module)["REFERENCE"] = tmp_path / "reference"
    return module


def test_the_reference_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_check_fails_on_a_missing_and_on_a_changed_page(generator: ModuleType) -> None:
    assert generator.main(check=True) == 1
    assert generator.main(check=False) == 0
    assert generator.main(check=True) == 0
    page = generator.REFERENCE / "metrics.md"
    page.write_text(page.read_text(encoding="utf-8") + "x", encoding="utf-8")
    assert generator.main(check=True) == 1


def test_the_readme_names_the_two_commands() -> None:
    assert {"make demo", "make test"} <= set(re.findall(r"make [a-z]+", README))


@every_page
def test_make_targets_exist(page: Path) -> None:
    makefile = _read(ROOT / "Makefile")
    text = _read(page)
    commands = "".join(_blocks(text))
    targets = re.findall(r"(?:`|^    )make ([a-z]+)", text, re.M)
    for target in (*targets, *re.findall(r"^make ([a-z]+)", commands, re.M)):
        assert re.search(rf"^{target}:", makefile, re.M), target


def _blocks(text: str) -> list[str]:
    """The blocks of commands that are fenced."""
    return re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)


def _command_lines(text: str) -> Iterator[str]:
    yield from re.findall(r"`(audit-stream [a-z][^`]*)`", text)
    for line in re.findall(r"^    (audit-stream [a-z].*)", text, re.M):
        yield line.partition("#")[0]
    for block in _blocks(text):
        yield from re.findall(r"^ *(audit-stream [a-z][^|>&\n]*)", block, re.M)


def _resolve(words: list[str]) -> tuple[Any, list[str]]:
    """The command the words name, and the words behind its name."""
    command: Any = main
    context = click.Context(main)
    while words and hasattr(command, "get_command") and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, words[0]
        command, words = found, words[1:]
    return command, words


@every_page
def test_commands_and_their_options_exist(page: Path) -> None:
    for line in _command_lines(_read(page)):
        command, rest = _resolve(shlex.split(line)[1:])
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known, line


def test_the_reference_shows_every_command() -> None:
    page = _read(ROOT / "docs" / "reference" / "cli.md")
    assert {shlex.split(line)[1] for line in _command_lines(page)} == set(COMMANDS)


@every_page
def test_settings_exist(page: Path) -> None:
    # Two are read before there are settings.
    known = {env_name(name) for name in Settings.model_fields} | {"AUDIT_CONFIG", "AUDIT_DEBUG"}
    assert set(re.findall(r"`(AUDIT_[A-Z0-9_]+[A-Z0-9])", _read(page))) <= known


@every_page
def test_metrics_exist(page: Path) -> None:
    known = {PREFIX + metric.name for metric in CATALOGUE}
    known |= {RECONCILED_PREFIX + metric.name for metric in RECONCILED}
    named = re.findall(rf"`((?:{PREFIX}|{RECONCILED_PREFIX})[a-z_]+)`", _read(page))
    assert set(named) <= known


@pytest.mark.parametrize("page", [p for p in RUNBOOKS if p.stem != "errors"], ids=_name)
def test_a_runbook_has_its_four_headings(page: Path) -> None:
    headings = re.findall(r"^## (.+)", _read(page), re.M)
    assert headings == ["Meaning", "Impact", "Diagnosis", "Mitigation"]


def test_runbooks_that_messages_point_at_exist() -> None:
    sources = "".join(_read(path) for path in (ROOT / "audit_stream").rglob("*.py"))
    named = set(re.findall(r"docs/runbooks/[a-z-]+\.md", sources))
    assert named
    assert all((ROOT / name).exists() for name in named)
