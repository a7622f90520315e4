"""An operator's hands: commands, which are given again where they find trouble, and looks."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from http.client import HTTPException
from typing import TYPE_CHECKING

from tests.campaigns.chaos.crew import Crew, Process
from tests.support.commands import ROOT, environment

if TYPE_CHECKING:
    from tests.campaigns.chaos.play import Play

TERM = signal.SIGTERM
LIMIT_SECONDS = 300.0


async def _wait() -> None:
    await asyncio.sleep(1.0)


async def command(
    play: Play, *words: str, typed: str = "", also: tuple[int, ...] = (),
    meanwhile: Callable[[], Awaitable[None]] = _wait,
) -> str:  # fmt: skip
    """Give a command until it ends with 0, or a code of `also`, with `meanwhile` between two
    attempts; what it said."""
    deadline, code, said = time.monotonic() + LIMIT_SECONDS, -1, ""
    while time.monotonic() < deadline:
        code, said, error = await _given(play, words, typed)
        if code == 0 or code in also:
            return said
        play.say(f"`{' '.join(words)}` ended with {code}: {_last(error or said)}")
        await meanwhile()
    raise AssertionError(f"`{' '.join(words)}` does not succeed: {code} {said[-500:]}")


async def _given(play: Play, words: tuple[str, ...], typed: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "audit_stream", *words, cwd=ROOT, env=environment(play.site.fleet),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        said, error = await process.communicate(typed.encode())
    except BaseException:
        process.kill()
        raise
    return process.returncode or 0, said.decode(), error.decode()


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return " ".join(lines[-2:])[-300:]


def pages_of(crew: Crew) -> list[bytes]:
    """What every process shows on its web port now."""
    shown = (page(p, name) for p in crew.processes.values() for name in ("metrics", "alarms"))
    return [each for each in shown if each is not None]


def page(process: Process, name: str) -> bytes | None:
    """One page of a process, whatever its status; None when it does not answer."""
    url = f"http://127.0.0.1:{process.environment['AUDIT_WEB_PORT']}/{name}"
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return bytes(error.read())
    except (OSError, ValueError, HTTPException):
        return None


async def stop_workers(play: Play) -> list[Process]:
    """SIGTERM to all; who ran."""
    ran = [each for each in play.site.crew.workers if each.wanted]
    await asyncio.gather(*(each.end(TERM) for each in ran))
    return ran
