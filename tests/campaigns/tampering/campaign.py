"""The campaign: kind after kind, each judged by everyone, and clean archives of other shapes."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from audit_stream.bundle.build import build_bundle
from tests.campaigns.tampering import mutations
from tests.campaigns.tampering.api import Api
from tests.campaigns.tampering.archives import Changed
from tests.campaigns.tampering.bundles import Verifiers
from tests.campaigns.tampering.forgeries import Good
from tests.campaigns.tampering.judge import (
    GOOD,
    UNANCHORED,
    Judges,
    Outcome,
    Outcomes,
    judges,
    tools,
)
from tests.campaigns.tampering.scene import Scene, build
from tests.campaigns.tampering.table import KINDS, SHOWN, Finder, Kind
from tests.support import bundles
from tests.support.resealed import EMAIL, MESSAGES, OBJECTS

_TOGETHER = 4  # judged at a time: the browser is a process of its own


@dataclass
class Result:
    """How many of each kind were tried, what each finder said, and what was missed."""

    tried: Counter[str] = field(default_factory=Counter)
    said: Counter[tuple[str, Finder, Outcome]] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    false_alarms: list[str] = field(default_factory=list)

    def count(self, kind: Kind, outcomes: Outcomes, what: str) -> None:
        """One mutation; `what` says which, to try it again."""
        self.tried[kind.name] += 1
        for finder, outcome in outcomes.items():
            self.said[kind.name, finder, outcome] += 1
            if is_missed(kind, finder, outcome):
                self.missed.append(f"{kind.name}: {finder.value} {outcome.name}, {what}")


def is_missed(kind: Kind, finder: Finder, outcome: Outcome) -> bool:
    """Whether a finder said less than it must. Vouching for what is not so is never allowed."""
    if outcome is Outcome.WRONG:
        return True
    if kind.spared.get(finder) == SHOWN:
        return outcome is Outcome.SILENT
    return kind.must(finder) and outcome is not Outcome.FOUND


async def campaign(mutations: int, clean: int, seed: int) -> Result:
    """So many mutations, kind after kind, and so many clean archives."""
    scene, strangers = await build(), await _strangers()
    result, chance = Result(), random.Random(seed)
    async with tools() as (api, both):
        over = await judges(scene, api, both)
        good = Good(await over.good_bundle(), strangers, over.brought, await over.erased_bundle())
        for first in range(0, mutations, _TOGETHER):
            numbers = range(first, min(first + _TOGETHER, mutations))
            trials = [_trial(number, scene, good, over, chance) for number in numbers]
            outcomes = await asyncio.gather(*(judging for _, judging in trials))
            for number, (kind, _), each in zip(numbers, trials, outcomes, strict=True):
                result.count(kind, each, f"number {number} of seed {seed}")
        shapes = list(islice(_shapes(chance), clean))
        for first in range(0, clean, _TOGETHER):
            some = shapes[first : first + _TOGETHER]
            judged = await asyncio.gather(*(_clean_judged(shape, api, both) for shape in some))
            for shape, each in zip(some, judged, strict=True):
                result.false_alarms += [
                    f"clean archive {shape}: {finder.value} {outcome.name}"
                    for finder, outcome in each.items() if outcome is not Outcome.SILENT
                ]  # fmt: skip
    return result


def _trial(
    number: int, scene: Scene, good: Good, over: Judges, chance: random.Random
) -> tuple[Kind, Awaitable[Outcomes]]:
    """One mutation, made now, and its judging."""
    turn, at = divmod(number, len(KINDS))
    kind = KINDS[at]
    mutate, forge = mutations.of_archive(kind), mutations.of_bundle(kind)
    if mutate is not None:
        changed = mutate(scene, chance, turn)
        assert changed != Changed(scene.objects, scene.subjects), kind.name
        return kind, over.archive(changed, over.asked(changed, chance))
    assert forge is not None
    forged = forge(good, chance, turn)
    data, brought = forged if isinstance(forged, tuple) else (forged, good.brought)
    assert (data, brought) != (good.data, good.brought), kind.name
    return kind, over.bundle(data, brought)


async def _strangers() -> bytes:
    """A bundle of an archive that other keys made."""
    with tempfile.TemporaryDirectory() as folder:
        return build_bundle(await bundles.facts(await bundles.make(Path(folder))))


@dataclass(frozen=True)
class _Shape:
    topics: tuple[str, ...]
    segments: int  # of the longest topic
    batches: int  # behind the first
    everything: bool


def _shapes(chance: random.Random) -> Iterator[_Shape]:
    topics = sorted({name.split("/")[1] for name in OBJECTS})
    while True:
        some = tuple(sorted(chance.sample(topics, chance.randint(1, len(topics)))))
        yield _Shape(some, chance.randint(1, 5), chance.randint(0, 3),
                     EMAIL in some and chance.random() < 0.5)  # fmt: skip


async def _clean(shape: _Shape) -> tuple[Scene, bool]:
    """An archive of that shape, and whether a witness vouches for it."""
    long = sorted(name for name in OBJECTS if name.startswith(f"segments/{MESSAGES}/"))
    left_out = set(long[shape.segments :])
    base = {name: data for name, data in OBJECTS.items()
            if name.split("/")[1] in shape.topics and name not in left_out}  # fmt: skip
    scene = await build(
        base, everything=shape.everything, batches=shape.batches, stamped=False
    )  # fmt: skip
    return scene, shape.everything


async def _clean_judged(shape: _Shape, api: Api, both: Verifiers) -> Outcomes:
    scene, vouched = await _clean(shape)
    over, same = await judges(scene, api, both), Changed(scene.objects, scene.subjects)
    keys = over.asked(same, random.Random(repr(shape)))
    return await over.archive(same, keys, GOOD if vouched else UNANCHORED)
