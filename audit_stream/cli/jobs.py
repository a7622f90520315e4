"""What the commands over all partitions share: how far each partition is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.progress import Progress, TaskID

from audit_stream.cli.output import Output

if TYPE_CHECKING:
    from audit_stream.evidence.stream_object import StreamObject

_PLAIN_SECONDS = 10.0  # between two lines of progress where there is no terminal


class Job(Protocol):
    """One partition of one stream."""

    @property
    def stream(self) -> StreamObject:
        """The stream."""
        ...

    @property
    def partition(self) -> int:
        """The partition."""
        ...


#: The jobs; which of them, its first offset not done, and where it ends.
Told = Callable[[Sequence[Job], tuple[int, int, int]], None]


@contextmanager
def job_progress(out: Output, verb: str) -> Iterator[Told]:
    """A bar for each partition in work; without a terminal, a line now and then."""
    with out.progress() as progress:
        yield _as_lines(out, verb) if progress.disable else _as_bars(progress, verb)


def _name(job: Job) -> str:
    return f"{job.stream.topic}/{job.stream.generation}/{job.partition}"


def _as_bars(progress: Progress, verb: str) -> Told:
    tasks: dict[int, tuple[TaskID, int, float]] = {}

    def told(jobs: Sequence[Job], now: tuple[int, int, int]) -> None:
        index, done, end = now
        if index not in tasks:
            task = progress.add_task(f"{verb} {_name(jobs[index])}", rate="")
            tasks[index] = (task, done, time.monotonic())
        task, first, began = tasks[index]
        rate = (done - first) / max(time.monotonic() - began, 1e-3)
        progress.update(task, completed=done, total=end, rate=f"{rate:,.0f} offsets/s")

    return told


def _as_lines(out: Output, verb: str) -> Told:
    last: dict[int, float] = {}

    def told(jobs: Sequence[Job], now: tuple[int, int, int]) -> None:
        index, done, end = now
        if time.monotonic() - last.setdefault(index, time.monotonic()) >= _PLAIN_SECONDS:
            last[index] = time.monotonic()
            out.note(f"{verb} {_name(jobs[index])}: at offset {done:,} of {end:,}")

    return told
