"""What happens when, from a seed. Pure: the same seed gives the same schedule, line by line.

Times are points of progress: an action begins behind a chunk of traffic, and a worker is killed or
frozen at a step of storing a segment. So a replay meets the same situation as nearly as real
processes allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from audit_stream.stream.context import STEPS
from tests.campaigns.erasure import KILLS
from tests.campaigns.stores.azure import AZURE

BROKERS = 3
CHUNKS = 12
CHUNK_LINES = 220
SESSION_SECONDS = 6
STORES = ("file", "azure")
Given = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that happens behind chunk `after`; what lasts is undone after `hold` seconds."""

    kind: str
    after: int
    hold: float = 0.0
    given: Given

    def __str__(self) -> str:
        told = " ".join(f"{name}={value}" for name, value in self.given.items())
        lasts = f" for {self.hold:.1f} s" if self.hold else ""
        return f"behind chunk {self.after:2}: {self.kind:<12} {told}{lasts}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A seed's campaign."""

    seed: int
    store: str
    workers: int
    actions: tuple[Action, ...]
    chunks: int = CHUNKS
    chunk_lines: int = CHUNK_LINES

    def behind(self, chunk: int) -> Iterator[Action]:
        """What begins behind a chunk, in order."""
        return (action for action in self.actions if action.after == chunk)

    def lines(self) -> list[str]:
        """For people."""
        head = f"seed {self.seed}: {self.store} store, {self.workers} workers, {self.chunks} chunks"
        return [head, *map(str, self.actions)]


Drawn = tuple[float, Given]
Draw = Callable[[Random, int], Drawn]


def _seconds(draw: Random, least: float, most: float) -> float:
    return round(draw.uniform(least, most), 1)


def _at_step(draw: Random, workers: int) -> dict[str, str | int | float]:
    given: dict[str, str | int | float] = {"worker": draw.randrange(workers)}
    if draw.random() < 0.75:
        given["step"] = draw.choice(STEPS)
        given["when"] = draw.choice(("before", "after"))
    return given


def _broker(draw: Random) -> dict[str, str | int | float]:
    return {"broker": draw.randint(1, BROKERS)}


def _kill(draw: Random, workers: int) -> Drawn:
    return _seconds(draw, 0.5, 4), _at_step(draw, workers)


def _freeze(draw: Random, workers: int) -> Drawn:
    # Longer than the session: another worker has its partitions when it wakes.
    return _seconds(draw, SESSION_SECONDS + 2, SESSION_SECONDS + 6), _at_step(draw, workers)


def _stop(draw: Random, workers: int) -> Drawn:
    return _seconds(draw, 0.2, 3), {"worker": draw.randrange(workers)}


def _storm(draw: Random, _: int) -> Drawn:
    return 0.0, {"members": draw.randint(1, 2), "rounds": draw.randint(2, 3)}


def _scale(draw: Random, workers: int) -> Drawn:
    return 0.0, {"to": workers + 1 if draw.random() < 0.5 else workers - 1}


def _broker_kill(draw: Random, _: int) -> Drawn:
    return _seconds(draw, 1, 6), _broker(draw)


def _broker_pause(draw: Random, _: int) -> Drawn:
    return _seconds(draw, 2, 8), _broker(draw)


def _leaders(draw: Random, _: int) -> Drawn:
    return 0.0, {"moves": draw.randint(1, 3), "order": draw.randrange(1000)}


def _delay(draw: Random, _: int) -> Drawn:
    return _seconds(draw, 3, 8), _broker(draw) | {"delay": _seconds(draw, 0.05, 0.6)}


def _partition(draw: Random, _: int) -> Drawn:
    direction = draw.choice(("both", "requests", "answers", "peers"))
    return _seconds(draw, 2, 9), _broker(draw) | {"direction": direction}


def _reset(draw: Random, _: int) -> Drawn:
    return 0.0, _broker(draw) | {"times": draw.randint(1, 3)}


def _store_fault(draw: Random, _: int) -> Drawn:
    fault = draw.choice(sorted(AZURE.by_name))
    return _seconds(draw, 3, 7), {"fault": fault, "share": draw.choice((0.2, 0.5, 1.0))}


def _disk(draw: Random, workers: int) -> Drawn:
    return _seconds(draw, 2, 6), {"worker": draw.randrange(workers)}


def _slow_disk(draw: Random, workers: int) -> Drawn:
    hold, given = _disk(draw, workers)
    return hold, {**given, "ms": draw.choice((20, 100, 400))}


def _clock(draw: Random, workers: int) -> Drawn:
    hours = draw.choice((-72, -2, -1, 1, 2, 72))
    return _seconds(draw, 4, 9), {"worker": draw.randrange(workers), "hours": hours}


def _huge(draw: Random, _: int) -> Drawn:
    return 0.0, {"lines": draw.choice((2000, 3500, 5000))}


def _poison(draw: Random, _: int) -> Drawn:
    return 0.0, {"rounds": draw.randint(1, 3)}


def _erase(draw: Random, _: int) -> Drawn:
    step, when = draw.choice(KILLS)
    killed = {"step": step, "when": when} if draw.random() < 0.7 else {}
    return 0.0, {"persons": draw.randint(1, 4), **killed}


def _map(draw: Random, _: int) -> Drawn:
    return 0.0, {"lines": draw.randint(20, 60)}


def _generation(draw: Random, _: int) -> Drawn:
    return 0.0, {"topic": draw.randrange(2), "how": draw.choice(("recreated", "declared"))}


def _notary_kill(draw: Random, _: int) -> Drawn:
    return _seconds(draw, 0.5, 4), {}


KINDS: Mapping[str, Draw] = {
    "kill": _kill, "freeze": _freeze, "stop": _stop, "storm": _storm, "scale": _scale,
    "broker-kill": _broker_kill, "broker-stop": _broker_kill, "broker-pause": _broker_pause,
    "leaders": _leaders, "delay": _delay, "partition": _partition, "reset": _reset,
    "store-fault": _store_fault, "disk-full": _disk, "disk-slow": _slow_disk, "clock": _clock,
    "huge": _huge, "poison": _poison, "erase": _erase, "map": _map, "generation": _generation,
    "notary-kill": _notary_kill,
}  # fmt: skip
#: Once in a seed: each takes long, or can be done once only.
ONCE = ("map", "generation", "erase", "huge")
#: Drawn twice as often as the others.
_OFTEN = ("kill", "freeze", "broker-kill", "generation")


def schedule(seed: int) -> Schedule:
    """The seed's."""
    draw = Random(f"chaos {seed}")
    store, workers = draw.choice(STORES), draw.choice((2, 3))
    kinds = [kind for kind in KINDS if store != "file" or kind != "store-fault"]
    kinds += _OFTEN
    drawn: list[str] = []
    count = draw.randint(6, 10)
    while len(drawn) < count:
        kind = draw.choice(kinds)
        if kind not in ONCE or kind not in drawn:
            drawn.append(kind)
    places = sorted(draw.randint(1, CHUNKS - 1) for _ in drawn)
    actions = []
    for kind, after in zip(drawn, places, strict=True):
        hold, given = KINDS[kind](draw, workers)
        actions.append(Action(kind=kind, after=after, hold=hold, given=given))
    return Schedule(seed=seed, store=store, workers=workers, actions=tuple(actions))
