"""The tutorial and the guides that go on from it, run as they stand (rule: `support.guide`)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_stream.errors import BrokerError, ConfigError
from audit_stream.kafka.jars import default_cache_dir, ensure_jars, find_java
from tests.integration.conftest import not_run
from tests.support.guide import Shell, fits, follow, steps_of

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "from-zero-to-an-evidence-bundle.md"
GO_ON = [ROOT / "docs" / "how-to" / name for name in ("add-a-status.md", "add-a-topic.md")]
INSTALLED = "Install"  # what the tests themselves run in
STOP = "Stop"  # where the other guides go on


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in a fresh folder, with this checkout's commands and none of our settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUDIT_")}
    tools = Path(sys.executable).parent
    begun = Shell(tmp_path, kept | {
        "CHECKOUT": str(ROOT), "PATH": f"{tools}{os.pathsep}{kept['PATH']}",
    })  # fmt: skip
    yield begun
    begun.close()


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tutorial_and_what_goes_on_from_it(shell: Shell) -> None:
    try:
        find_java()
        ensure_jars(default_cache_dir())
    except (BrokerError, ConfigError) as error:
        not_run(error)
    steps = [step for step in steps_of(_read(TUTORIAL)) if step.section != INSTALLED]
    stop = [step.section for step in steps].index(STOP)
    more = [step for page in GO_ON for step in steps_of(_read(page))]
    assert more
    for step in (*steps[:stop], *more, *steps[stop:]):
        follow(shell, step)


def test_what_is_not_run_is_how_the_tests_are_installed() -> None:
    [install] = [step for step in steps_of(_read(TUTORIAL)) if step.section == INSTALLED]
    assert install.commands.splitlines()[:2] == ["make install", ". .venv/bin/activate"]


def test_the_rule_of_comparison() -> None:
    assert fits("one …, two\n…\nlast   line\n", "one 17, two\nany\nnumber\nlast line")
    assert fits("…\nlast\n", "last")
    assert not fits("one\n", "one\ntwo")
    assert not fits("one …, two\n", "one\n, two")
    assert not fits("one (…)\n", "one 1")


def test_a_shown_text_belongs_to_the_commands_before_it() -> None:
    first, second, third = steps_of(
        "# A\n```sh\na\n```\nprose\n```text\nshown\n```\n```text\nno output\n```\n"
        "```sh\nb\n```\n## B\n```text\nof nothing\n```\n```sh\nc\n```\n"
    )
    assert (first.section, first.commands, first.shown) == ("A", "a\n", "shown\n")
    assert (second.section, second.shown) == ("A", None)
    assert (third.section, third.shown) == ("B", None)


def test_a_step_that_fails_or_prints_something_else_is_told(shell: Shell) -> None:
    def run(page: str) -> None:
        for step in steps_of(page):
            follow(shell, step)

    run("```sh\nX=1\ncat\n```\n```sh\necho $X\n```\n```text\n1\n```\n")
    with pytest.raises(AssertionError, match="exit code 1"):
        run("```sh\nfalse\n```\n")
    with pytest.raises(AssertionError, match="instead of"):
        run("```sh\necho 2 >&2\n```\n```text\n1\n```\n")


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")
