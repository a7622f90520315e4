"""What `bench.growth` measured, as the page has it."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from statistics import median

from bench.growth_scale import Scaled
from bench.growth_state import Grown, by_million
from bench.report import machine

STATE, SCALE = "growth of state", "growth in width"
_MB = 1e6


def state(grown: Grown, day: str) -> str:
    """The tables of the run with millions of messages."""
    on = machine()
    loads = ", ".join(f"{each:.0f}" for each in grown.loads)
    head = (
        f"Measured {day} on {on['cores']} cores of {on['cpu']}, broker on the same machine; load "
        f"of the machine before, behind ingest, at the end: {loads}. {grown.messages:,} messages, "
        "one event each, 4 partitions, two workers, all waiting in the raw topic when they start."
    )
    parts = ["\n".join(each) for each in (_ingest(grown), _disk(grown), _again(grown))]
    return "\n\n".join([head, *parts]) + "\n"


def _ingest(grown: Grown) -> list[str]:
    step = max(1, grown.messages // 10)
    rows = [
        f"| {upto / 1e6:.1f} | {rate:,.0f} | {cost:.1f} | {most / _MB:.0f} |"
        for upto, rate, cost, most in by_million(grown.moments, step)
    ]
    first, last = grown.moments[0], grown.moments[-1]
    count = last.archived - first.archived
    cost = (last.cpu_seconds - first.cpu_seconds) / count * 1e6
    whole = f"| all | {count / (last.at - first.at):,.0f} | {cost:.1f}"
    most = max(moment.rss_bytes for moment in grown.moments)
    return [
        "| millions in the state | records/s | processor time, µs each | larger worker, MB |",
        "|--:|--:|--:|--:|", *rows, f"{whole} | {most / _MB:.0f} |",
    ]  # fmt: skip


def _disk(grown: Grown) -> list[str]:
    rows = [
        f"| {name} | {size / _MB:,.0f} | {size / grown.messages:.0f} |"
        for name, size in grown.disk.items()
    ]
    return ["| on disk | MB | bytes a message |", "|---|--:|--:|", *rows]


def _again(grown: Grown) -> list[str]:
    count = grown.messages
    restore = grown.cold.seconds - grown.warm.seconds
    rebuild, verify = grown.rebuild, grown.verify
    rows = [
        ("both workers ready, state as it was", grown.warm.seconds, "", grown.warm.peak_rss_bytes),
        (
            "both ready on an empty disk, from the changelog", grown.cold.seconds,
            f"{count / restore:,.0f} keys/s", grown.cold.peak_rss_bytes,
        ),
        (
            "`state rebuild` from the archive, one process", rebuild.seconds,
            f"{count / rebuild.cpu_seconds:,.0f} keys/s of processor time", rebuild.peak_rss_bytes,
        ),
        (
            "both ready on an empty disk, from the rebuilt changelog", grown.rebuilt.seconds, "",
            grown.rebuilt.peak_rss_bytes,
        ),
        (
            "`verify`, one process", verify.seconds,
            f"{count / verify.cpu_seconds:,.0f} records/s of processor time",
            verify.peak_rss_bytes,
        ),
    ]  # fmt: skip
    return [
        "| | s | | most memory of a process, MB |", "|---|--:|--:|--:|",
        *(f"| {name} | {s:.0f} | {rate} | {most / _MB:.0f} |" for name, s, rate, most in rows),
    ]  # fmt: skip


def scale(scaled: Sequence[Scaled], day: str, options: argparse.Namespace) -> str:
    """The table of partitions and workers."""
    head = (
        f"Measured {day}, {options.events:,} events, median of {options.repeat} rounds in turn; "
        "broker, server and workers on the same 2 cores."
    )
    titles = (
        "", "events/s", "spread", "processor time, µs/event", "most memory of a worker, MB",
        "requests; segments", "ready again, s",
    )  # fmt: skip
    rows = [f"| {' | '.join(titles)} |", "|---|--:|--:|--:|--:|--:|--:|", *map(_row, scaled)]
    few, many = (each for each in scaled if each.shape.counted)
    puts, others = _more(few, many)
    marginal = [
        "| from 4 partitions to 64 | |", "|---|--:|",
        f"| requests of one more segment, puts | {puts:.1f} |",
        f"| requests of one more segment, others | {others:.1f} |",
    ]  # fmt: skip
    return "\n".join([head, "", *rows, "", *marginal, ""])


def _row(one: Scaled) -> str:
    rates = [each.events_per_second for each in one.results]
    cost = median(each.cpu_seconds / each.events for each in one.results) * 1e6
    most = max(each.peak_rss_bytes for each in one.results) / _MB
    asked = ""
    if one.shape.counted:
        asked = f"{median(map(Counter.total, one.requests)):,.0f}; {median(one.segments):,.0f}"
    start = median(each.seconds for each in one.starts)
    return (
        f"| {_name(one)} | {median(rates):,.0f} | {min(rates):,.0f} – {max(rates):,.0f} | "
        f"{cost:.1f} | {most:.0f} | {asked} | {start:.1f} |"
    )


def _name(one: Scaled) -> str:
    shape = one.shape
    workers = "1 worker" if shape.members == 1 else f"{shape.members} workers"
    into = "write-once double" if shape.counted else "folder"
    return f"{shape.partitions} partitions, {workers}, {into}"


def _more(few: Scaled, many: Scaled) -> tuple[float, float]:
    """Puts and other requests of each segment that `many` has more."""
    segments = sum(many.segments) - sum(few.segments)
    more = sum(many.requests, Counter()) - sum(few.requests, Counter())
    return more["PUT"] / segments, (more.total() - more["PUT"]) / segments
