"""The rule by which a soak passes, and what did not. Pure.

Everything is judged after the warm-up, on the medians of blocks. A trend is held against its limit
by the upper end of its interval: what is not shown to be flat is not flat.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from tests.campaigns.soak.series import Recorded
from tests.campaigns.soak.trend import Point, Trend, blocks, trend

MEGABYTE = 1e6
#: What may not move at all once everybody works.
_STILL = {
    "audit_stream_rebalances_total": "assignments",
    "audit_stream_forks_total": "forks",
    "audit_stream_lost_offsets_total": "lost offsets",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The defaults are the long form's."""

    warmup_seconds: float = 900.0
    block_seconds: float = 60.0
    memory_mb_an_hour: float = 10.0  # PSS of each process, but for its block cache
    handles_an_hour: float = 4.0  # threads, and descriptors that are no table's, of each process
    lag_share_an_hour: float = 0.1  # growth of the time until it is stored, of a segment's
    lag_segments: float = 3.0  # the most that may wait, in segment times
    loop_seconds: float = 5.0  # the oldest heartbeat of an event loop
    missed_share: float = 0.02  # of the samples


def judged(run: Recorded, rule: Rule) -> list[str]:
    """What is wrong; empty when everything held. `ValueError` when it was too short to judge."""
    later = run.after(rule.warmup_seconds)
    return [
        *(problem for name in run.ours for problem in _growing(later, name, rule)),
        *_lagging(later, rule), *_moving(later), *_lost(run, rule),
    ]  # fmt: skip


def of(points: list[Point], rule: Rule) -> Trend:
    """The trend of a series, by the rule's blocks."""
    return trend(blocks(points, rule.block_seconds))


def _growing(run: Recorded, name: str, rule: Rule) -> Iterator[str]:
    memory = of(run.own(name), rule)
    if memory.high > rule.memory_mb_an_hour * MEGABYTE:
        yield f"{name}: memory grows by up to {memory.high / MEGABYTE:.1f} MB an hour"
    for what in ("descriptors", "threads"):
        handles = of(run.used(name, what), rule)
        if handles.high > rule.handles_an_hour:
            yield f"{name}: up to {handles.high:.0f} {what} more an hour"
    oldest = max(value for _, value in run.said(name, "audit_stream_loop_heartbeat_age_seconds"))
    if oldest > rule.loop_seconds:
        yield f"{name}: the event loop stood still for {oldest:.1f} s"


def _lagging(run: Recorded, rule: Rule) -> Iterator[str]:
    plan = run.plan
    usual = plan.rate * plan.segment_seconds
    # By time: what waits at the moment of a sample beats with the phases in which partitions seal.
    rise = of(run.archive_delay(), rule).high
    if rise > rule.lag_share_an_hour * plan.segment_seconds:
        yield f"the lag grows by up to {rise:.1f} s an hour"
    most = max(value for _, value in run.summed("audit_stream_unarchived_offsets"))
    if most > rule.lag_segments * usual:
        yield f"{most:,.0f} offsets waited"
    slowest = max(value for _, value in run.archive_delay())
    if slowest > rule.lag_segments * plan.segment_seconds:
        yield f"{slowest:.0f} s until something was archived"


def _moving(run: Recorded) -> Iterator[str]:
    for metric, title in _STILL.items():
        if any(after > before for (_, before), (_, after) in pairwise(run.summed(metric))):
            yield f"{title}: they were to stay as they are"
    if any(value for _, value in run.summed("audit_stream_open_alarms")):
        yield "an alarm was open"


def _lost(run: Recorded, rule: Rule) -> Iterator[str]:
    if run.missed > rule.missed_share * len(run.samples):
        yield f"{run.missed} of {run.missed + len(run.samples)} samples are missing"
    end = run.end
    if end is None:
        yield "the run did not come to its end"
        return
    if end["sent"] != run.plan.events or not end["the_same"]:
        yield f"{end['rises']} records were due of {end['sent']} events, {end['archived']} stand"
    if end["reconcile"]["unexplained"] or end["reconcile"]["to_come"]:
        yield f"reconcile: {end['reconcile']}"
    if end["verify"]["verdict"] != "verified" or end["verify"]["records"] != end["rises"]:
        yield f"verify: {end['verify']['verdict']}, {end['verify']['records']} records"
    if set(end["answers"]) != {"200"}:
        yield f"the gateway answered {end['answers']}"
