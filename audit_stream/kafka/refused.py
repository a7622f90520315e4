"""Lines that an import did not send: told as they are met, and kept by the position behind them.

A position stands behind a refused line as behind any other, so what it was has to go with the
position: an import that goes on there would else forget it, and say that all is well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from audit_stream.kafka.sending import Mark

KEPT = 100  # of each file the first lines are named, the others counted
MOST_OPEN = 10_000  # behind the settled mark; then everything is sent, and the mark moves up


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A line that was not sent: where it stands and why."""

    file: str
    line: int
    reason: str
    earlier: bool = False  # by a run that this one goes on from


@dataclass(frozen=True, slots=True)
class Tally:
    """Of one file: how many lines were refused, and number and reason of the first of them."""

    count: int = 0
    first: tuple[tuple[int, str], ...] = ()

    def plus(self, line: int, reason: str) -> Tally:
        """With one more."""
        first = self.first if len(self.first) >= KEPT else (*self.first, (line, reason))
        return replace(self, count=self.count + 1, first=first)


class Refusals:
    """Of one import. `begun`: by file index, what earlier runs refused before their positions;
    these lines are told first."""

    def __init__(
        self, names: Sequence[str], begun: Mapping[int, Tally], tell: Callable[[Refused], None]
    ) -> None:
        self._names, self._tell = names, tell
        self._settled = dict(begun)
        self._open: deque[tuple[Mark, str]] = deque()
        for one in self.first:
            tell(replace(one, earlier=True))

    @property
    def count(self) -> int:
        """Lines, of all files and runs."""
        return sum(tally.count for tally in self._settled.values()) + len(self._open)

    @property
    def is_full(self) -> bool:
        """Whether too many wait for the settled mark to pass them."""
        return len(self._open) >= MOST_OPEN

    @property
    def first(self) -> list[Refused]:
        """The first `KEPT` lines of each file."""
        tallies = dict(self._settled)
        _fold(tallies, self._open)
        return [
            Refused(file=self._names[index], line=line, reason=reason)
            for index, tally in sorted(tallies.items()) for line, reason in tally.first
        ]  # fmt: skip

    def add(self, mark: Mark, reason: str) -> None:
        """The line behind the mark was not sent."""
        self._open.append((mark, reason))
        self._tell(Refused(file=self._names[mark.file], line=mark.line + 1, reason=reason))

    def settle(self, mark: Mark) -> Mapping[int, Tally]:
        """By file index, what was refused before the mark; those behind it are met again by who
        goes on there. Marks only move on."""
        passed = []
        while self._open and self._open[0][0] < mark:
            passed.append(self._open.popleft())
        _fold(self._settled, passed)
        return self._settled


def _fold(tallies: dict[int, Tally], lines: Sequence[tuple[Mark, str]]) -> None:
    for mark, reason in lines:
        tallies[mark.file] = tallies.get(mark.file, Tally()).plus(mark.line + 1, reason)
