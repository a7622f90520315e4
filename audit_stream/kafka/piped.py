"""Lines of a pipe as they come, for a reader that has other things to do while none comes."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Sequence

_IDLE_SECONDS = 1.0
_CHUNK_BYTES = 1 << 17


def standard_pipe() -> int | None:
    """The descriptor of standard input where it may fall silent; None where it is a file."""
    try:
        number = sys.stdin.fileno()
    except (OSError, ValueError):  # it is none of the system's
        return None
    mode = os.fstat(number).st_mode
    return number if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(number) else None


async def piped_lines(
    number: int, most: int, stop: asyncio.Event
) -> AsyncIterator[Sequence[bytes]]:
    """Lines without their line feeds, `most` at a time; none of them each second that it is silent.
    Ends with the pipe, or once `stop` is set."""
    begun: list[bytes] = []  # of a line without an end yet: joined once, however long it is
    while not stop.is_set():
        if not await _comes(number, stop):
            yield ()
            continue
        chunk = os.read(number, _CHUNK_BYTES)
        *lines, rest = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join((*begun, lines[0]))
            begun = []
        if rest:
            begun.append(rest)
        if not chunk and begun:  # the last one has no line feed
            lines = [b"".join(begun)]
        for first in range(0, len(lines), most):
            yield lines[first : first + most]
        if not chunk:
            return


async def _comes(number: int, stop: asyncio.Event) -> bool:
    """Whether there is something to read, or the end. Watched only while it is waited for: whoever
    does not read would be told in every turn of the loop."""
    loop = asyncio.get_running_loop()
    ready, stopped = asyncio.Event(), asyncio.ensure_future(stop.wait())
    come = asyncio.ensure_future(ready.wait())
    loop.add_reader(number, ready.set)
    try:
        await asyncio.wait((come, stopped), timeout=_IDLE_SECONDS,
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
    finally:
        loop.remove_reader(number)
        come.cancel()
        stopped.cancel()
    return ready.is_set()
