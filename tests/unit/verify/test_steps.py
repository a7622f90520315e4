"""Each numbered step, failing alone: everything else about the archive is made to fit."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import orjson
import pytest

from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.layout import stream_name
from audit_stream.evidence.segment import decode, encode
from audit_stream.verify.report import Verdict
from tests.support.resealed import (
    EMAIL,
    MESSAGES,
    OBJECTS,
    SIGNER,
    edited,
    end_of,
    name,
    only,
    relinked,
    resigned,
    second_generation,
    steps,
    stream_of,
    verified,
)

BASES = (0, 60, 120, 180, 240)
JUNK = b"not a segment"


def records(topic: str, base: int) -> list[dict[str, object]]:
    lines = decode(OBJECTS[name(topic, base)], "x").record_lines()
    return [orjson.loads(line)["pub"] for line in lines]


def rise_at() -> tuple[int, int]:
    """(base, index) of the first record that supersedes another."""
    return next(
        (base, index)
        for base in BASES
        for index, pub in enumerate(records(MESSAGES, base))
        if pub["supersedes"] is not None
    )


# -- V1, V2: form


@pytest.mark.parametrize("depth", [10, 300, 900, 5000])
def test_a_header_nested_deep_is_refused_like_any_other(depth: int) -> None:
    line = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    hostile = encode(line, SIGNER.signature_line(line), b"")
    assert steps(only(EMAIL) | {name(EMAIL, 0): hostile}) == ["V2"]


def test_a_listed_object_that_is_gone_is_found() -> None:
    assert steps(only(EMAIL) | {name(EMAIL, 0): b""}) == ["V1"]


# -- V3: the name


def test_a_signed_segment_under_another_name_is_never_junk() -> None:
    objects = only(EMAIL)
    data = objects[name(EMAIL, 0)]
    assert steps(objects | {name(EMAIL, 0, 1): data}) == ["V3"]
    void = [{"name": name(EMAIL, 0), "sha256": sha256(OBJECTS[name(MESSAGES, 0)]).hexdigest()}]
    passed = {
        name(EMAIL, 0): OBJECTS[name(MESSAGES, 0)],
        name(EMAIL, 0, 1): resigned(data, void=void),
    }
    assert steps(objects | passed)[0] == "V3"


# -- V5: the stream


def test_a_partition_the_stream_does_not_have_is_found() -> None:
    objects = only(EMAIL)
    moved = resigned(objects[name(EMAIL, 0)], partition=1)
    objects[name(EMAIL, 0).replace("/00000/", "/00001/")] = moved
    assert steps(objects) == ["V5"]


@pytest.mark.parametrize("field", ["archive", "stream"])
def test_a_segment_of_another_stream_is_found(field: str) -> None:
    other = {"archive": "another", "stream": "9" * 32}[field]
    changed = resigned(OBJECTS[name(EMAIL, 0)], **{field: other})
    report = verified(only(EMAIL) | {name(EMAIL, 0): changed})
    assert [(p.step, field in p.what) for p in report.problems] == [("V5", True)]


# -- V9: position and time


def archived_ends(topic: str, field: str) -> int | None:
    """A base whose first (or last) present record is archived."""
    for base in BASES:
        if (found := name(topic, base)) in OBJECTS:
            letters = decode(OBJECTS[found], "x").header.ledger
            if letters.lstrip("0123456789xl")[0 if field == "first_ts" else -1] == "a":
                return base
    return None


@pytest.mark.parametrize("field", ["first_ts", "last_ts"])
@pytest.mark.parametrize("shift", [-1, 1, 1000])
def test_the_ends_of_a_segment_are_the_times_of_its_records(field: str, shift: int) -> None:
    found = next(
        (t, b) for t in (MESSAGES, EMAIL) if (b := archived_ends(t, field)) is not None
    )  # fmt: skip
    objects = only(found[0])
    target = name(*found)
    stamp = getattr(decode(objects[target], "x").header, field)
    objects[target] = resigned(objects[target], **{field: stamp + shift})
    report = verified(relinked(objects))
    assert [problem.step for problem in report.problems] == ["V9"]
    assert field in report.problems[0].what


def test_times_may_step_back_between_the_ends() -> None:
    pub = records(EMAIL, 0)[3]
    stamp = str(pub["ingestion_timestamp"]).encode()
    late = edited(OBJECTS[name(EMAIL, 0)], 3, (stamp, b"2031-01-01T00:00:00.000Z"))
    assert steps(only(EMAIL) | {name(EMAIL, 0): late}) == []


@pytest.mark.parametrize(
    "time",
    [b"2026-02-30T00:00:00.000Z", b"2026-13-01T00:00:00.000Z", b"2026-11-25T24:00:00.000Z",
     b"2026-11-25T00:60:00.000Z", "202\u0666-11-25T00:00:00.000Z".encode()],
)  # fmt: skip
def test_a_time_that_is_none_is_found(time: bytes) -> None:
    stamp = str(records(EMAIL, 0)[3]["ingestion_timestamp"]).encode()
    changed = edited(OBJECTS[name(EMAIL, 0)], 3, (stamp, time))
    assert steps(only(EMAIL) | {name(EMAIL, 0): changed}) in (["V9"], ["V8"])


def test_the_problem_names_object_line_and_field() -> None:
    changed = edited(OBJECTS[name(EMAIL, 0)], 2, (b'"revision":1', b'"revision":0'))
    problem = verified(only(EMAIL) | {name(EMAIL, 0): changed}).problems[0]
    assert str(problem) == f"V8 {name(EMAIL, 0)}: line 5 revision is not a positive integer"


# -- V11: the chain


@pytest.mark.parametrize("base", BASES[1:])
@pytest.mark.parametrize(
    "changes", [{"seq": 7}, {"prev": "0" * 64}, {"key_epoch": 0}], ids=["seq", "prev", "epoch"]
)
def test_a_segment_that_does_not_continue_is_found(base: int, changes: dict[str, object]) -> None:
    objects = only(MESSAGES)
    target = name(MESSAGES, base)
    objects[target] = resigned(objects[target], **changes)
    report = verified(objects)
    assert (report.problems[0].step, report.problems[0].name) == ("V11", target)


def test_a_key_epoch_may_rise_and_stay() -> None:
    objects = only(MESSAGES)
    for base in BASES[2:]:
        objects[name(MESSAGES, base)] = resigned(objects[name(MESSAGES, base)], key_epoch=9)
    assert steps(relinked(objects)) == []


def test_a_key_epoch_that_falls_is_found() -> None:
    objects = only(MESSAGES)
    objects[name(MESSAGES, 60)] = resigned(objects[name(MESSAGES, 60)], key_epoch=9)
    report = verified(relinked(objects))
    assert [(p.step, p.name) for p in report.problems] == [("V11", name(MESSAGES, 120))]


def test_a_chain_that_starts_behind_genesis_is_found() -> None:
    objects = only(MESSAGES)
    del objects[name(MESSAGES, 0)]
    assert steps(relinked(objects))[0] == "V11"


def test_an_overlap_is_found() -> None:
    objects = only(EMAIL)
    first = decode(objects[name(EMAIL, 0)], "x").header
    again = resigned(objects[name(EMAIL, 0)], [], base=first.next - 1, next=first.next, count=0,
                     ledger="x", first_ts=None, last_ts=None)  # fmt: skip
    objects[name(EMAIL, first.next - 1)] = again
    report = verified(relinked(objects))
    assert [problem.step for problem in report.problems] == ["V11"]
    assert "twice" in report.problems[0].what


# -- V12: junk


def test_an_object_behind_the_segment_at_its_base_is_found() -> None:
    assert steps(only(EMAIL) | {name(EMAIL, 0, 1): JUNK}) == ["V12"]


def passed_over(*void: dict[str, str], attempt: int | None = None) -> dict[str, bytes]:
    objects = only(EMAIL)
    good = objects.pop(name(EMAIL, 0))
    attempt = len(void) if attempt is None else attempt
    return objects | {name(EMAIL, 0, attempt): resigned(good, void=list(void))}


def void_of(attempt: int, data: bytes = JUNK) -> dict[str, str]:
    return {"name": name(EMAIL, 0, attempt), "sha256": sha256(data).hexdigest()}


def test_junk_that_is_named_is_passed_over() -> None:
    objects = passed_over(void_of(0), void_of(1, b"other"))
    assert steps(objects | {name(EMAIL, 0): JUNK, name(EMAIL, 0, 1): b"other"}) == []


def test_junk_that_is_gone_changed_or_reordered_is_found() -> None:
    one, two = name(EMAIL, 0), name(EMAIL, 0, 1)
    objects = passed_over(void_of(0), void_of(1, b"other"))
    assert steps(objects) == ["V12"]
    assert steps(objects | {one: JUNK}) == ["V12"]
    assert steps(objects | {one: JUNK, two: JUNK}) == ["V12"]
    swapped = passed_over(void_of(1, b"other"), void_of(0))
    assert steps(swapped | {one: JUNK, two: b"other"}) == ["V12"]


def test_only_junk_at_a_base_is_found() -> None:
    assert steps(only(EMAIL) | {name(EMAIL, 0): JUNK}) == ["V1"]
    end = end_of(only(EMAIL), EMAIL)["next"]
    assert steps(only(EMAIL) | {name(EMAIL, int(str(end))): JUNK}) == ["V1"]


# -- V13: revisions


@pytest.mark.parametrize("revision", [b"1", b"3", b"4", b"5", b"900719925474099"])
def test_a_revision_that_does_not_follow_is_found(revision: bytes) -> None:
    base, index = rise_at()
    objects = only(MESSAGES)
    target = name(MESSAGES, base)
    assert records(MESSAGES, base)[index]["revision"] == 2
    swap = (b'"revision":2', b'"revision":' + revision)
    objects[target] = edited(objects[target], index, swap)
    report = verified(relinked(objects))
    assert [(p.step, p.name) for p in report.problems] == [("V13", target)]
    assert f"line {index + 3} revision" in report.problems[0].what


@pytest.mark.parametrize("before", [b"null", b'"x"', b'"outbound_message_status_update/1/0/5999"'])
def test_a_superseded_record_that_is_not_the_one_before_is_found(before: bytes) -> None:
    base, index = rise_at()
    objects = only(MESSAGES)
    target = name(MESSAGES, base)
    old = f'"supersedes":"{records(MESSAGES, base)[index]["supersedes"]}"'.encode()
    objects[target] = edited(objects[target], index, (old, b'"supersedes":' + before))
    assert steps(relinked(objects)) == ["V13"]


def test_a_status_that_does_not_rise_is_found() -> None:
    base, index = rise_at()
    objects = only(MESSAGES)
    target = name(MESSAGES, base)
    old = f'"delivery_status":"{records(MESSAGES, base)[index]["delivery_status"]}"'.encode()
    objects[target] = edited(objects[target], index, (old, b'"delivery_status":"DELIVERED"'))
    report = verified(relinked(objects))
    assert [problem.step for problem in report.problems] == ["V13"]
    assert "delivery_status is no rise" in report.problems[0].what


# -- V14: generations


def test_a_second_generation_that_fits_verifies() -> None:
    report = verified(second_generation(MESSAGES))
    assert report.verdict is Verdict.VERIFIED
    assert (report.segments, report.streams) == (10, 2)


@pytest.mark.parametrize(
    "ended",
    [
        None, [], [{"leaf": "0" * 64, "next": 251, "partition": 0}],
        [{"leaf": None, "next": 0, "partition": 0}],
        [end_of(OBJECTS, MESSAGES) | {"next": 1}],
        [end_of(OBJECTS, MESSAGES) | {"partition": 1}],
        [end_of(OBJECTS, MESSAGES) | {"partition": []}],
        [end_of(OBJECTS, MESSAGES) | {"partition": "0"}],
        [end_of(OBJECTS, MESSAGES) | {"partition": False}],
        [end_of(OBJECTS, MESSAGES), end_of(OBJECTS, MESSAGES)],
    ],
)  # fmt: skip
def test_ended_must_fit_the_generation_before(ended: list[dict[str, object]] | None) -> None:
    objects = second_generation(MESSAGES, lambda stream: replace(stream, ended=ended))
    report = verified(objects)
    assert [(p.step, p.name) for p in report.problems] == [("V14", stream_name(MESSAGES, 2))]


def test_a_segment_dropped_from_an_ended_generation_is_found_even_if_it_is_the_last() -> None:
    objects = second_generation(MESSAGES)
    del objects[name(MESSAGES, 240)]
    assert steps(objects) == ["V11"]
    del objects[name(MESSAGES, 251)]  # and the end behind it
    assert steps(objects) == ["V14"]


def test_the_first_generation_has_none_before_it() -> None:
    stream = replace(stream_of(EMAIL), ended=[]).encode(SIGNER)
    assert steps(only(EMAIL) | {stream_name(EMAIL, 1): stream}) == ["V14"]


def test_a_generation_that_is_missing_is_found() -> None:
    objects = {n: d for n, d in second_generation(MESSAGES).items() if "/00001" not in n}
    assert steps(objects) == ["V14"]


def test_genesis_names_as_many_partitions_as_there_are() -> None:
    stream = replace(stream_of(EMAIL), partitions=2).encode(SIGNER)
    assert steps(only(EMAIL) | {stream_name(EMAIL, 1): stream}) == ["V14"]


def test_a_newer_stream_object_cannot_be_judged() -> None:
    value = orjson.loads(stream_of(EMAIL).line()) | {"v": "audit-stream/2"}
    line = canonical(value)
    newer = line + b"\n" + SIGNER.signature_line(line) + b"\n"
    report = verified(only(EMAIL) | {stream_name(EMAIL, 1): newer})
    assert report.verdict is Verdict.CANNOT_JUDGE
    assert [problem.step for problem in report.unknown] == ["V14"]


def test_a_newer_segment_hides_no_tampering_elsewhere() -> None:
    objects = only(MESSAGES)
    objects[name(MESSAGES, 60)] = resigned(objects[name(MESSAGES, 60)], v="audit-segment/2")
    assert verified(objects).verdict is Verdict.CANNOT_JUDGE
    objects[name(MESSAGES, 180)] = objects[name(MESSAGES, 180)][:-1]
    assert verified(objects).verdict is Verdict.FAILED


# -- V15, V0


def test_a_missing_map_is_found_and_only_all_zeros_is_a_stand_in() -> None:
    for stand_in in ("0" * 63 + "1", "f" * 64):
        changed = resigned(OBJECTS[name(EMAIL, 0)], status_map=stand_in)
        assert steps(only(EMAIL) | {name(EMAIL, 0): changed}) == ["V15"]


@pytest.mark.parametrize(
    "strange",
    ["notes.txt", "segments/x", f"{name(EMAIL, 0)}.tmp", "streams/x", "log/1.json",
     "segments/t/0000\u0661/00000/00000000000000000000.ndjson.gz", "streams/t/0000\u0661.json"],
)  # fmt: skip
def test_unknown_names_are_noted_and_no_failure(strange: str) -> None:
    report = verified(only(EMAIL) | {strange: b"x"})
    assert report.verdict is Verdict.VERIFIED
    assert any(strange in note for note in report.notes)


def test_only_what_verified_is_counted() -> None:
    objects = only(MESSAGES)
    objects[name(MESSAGES, 240)] = JUNK
    report = verified(objects)
    assert (report.segments, report.offsets) == (4, 240)
    assert report.dispositions.total() == 240
    assert report.by_partition[MESSAGES, 0] == report.by_topic[MESSAGES] == report.dispositions
