"""What the commands over all partitions share: processes, progress by partition."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from audit_stream.cli.output import Output

if TYPE_CHECKING:
    from audit_stream.evidence.stream_object import StreamObject


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


@contextmanager
def job_progress(
    out: Output, verb: str
) -> Iterator[Callable[[Sequence[Job], tuple[int, int, int]], None]]:
    """A bar for each partition that is worked on; silent where there is no terminal."""
    with out.progress() as progress:
        tasks: dict[int, tuple[object, int, float]] = {}

        def told(jobs: Sequence[Job], now: tuple[int, int, int]) -> None:
            index, done, end = now
            if index not in tasks:
                job = jobs[index]
                name = f"{verb} {job.stream.topic}/{job.partition}"
                tasks[index] = (progress.add_task(name, rate=""), done, time.monotonic())
            task, first, began = tasks[index]
            rate = (done - first) / max(time.monotonic() - began, 1e-3)
            progress.update(
                task,  # type: ignore[arg-type]  # a NewType of rich
                completed=done, total=end, rate=f"{rate:,.0f} offsets/s",
            )  # fmt: skip

        yield told
