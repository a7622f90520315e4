"""A generation that was closed: its end fits, is the last, and is followed by another one."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from audit_stream.evidence.ending import Ending
from audit_stream.evidence.layout import stream_name
from audit_stream.evidence.signing import LineSigner
from audit_stream.verify.part import Part
from audit_stream.verify.report import Verdict
from tests.support.resealed import (
    EMAIL,
    MESSAGES,
    SIGNER,
    ending_of,
    name,
    only,
    resigned,
    second_generation,
    steps,
    stream_of,
    verified,
)

OBJECTS = second_generation(MESSAGES, closed=False)
ENDING = ending_of(OBJECTS, MESSAGES)


def closed(ending: Ending = ENDING, attempt: int = 0) -> dict[str, bytes]:
    return OBJECTS | {name(MESSAGES, ending.base, attempt): ending.encode(SIGNER)}


def test_a_closed_generation_and_the_next_one_verify() -> None:
    report = verified(closed())
    assert report.verdict is Verdict.VERIFIED
    assert (report.segments, report.streams, report.notes) == (10, 2, verified(OBJECTS).notes)


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"archive": "other"}, "V5"), ({"stream": "3" * 32}, "V5"), ({"seq": 9}, "V11"),
        ({"prev": "0" * 64}, "V11"), ({"last": 60}, "V11"), ({"topic": EMAIL}, "V3"),
        ({"generation": 2}, "V3"), ({"partition": 1}, "V3"),
        ({"void": [{"name": "n", "sha256": "0" * 64}]}, "V3"),
    ],
)  # fmt: skip
def test_an_end_must_fit_its_chain(changes: dict[str, Any], step: str) -> None:
    ending = replace(ENDING, **changes)
    objects = OBJECTS | {name(MESSAGES, ENDING.base): ending.encode(SIGNER)}
    report = verified(objects)
    assert [problem.step for problem in report.problems][:1] == [step]


def test_an_end_stands_where_the_next_segment_would() -> None:
    assert steps(closed(replace(ENDING, base=ENDING.base + 1))) == ["V11"]


def test_nothing_is_sealed_behind_an_end() -> None:
    late = resigned(
        OBJECTS[name(MESSAGES, 240)], base=ENDING.base + 11, next=ENDING.base + 22, seq=ENDING.seq
    )
    report = verified(closed() | {name(MESSAGES, ENDING.base + 11): late})
    assert [problem.step for problem in report.problems] == ["V11"]
    assert "behind the end" in report.problems[0].what


def test_a_segment_beside_the_end_is_a_fork() -> None:
    base = ENDING.base
    rival = resigned(
        OBJECTS[name(MESSAGES, 240)], base=base, next=base + 11, seq=ENDING.seq, prev=ENDING.prev,
        void=[{"name": name(MESSAGES, base), "sha256": "0" * 64}],
    )  # fmt: skip
    assert steps(closed() | {name(MESSAGES, base, 1): rival}) == ["V11"]


def test_junk_before_an_end_is_named_by_it() -> None:
    junk = {"name": name(MESSAGES, ENDING.base), "sha256": sha256(b"junk").hexdigest()}
    objects = closed(replace(ENDING, void=[junk]), 1) | {junk["name"]: b"junk"}
    assert steps(objects) == []
    assert steps(objects | {junk["name"]: b"other"}) == ["V12"]


def test_an_end_nobody_trusted_signed_is_found() -> None:
    forged = ENDING.encode(LineSigner(bytes(32)))
    assert steps(OBJECTS | {name(MESSAGES, ENDING.base): forged}) == ["V4", "V14"]


def test_an_end_that_was_dropped_is_missed_by_the_generation_behind_it() -> None:
    report = verified(OBJECTS)
    assert [(p.step, p.name) for p in report.problems] == [("V14", stream_name(MESSAGES, 2))]
    assert "nothing ends partition 0" in report.problems[0].what


def test_a_generation_dropped_whole_is_missed_by_the_end_before_it() -> None:
    objects = {n: data for n, data in closed().items() if "/00002" not in n}
    report = verified(objects)
    assert [(p.step, p.name) for p in report.problems] == [("V14", stream_name(MESSAGES, 2))]


def test_a_partition_that_was_closed_empty_verifies() -> None:
    stream = stream_of(EMAIL)
    ending = Ending(
        archive=stream.archive, base=0, ended_at="2026-11-25T01:00:00.000Z", generation=1,
        last=None, partition=0, prev=None, seq=0, stream=stream.stream, topic=EMAIL, void=[],
    )  # fmt: skip
    following = replace(
        stream, generation=2, stream="2" * 32,
        ended=[{"leaf": None, "next": 0, "partition": 0}],
    )  # fmt: skip
    objects = {n: data for n, data in only(EMAIL).items() if not n.startswith("segments/")}
    objects[name(EMAIL, 0)] = ending.encode(SIGNER)
    objects[stream_name(EMAIL, 2)] = following.encode(SIGNER)
    assert steps(objects) == []


def test_an_end_can_be_verified_alone() -> None:
    objects = closed()
    part = Part(topic=MESSAGES, generation=1, partition=0, base=ENDING.base)
    names = {n: data for n, data in objects.items() if part.holds(n) or n.startswith("streams/")}
    assert verified(names, part=part).problems == []
