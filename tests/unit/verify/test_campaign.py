"""The short form of ``python -m tests.campaigns.tampering``, and that it notices what it should."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace

import pytest

from audit_stream.evidence.canonical import parse_line
from tests.campaigns.tampering import archives, fields, insiders, mutations
from tests.campaigns.tampering.campaign import campaign, is_missed
from tests.campaigns.tampering.judge import Outcome, verify
from tests.campaigns.tampering.scene import Scene, build
from tests.campaigns.tampering.table import KINDS, SHOWN, Finder


@pytest.fixture(scope="module")
def scene() -> Scene:
    return asyncio.run(build())


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_each_finder_finds_what_it_must_and_nothing_in_clean_archives() -> None:
    result = await campaign(mutations=300, clean=100, seed=2)
    assert result.missed == []
    assert result.false_alarms == []
    assert result.tried.keys() == {kind.name for kind in KINDS}


def test_each_kind_has_its_mutation_and_each_finder_its_word() -> None:
    assert mutations.UNMATCHED == []
    assert max(Counter(kind.name for kind in KINDS).values()) == 1
    for kind in KINDS:
        assert set(kind.spared) <= set(Finder)
        archive = mutations.of_archive(kind) is not None
        # Only what the archive proves nothing by may pass `verify`, and each names its reason.
        assert not archive or kind.must(Finder.VERIFY) or kind.spared[Finder.VERIFY] != SHOWN


def test_each_format_of_the_archive_is_in_the_table(scene: Scene) -> None:
    named = {(kind.what, mutations.WAYS[kind.how]) for kind in KINDS if kind.group == "fields"}
    assert set(archives.formats(scene)) == named


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_verify_finds_a_bit_of_each_field(scene: Scene) -> None:
    chance, missed, tried = random.Random(4), [], set()
    for line in fields.lines(scene.objects):
        for place in fields.places(parse_line(line.value, "it")):
            for way, put in line.ways.items():
                what = (line.format, way, fields.name_of(place))
                objects = put(fields.changed(line.value, place, chance))
                if what in tried or objects == scene.objects:
                    continue
                tried.add(what)
                if verify(objects, scene) is not Outcome.FOUND:
                    missed.append(what)
    assert len(tried) > 250
    # An end is no leaf: who holds the segment key can sign another time into it.
    assert missed == [("end, line 1", fields.FITTED, "ended_at")]


def test_a_cut_end_needs_the_checkpoint_that_was_kept(scene: Scene) -> None:
    """What only a checkpoint from outside can show: else the campaign would prove too much."""
    whole = asyncio.run(build(everything=False))
    changed = insiders.begun_anew(whole, random.Random(1), 0)
    assert verify(changed.objects, whole) is Outcome.FOUND
    assert verify(changed.objects, replace(whole, kept=())) is Outcome.SILENT


@pytest.mark.parametrize(
    ("must", "outcome", "missed"),
    [
        (True, Outcome.FOUND, False), (True, Outcome.SHOWN, True), (True, Outcome.SILENT, True),
        (True, Outcome.WRONG, True), (SHOWN, Outcome.FOUND, False), (SHOWN, Outcome.SHOWN, False),
        (SHOWN, Outcome.SILENT, True), (SHOWN, Outcome.WRONG, True),
        (False, Outcome.FOUND, False), (False, Outcome.SILENT, False),
        (False, Outcome.WRONG, True),
    ],
)  # fmt: skip
def test_what_counts_as_a_miss(must: bool | str, outcome: Outcome, missed: bool) -> None:
    finder = Finder.FRESH

    def fits(kind: object) -> bool:
        why = kind.spared.get(finder)  # type: ignore[attr-defined]
        return {True: why is None, SHOWN: why == SHOWN, False: why not in (None, SHOWN)}[must]

    kind = next(each for each in KINDS if fits(each))
    assert is_missed(kind, finder, outcome) is missed


def test_a_field_that_is_new_is_changed_by_itself() -> None:
    """Fields are read off what stands there."""
    value = b'{"a":{"new":[1,{"deep":null}]},"b":""}'
    names = [fields.name_of(place) for place in fields.places(parse_line(value, "it"))]
    assert names == ["a.new.[]", "a.new.[].deep", "b"]
    chance = random.Random(1)
    for place in fields.places(parse_line(value, "it")):
        assert fields.changed(value, place, chance) != value
