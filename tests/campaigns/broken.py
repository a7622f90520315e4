"""What a breaker did, from what its worker logged, and what the store was asked meanwhile. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

_OPENED, _CLOSED = "ALARM breaker:", "alarm closed breaker:"
_PREFIX = "breaker:"
#: What reaches the store so soon after an opening had left before it.
UNDER_WAY_SECONDS = 0.25


class Turn(NamedTuple):
    """A breaker opened, or closed."""

    at: float  # Unix seconds
    worker: str
    target: str
    opened: bool
    reason: str


class Outage(NamedTuple):
    """From an opening to the closing that followed."""

    worker: str
    target: str
    begin: float
    end: float


class Told(NamedTuple):
    """An alarm of a breaker as the webhook got it."""

    worker: str
    key: str
    state: str
    summary: str


def turns(worker: str, log: Iterable[str]) -> list[Turn]:
    """Openings and closings in the JSON lines of one worker's log."""
    found = []
    for line in log:
        if _PREFIX not in line or not line.startswith("{"):
            continue
        entry = json.loads(line)
        message = entry["message"]
        opened = message.startswith(_OPENED)
        if opened or message.startswith(_CLOSED):
            target, _, reason = message.partition(_PREFIX)[2].partition(": ")
            at = datetime.fromisoformat(entry["time"]).timestamp()
            found.append(Turn(at, worker, target, opened, reason))
    return found


def outages(found: Sequence[Turn]) -> list[Outage]:
    """Pairs of opening and closing; `ValueError` where they do not take turns, or one is open."""
    opened: dict[tuple[str, str], float] = {}
    pairs = []
    for turn in sorted(found):
        key = (turn.worker, turn.target)
        if turn.opened == (key in opened):
            raise ValueError(f"{turn.worker}: {turn.target} opened or closed twice in a row")
        if turn.opened:
            opened[key] = turn.at
        else:
            pairs.append(Outage(*key, opened.pop(key), turn.at))
    if opened:
        raise ValueError(f"still open: {sorted(opened)}")
    return pairs


def wrongly_told(found: Iterable[Turn], told: Iterable[Told]) -> list[str]:
    """What is wrong with the alarms: one an opening and worker, one a closing, one key a target."""
    due = sorted((t.worker, f"breaker:{t.target}", _state(t.opened)) for t in found)
    came = sorted((t.worker, t.key, t.state) for t in told)
    if due == came:
        return []
    return [f"alarms due {due}, told {came}"]


def _state(opened: bool) -> str:
    return "open" if opened else "closed"


def while_broken(
    pairs: Sequence[Outage], requests: Iterable[Mapping[str, Any]], path: str = ""
) -> dict[str, list[float]]:
    """Worker -> when it asked for something with `path` in its path during one of its outages."""
    asked: dict[str, list[float]] = {}
    for request in requests:
        if path in request["path"] and any(_during(outage, request) for outage in pairs):
            asked.setdefault(request["client"], []).append(request["at"])
    return asked


def _during(outage: Outage, request: Mapping[str, Any]) -> bool:
    begin = outage.begin + UNDER_WAY_SECONDS
    return bool(request["client"] == outage.worker and begin < request["at"] < outage.end)


def most_in_a_second(times: Iterable[float]) -> int:
    """The most that lie within any one second."""
    ordered = sorted(times)
    most = first = 0
    for last, at in enumerate(ordered):
        while at - ordered[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most
