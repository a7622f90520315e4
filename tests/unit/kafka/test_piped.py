"""Lines of a pipe: as they come, to the end of the pipe or until asked to stop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from audit_stream.kafka.piped import piped_lines, standard_pipe


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Its end to read from, and a copy of the one to write to, which stays open."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([b"one\ntwo\n"], [b"one", b"two"]),
        ([b"one\n\ntwo"], [b"one", b"", b"two"]),
        ([b"on", b"e\nt", b"wo\n"], [b"one", b"two"]),
        ([b"\xff\r\n" * 50_000], [b"\xff\r"] * 50_000),
        ([b"x" * 300_000, b"y" * 300_000, b"\nz"], [b"x" * 300_000 + b"y" * 300_000, b"z"]),
        ([], []),
    ],
)
@pytest.mark.parametrize("most", [1, 3, 500])
async def test_every_line_comes_once_in_order(
    parts: list[bytes], expected: list[bytes], most: int
) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb", buffering=0) as file:
            for part in parts:
                file.write(part)

    wrote = asyncio.create_task(asyncio.to_thread(write))
    found = [lines async for lines in piped_lines(reading, most, asyncio.Event())]
    await wrote
    os.close(reading)
    assert [line for lines in found for line in lines] == expected
    assert max(map(len, found), default=0) <= most


async def test_asked_to_stop_it_ends_though_the_pipe_is_silent(pipe: tuple[int, int]) -> None:
    stop = asyncio.Event()
    lines = piped_lines(pipe[0], 500, stop)
    os.write(pipe[1], b"one\nhalf a li")
    assert await anext(lines) == [b"one"]
    asyncio.get_running_loop().call_soon(stop.set)  # once it waits
    assert [each async for each in lines] == [()]


async def test_silence_is_told(pipe: tuple[int, int]) -> None:
    lines = piped_lines(pipe[0], 500, asyncio.Event())
    assert await anext(lines) == ()
    os.write(pipe[1], b"one\n")
    assert await anext(lines) == [b"one"]
    await lines.aclose()  # type: ignore[attr-defined]


def test_what_is_no_pipe_of_the_systems_is_none() -> None:
    assert standard_pipe() is None  # pytest's own
