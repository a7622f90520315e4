"""Running a command of ours as an operator would, told by the environment of a fleet."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from tests.support.fleet import ROOT, Fleet


@contextmanager
def running(fleet: Fleet, *words: str, **extra: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process, killed behind the block if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "audit_stream", *words], env=environment(fleet, **extra), cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:  # closes the pipes, waits
        try:
            yield process
        finally:
            process.kill()


def environment(fleet: Fleet, **extra: str) -> dict[str, str]:
    """What the command is told."""
    own = {
        "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin",
        "AUDIT_STATE_DIR": str(fleet.folder / "command-state"),
    }  # fmt: skip
    return fleet.environment | own | extra


async def run(fleet: Fleet, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """The command, ended."""
    with running(fleet, *words, **extra) as process:
        out, err = await asyncio.to_thread(process.communicate, timeout=240)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


async def document(fleet: Fleet, *words: str, code: int = 0, **extra: str) -> dict[str, Any]:
    """The command's JSON answer; it must end with `code`."""
    done = await run(fleet, *words, "--json", **extra)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    answer: dict[str, Any] = orjson.loads(done.stdout)
    return answer
