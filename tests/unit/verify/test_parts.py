"""A part of an archive: what belongs to it, and what its verification can and cannot see."""

from __future__ import annotations

import pytest

from audit_stream.verify.part import Part, parse_part
from audit_stream.verify.report import Report, Verdict
from tests.support.resealed import (
    EMAIL,
    MESSAGES,
    OBJECTS,
    name,
    only,
    relinked,
    resigned,
    second_generation,
    verified,
)


def verified_part(objects: dict[str, bytes], text: str) -> Report:
    part = parse_part(text)
    assert part is not None
    chosen = {n: d for n, d in objects.items() if part.holds(n)}
    for chosen_name in chosen:
        assert chosen_name.startswith(part.prefixes)
    return verified(chosen, part=part)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", Part()), ("t", Part(topic="t")), ("t/", Part(topic="t")),
        ("t/3", Part(topic="t", partition=3)),
        ("t/1/3", Part(topic="t", generation=1, partition=3)),
        ("segments/t/00001/00003/", Part(topic="t", generation=1, partition=3)),
        (name("t", 60), Part(topic="t", generation=1, partition=0, base=60)),
        (name("t", 60, 2), Part(topic="t", generation=1, partition=0, base=60)),
        ("streams/t/00001.json", Part(topic="t", generation=1, stream_only=True)),
    ],
)  # fmt: skip
def test_a_part_is_read_off_its_name(text: str, part: Part) -> None:
    assert parse_part(text) == part


@pytest.mark.parametrize(
    "text", ["a b", "t/x", "t/1/2/3", "/", "t//1", "../t/x", "t/-1", "t/\u0661", "t/1\n"]
)
def test_other_names_are_no_part(text: str) -> None:
    assert parse_part(text) is None


def test_a_topic_is_not_another_one_that_begins_like_it() -> None:
    part = parse_part("out")
    assert part is not None
    assert not part.holds(name("out-rekeyed", 0))
    assert not part.holds("streams/out-rekeyed/00001.json")
    assert part.holds(name("out", 0))
    assert part.holds("streams/out/00001.json")


@pytest.mark.parametrize("text", [MESSAGES, f"{MESSAGES}/0", f"{MESSAGES}/1/0"])
def test_a_topic_or_partition_verifies_by_itself(text: str) -> None:
    report = verified_part(OBJECTS, text)
    assert report.verdict is Verdict.VERIFIED
    assert (report.segments, report.records) == (5, 88)


@pytest.mark.parametrize("base", [0, 60, 120, 180, 240])
def test_one_segment_verifies_whatever_stands_beside_it(base: int) -> None:
    objects = {n: b"junk" if n.startswith("segments/") else d for n, d in OBJECTS.items()}
    target = name(MESSAGES, base)
    report = verified_part(objects | {target: OBJECTS[target]}, target)
    assert (report.verdict, report.segments) == (Verdict.VERIFIED, 1)
    assert any("alone" in note for note in report.notes)
    assert verified_part(objects, target).problems[0].step == "V1"


def test_what_is_wrong_elsewhere_is_not_this_parts() -> None:
    objects = OBJECTS | {name(EMAIL, 0): b"junk"}
    assert verified_part(objects, MESSAGES).verdict is Verdict.VERIFIED
    assert verified_part(objects, EMAIL).verdict is Verdict.FAILED
    assert verified_part(objects, "").verdict is Verdict.FAILED


def test_generations_are_held_against_each_other_where_both_are_there() -> None:
    objects = second_generation(MESSAGES)
    for text in ("", MESSAGES, f"{MESSAGES}/0", f"{MESSAGES}/2/0", "streams/" + MESSAGES +
                 "/00002.json", name(MESSAGES, 60, generation=2)):  # fmt: skip
        assert verified_part(objects, text).verdict is Verdict.VERIFIED, text
    del objects[name(MESSAGES, 251)]  # the end
    for text in ("", MESSAGES, f"{MESSAGES}/0"):
        assert [p.step for p in verified_part(objects, text).problems] == ["V14"], text
    assert verified_part(objects, f"{MESSAGES}/2/0").verdict is Verdict.VERIFIED


def test_a_broken_chain_is_not_blamed_on_the_next_generation() -> None:
    objects = second_generation(MESSAGES)
    objects[name(MESSAGES, 60)] = resigned(objects[name(MESSAGES, 60)], seq=9)
    assert [p.step for p in verified(objects).problems] == ["V11"]


@pytest.mark.parametrize(
    ("text", "names", "there"),
    [
        ("", [], False), ("", ["x", "maps/1.json"], False), ("", ["streams/t/00001.json"], True),
        ("t", ["streams/t/00001.json"], True), ("t/0", ["streams/t/00001.json"], False),
        ("t/0", ["streams/t/00001.json", name("t", 0)], True),
        ("streams/t/00001.json", ["streams/t/00001.json"], True),
    ],
)  # fmt: skip
def test_a_part_is_there_when_it_has_something_to_verify(
    text: str, names: list[str], there: bool
) -> None:
    part = parse_part(text)
    assert part is not None
    assert part.is_there(names) is there


def test_an_empty_part_verifies_nothing() -> None:
    report = verified({})
    assert (report.verdict, report.segments, report.streams) == (Verdict.VERIFIED, 0, 0)
    assert relinked(only("nosuch")) == {}
