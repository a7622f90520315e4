"""Starts the writer programs of this folder as processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_REPOSITORY = Path(__file__).parents[2]


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """A process of ``tests.contract.<program>`` with pipes to its input and output."""
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.contract.{program}", *map(str, arguments)],
        cwd=_REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def race(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Let all go once each has said that it is ready; what each printed after that."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return outputs


def dies_at(step: int, action: str, root: Path, name: str) -> bool:
    """Whether a write was killed at its `step`-th system call; False: it ended before."""
    process = start("dying_writer", action, root, name, step)
    process.communicate(timeout=60)
    assert process.returncode in {0, -9}
    return process.returncode == -9
