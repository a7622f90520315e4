"""What a soak came to, as the page has it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from tests.campaigns.soak.judge import MEGABYTE, Rule, of
from tests.campaigns.soak.series import Recorded
from tests.campaigns.soak.trend import Point, Trend, blocks

_DISK = ("state", "changelog", "raw", "archive", "subjects", "index", "journal", "logs")


def markdown(run: Recorded, rule: Rule, problems: Sequence[str]) -> str:
    """The tables."""
    parts = [
        [_head(run, rule)], _processes(run, rule), _whole(run, rule), _disk(run),
        [_verdict(problems)],
    ]  # fmt: skip
    return "\n\n".join("\n".join(each) for each in parts) + "\n"


def _head(run: Recorded, rule: Rule) -> str:
    plan, loads = run.plan, [sample["machine"]["load"] for sample in run.samples]
    return (
        f"Begun {run.start['at']}, {plan.minutes:.0f} minutes at {plan.rate:,} events/s behind "
        f"{plan.fill:,} at once, "
        f"{plan.partitions} partitions, segments of {plan.segment_seconds:.0f} s, "
        f"{run.start['machine']}, everything on one machine; its load was {min(loads):.0f} to "
        f"{max(loads):.0f}, median {median(loads):.0f}. A sample every {plan.every:.0f} s, "
        f"{len(run.samples)} of them; trends behind the first {rule.warmup_seconds / 60:.0f} "
        f"minutes, from medians of {rule.block_seconds:.0f} s, with 95% intervals."
    )


def _processes(run: Recorded, rule: Rule) -> list[str]:
    later = run.after(rule.warmup_seconds)
    rows = [
        (
            "| process | PSS, MB: first, last | of it block cache | MB an hour but for it | "
            "descriptors: least, most; an hour | threads: least, most; an hour | a core's share |"
        ),
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name in run.processes:
        memory = later.used(name, "pss")
        first, *_, last = of_blocks(memory, rule)
        grown = _shown(of(later.own(name), rule), MEGABYTE)
        rows.append(
            f"| {name} | {first / MEGABYTE:.0f}, {last / MEGABYTE:.0f} | "
            f"{_cached(later, name, rule)} | {grown} | "
            f"{_handles(later, name, 'descriptors', rule)} | "
            f"{_handles(later, name, 'threads', rule)} | {_share(later, name):.1%} |"
        )
    return rows


def _cached(run: Recorded, name: str, rule: Rule) -> str:
    points = run.cached(name)
    if not any(value for _, value in points):
        return ""
    first, *_, last = of_blocks(points, rule)
    return f"{first / MEGABYTE:.0f}, {last / MEGABYTE:.0f}"


def of_blocks(points: list[Point], rule: Rule) -> list[float]:
    """Medians of the rule's blocks, in their order."""
    return [value for _, value in blocks(points, rule.block_seconds)]


def _shown(found: Trend, unit: float = 1.0, digits: int = 1) -> str:
    slope, low, high = (each / unit for each in found)
    return f"{slope:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def _handles(run: Recorded, name: str, what: str, rule: Rule) -> str:
    points = run.used(name, what)
    values = [value for _, value in points]
    return f"{min(values):.0f}, {max(values):.0f}; {_shown(of(points, rule))}"


def _share(run: Recorded, name: str) -> float:
    (began, before), *_, (ended, after) = run.used(name, "cpu_seconds")
    return (after - before) / (ended - began)


def _whole(run: Recorded, rule: Rule) -> list[str]:
    later = run.after(rule.warmup_seconds)
    lag = later.summed("audit_stream_unarchived_offsets")
    delays = [value for _, value in later.archive_delay()]
    loops = [
        _most(later.said(name, "audit_stream_loop_heartbeat_age_seconds")) for name in run.ours
    ]
    late = max(sample["load"]["late_seconds"] for sample in later.samples)
    segments = later.summed("audit_stream_segment_bytes_count")
    facts = {
        "lag, offsets: median, most": f"{_median(lag):,.0f}, {_most(lag):,.0f}",
        "broker's timestamp to stored, ends of segments: mean, most": (
            f"{sum(delays) / len(delays):.1f} s, {max(delays):.1f} s"
        ),
        "its trend, seconds an hour": _shown(of(later.archive_delay(), rule), digits=1),
        "oldest heartbeat of an event loop, seen": f"{max(loops):.2f} s",
        "the sender was late by at most": f"{late:.1f} s",
        f"segments stored in {_minutes(later):.0f} minutes": f"{_grown(segments):,.0f}",
        "answers of the gateway, by status": _counted(run.samples[-1]["load"]["answers"]),
        "their time: median, most": _milliseconds(later),
        **_end(run),
    }
    return ["| | |", "|---|--:|", *(f"| {name} | {value} |" for name, value in facts.items())]


def _end(run: Recorded) -> dict[str, str]:
    if run.end is None:
        return {}
    end, checked, verify = run.end, run.end["reconcile"], run.end["verify"]
    same = "the same, each once" if end["the_same"] else "NOT the same"
    return {
        "events sent; records due; archived": (
            f"{end['sent']:,}; {end['rises']:,}; {end['archived']:,}, {same}"
        ),
        "`reconcile`: to come, unexplained": f"{checked['to_come']}, {checked['unexplained']}",
        "`verify`": (
            f"{verify['verdict']}, {verify['records']:,} records, {verify['segments']:,} segments"
        ),
    }


def _milliseconds(run: Recorded) -> str:
    loads = [each["load"] for each in run.samples if each["load"]["asked"]]
    if not loads:
        return "none"
    typical = median(each["answer_seconds"] for each in loads)
    most = max(each["answer_seconds_most"] for each in loads)
    return f"{typical * 1000:.0f} ms, {most * 1000:.0f} ms"


def _median(points: Sequence[Point]) -> float:
    return median(value for _, value in points)


def _most(points: Sequence[Point]) -> float:
    return max(value for _, value in points)


def _counted(answers: dict[str, int]) -> str:
    return ", ".join(f"{status}: {count:,}" for status, count in sorted(answers.items())) or "none"


def _minutes(run: Recorded) -> float:
    return float(run.samples[-1]["at"] - run.samples[0]["at"]) / 60


def _grown(points: list[Point]) -> float:
    return sum(max(0.0, after - before) for (_, before), (_, after) in pairwise(points))


def _disk(run: Recorded) -> list[str]:
    last, sent = run.samples[-1], run.samples[-1]["load"]["sent"]
    head = " | ".join(_DISK)
    sizes = " | ".join(f"{last['disk'][each] / MEGABYTE:,.0f}" for each in _DISK)
    each = " | ".join(f"{last['disk'][each] / sent:.1f}" for each in _DISK)
    return [
        f"| on disk at the end | {head} |", f"|---|{'--:|' * len(_DISK)}",
        f"| MB | {sizes} |", f"| bytes an event | {each} |",
    ]  # fmt: skip


def _verdict(problems: Sequence[str]) -> str:
    return "Held." if not problems else "Did not hold: " + "; ".join(problems) + "."
