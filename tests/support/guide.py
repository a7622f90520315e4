"""A guide's commands, run as they stand, and what it shows held against what comes out.

The rule: a block marked ``sh`` is run; a block marked ``text`` right behind it (prose may stand in
between, a heading may not) is all that it printed, errors included. In a shown text ``…`` stands
for anything within a line, a line of ``…`` alone for any lines, and blanks and tabs of any number
are one blank. Whatever is not shown is not compared, but every block must end with exit code 0.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$|^(#+) ([^\n]+)$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """Commands of one block, under which heading they stand, and what they are to print."""

    section: str
    commands: str
    shown: str | None = None


def steps_of(page: str) -> list[Step]:
    """The steps of a page, in order."""
    found: list[Step] = []
    section, open_step = "", False
    for language, body, level, heading in _FENCE.findall(page):
        if level:
            section, open_step = heading, False
        elif language == "sh":
            found.append(Step(section, body))
            open_step = True
        elif language == "text" and open_step:
            found[-1] = Step(section, found[-1].commands, body)
            open_step = False
    return found


def fits(shown: str, printed: str) -> bool:
    """Whether what was printed is what is shown, by the rule."""
    pattern = "".join(_line_pattern(line) for line in _lines(shown))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(printed))) is not None


def _lines(text: str) -> Iterator[str]:
    return (" ".join(line.split()) for line in text.strip("\n").splitlines())


def _line_pattern(line: str) -> str:
    if line == "…":
        return r"(?:.*\n)*?"
    return "[^\n]*?".join(re.escape(part) for part in line.split("…")) + "\n"


class Shell:
    """One bash that goes on from step to step: variables and background jobs stay."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=folder, env=dict(environment), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def run(self, commands: str) -> tuple[int, str]:
        """The exit code of the last command, and all that was printed."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        mark = f"mark-{uuid.uuid4().hex}"
        # In a group, so that no command reads the steps to come as its input.
        self._bash.stdin.write(f"{{\n{commands}\n}} </dev/null\nprintf '\\n{mark} %s\\n' $?\n")
        self._bash.stdin.flush()
        printed: list[str] = []
        for line in self._bash.stdout:
            if line.startswith(mark):
                return int(line.split()[1]), "".join(printed)[:-1]
            printed.append(line)
        raise AssertionError(f"the shell ended:\n{''.join(printed)}")

    def close(self) -> None:
        """End the shell, and whatever a step that failed left running."""
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGTERM)
        self._bash.wait(30)
        assert self._bash.stdout is not None
        self._bash.stdout.close()


def follow(shell: Shell, step: Step) -> None:
    """Run one step; AssertionError says what came instead of what is shown."""
    code, printed = shell.run(step.commands)
    told = f"{step.section}\n{step.commands}printed, with exit code {code}:\n{printed}"
    assert code == 0, told
    if step.shown is not None:
        assert fits(step.shown, printed), f"{told}\ninstead of:\n{step.shown}"
