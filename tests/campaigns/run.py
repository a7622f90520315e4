"""One fault's run: a share of all requests meets it, then every request until the breakers open."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit_stream.errors import AuditError
from tests.campaigns.broken import (
    Told,
    Turn,
    most_in_a_second,
    outages,
    while_broken,
    wrongly_told,
)
from tests.campaigns.installation import NAMES, Installation, install
from tests.campaigns.scenarios import CONTAINERS, Scenario
from tests.campaigns.stores.base import Store
from tests.support.events import Events
from tests.support.eventually import eventually

LIMIT_SECONDS = 240.0
ALLOWED_A_SECOND = 2  # requests of a worker to what is broken


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How hard the campaign is; the defaults are the long form's."""

    share: float = 0.2
    records: int = 2400  # offsets, of which some four in ten are archived
    broken_seconds: float = 8.0  # at least, and while every request meets the fault
    seed: int = 1


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run came to; `problems` is empty when everything held."""

    scenario: Scenario
    records: int = 0
    seconds: float = 0.0
    requests: int = 0
    hits: int = 0
    turns: list[Turn] = field(default_factory=list)
    at_share: int = 0  # openings while only a share of the requests met the fault
    told: list[Told] = field(default_factory=list)
    one_target: int = 0  # most requests in a second of a worker to a target that was broken
    both_targets: int = 0  # … to both of its targets, while at least one was broken
    problems: list[str] = field(default_factory=list)

    @property
    def openings(self) -> int:
        return sum(turn.opened for turn in self.turns)


async def run(
    broker: str, folder: Path, prefix: str, store: Store, scenario: Scenario, plan: Plan
) -> Outcome:
    """Run it, on topics, an account and workers of its own."""
    outcome = Outcome(scenario=scenario, records=plan.records)
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    async with install(broker, folder, prefix, store) as found:
        await eventually(found.ready, LIMIT_SECONDS)
        found.account.server.clear("requests")
        started = time.monotonic()
        try:
            await _play(found, scenario, plan, outcome)
        except (AssertionError, AuditError, OSError) as error:
            outcome.problems.append(str(error))
        outcome.seconds = time.monotonic() - started
        _count(found, outcome)
    return outcome


async def _play(
    found: Installation, scenario: Scenario, plan: Plan, outcome: Outcome
) -> None:  # fmt: skip
    events = Events(plan.seed, found.topic)
    part = plan.records // 3
    found.arm(scenario, plan.share, plan.seed)
    await found.imported(events.lines(plan.records - part * (len(scenario.opens) + scenario.whole)))
    await _all_stored(found, events)
    found.account.server.clear("faults")
    await _until(found.all_closed)
    outcome.at_share = sum(turn.opened for turn in found.turns())
    for target in scenario.opens:
        found.arm(scenario, 1.0, plan.seed, CONTAINERS[target])
        await found.imported(events.lines(part))
        await _until(lambda target=target: found.open_now(target))  # type: ignore[misc]
        await asyncio.sleep(plan.broken_seconds)  # what is asked meanwhile is what is measured
    if scenario.whole:
        found.arm(scenario, 1.0, plan.seed)
        await found.imported(events.lines(part))
        await _all_stored(found, events)
    found.account.server.clear("faults")
    await _all_stored(found, events)
    await _until(found.all_closed)
    await found.check(events.oracle, LIMIT_SECONDS)


async def _all_stored(found: Installation, events: Events) -> None:
    async def stored() -> bool:
        return await found.stored() >= len(events.oracle.archived)

    await eventually(stored, LIMIT_SECONDS)


async def _until(holds: Callable[[], bool]) -> None:
    await eventually(lambda: asyncio.to_thread(holds), LIMIT_SECONDS)


def _count(found: Installation, outcome: Outcome) -> None:
    requests: list[dict[str, Any]] = [
        each for each in found.account.server.ask("requests") if each["client"] in NAMES
    ]
    (found.folder / "requests.json").write_text(json.dumps(requests))
    outcome.requests = len(requests)
    outcome.hits = sum(each["fault"] is not None for each in requests)
    outcome.turns, outcome.told = found.turns(), found.told()
    outcome.problems += wrongly_told(outcome.turns, outcome.told)
    try:
        pairs = outages(outcome.turns)
    except ValueError as error:
        outcome.problems.append(str(error))
        return
    outcome.both_targets = _most(while_broken(pairs, requests))
    outcome.one_target = max(
        _most(while_broken([each for each in pairs if each.target == target], requests, container))
        for target, container in CONTAINERS.items()
    )
    outcome.problems += _judged(outcome)


def _most(asked: Mapping[str, list[float]]) -> int:
    return max(map(most_in_a_second, asked.values()), default=0)


def _judged(outcome: Outcome) -> list[str]:
    """What the breakers and their alarms have to be in this scenario, and are not."""
    scenario, problems = outcome.scenario, []
    if outcome.both_targets > ALLOWED_A_SECOND:
        problems.append(f"{outcome.both_targets} requests in a second while broken")
    if not scenario.opens and outcome.openings:
        problems.append(f"{outcome.openings} openings, none was due")
    if scenario.refuses and not outcome.at_share:
        problems.append("a refusal did not open at once")
    if not all(scenario.hint in told.summary for told in outcome.told if told.state == "open"):
        problems.append("an alarm has not its hint")
    return problems
