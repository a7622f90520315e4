"""What a comparison says of a partition, and of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from audit_stream.replay.tally import ANOTHER_LOG, DISPOSED, RETENTION, Tally


class Verdict(Enum):
    """The answer; its value is the exit code."""

    EQUAL = 0
    DIFFERS = 1
    CANNOT_JUDGE = 3


@dataclass(slots=True, kw_only=True)
class PartitionReport:
    """One partition of one stream."""

    topic: str
    generation: int
    partition: int
    newest: bool  # whether it is the topic's newest generation
    asked_from: bool  # whether a beginning was asked for
    tally: Tally
    resumed_at: int | None = None  # the offset, when an earlier run was gone on with
    complete: bool = False
    error: str | None = None  # why the comparison could not go on
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """Differs, else cannot judge for what was not reached, else equal.

        What retention deleted is no reason not to judge the rest, unless it was asked for; nor is
        an older generation, whose topic is mostly gone.
        """
        tally = self.tally
        if tally.differing:
            return Verdict.DIFFERS
        if self.error is not None or not self.complete:
            return Verdict.CANNOT_JUDGE
        reasons = {reason for reason, offsets in tally.not_comparable.items() if offsets}
        if not self.newest:
            reasons -= {ANOTHER_LOG}
        if not self.asked_from:
            reasons -= {DISPOSED, RETENTION}
        nothing = self.newest and tally.in_range and not tally.compared
        return Verdict.CANNOT_JUDGE if reasons or nothing else Verdict.EQUAL

    @property
    def state(self) -> str:
        """Where the states came from: ``raw log`` alone, or ``archive`` for what is before."""
        if not self.tally.compared:
            return "-"
        return "raw log" if self.tally.independent else "archive"


def verdict_of(reports: Iterable[PartitionReport]) -> Verdict:
    """Differs if anything does, else cannot judge if something could not be, or if a beginning was
    asked for and nothing lies behind it: a wrong year must not pass for a comparison."""
    every = list(reports)
    found = {report.verdict for report in every}
    if any(each.asked_from for each in every) and not any(each.tally.compared for each in every):
        found.add(Verdict.CANNOT_JUDGE)
    for verdict in (Verdict.DIFFERS, Verdict.CANNOT_JUDGE):
        if verdict in found:
            return verdict
    return Verdict.EQUAL if found else Verdict.CANNOT_JUDGE
