"""Child processes that do not outlive this one, where the platform allows it."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1


def spawn(command: Sequence[str], folder: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start it in a folder; what it says goes to `log`."""
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        start_new_session=True,  # Ctrl-C is for the parent, which stops the child last
        preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, no locks
    )  # fmt: skip
    _CHILDREN.add(process)
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """At once, with its own children."""
    signal_group(process, signal.SIGKILL)
    process.wait()
    _CHILDREN.discard(process)


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To it and its own children; nothing if it has ended."""
    if process.poll() is None:  # not yet reaped, so the id is still its own
        os.killpg(process.pid, number)


def die_with_parent() -> Callable[[], None] | None:
    """What makes a child, before it execs, ask Linux to be killed when its parent dies: the thread
    of it that started the child.

    With SIGKILL: a paused child would not get SIGTERM, a busy one could put its end off.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: after the fork only the call is safe
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_CHILDREN: set[subprocess.Popen[bytes]] = set()


@atexit.register
def _kill_children() -> None:
    for process in tuple(_CHILDREN):
        kill(process)
