"""What a receiver's answers to probes show, and what they do not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.delivery.outcome import Answer
from audit_stream.delivery.probing import (
    Check,
    Judgement,
    Probe,
    Seen,
    Verdict,
    count_in,
    judge,
    parse_check,
    seen,
)
from audit_stream.errors import FormatError, UnknownVersion

PROBE = Probe("test.example/archive", "0123456789abcdef", "2026-11-26T08:00:00.000Z")
OTHER = PROBE.beside("soon")
YES, NO, UNKNOWN = Verdict.HONOURED, Verdict.NOT_HONOURED, Verdict.UNKNOWN


def at(place: str, status: int = 201) -> Answer:
    return Answer(status=status, headers={"location": place})


def saying(**members: object) -> Answer:
    return Answer(status=200, body=json.dumps(members).encode())


def judged(
    first: Answer, again: Answer, other: Answer, count: int | None = None
) -> Verdict:  # fmt: skip
    found = judge(seen(first, PROBE), seen(again, PROBE), seen(other, OTHER), count)
    assert found.why
    return found.verdict


@pytest.mark.parametrize(("first", "again", "other", "verdict"), [
    (at("/r/1"), at("/r/1"), at("/r/2"), YES),
    (at("https://siem.example/r/1"), at("/r/1"), at("/r/2"), YES),
    (at("/r/1"), at("/r/2"), at("/r/3"), NO),
    (at("/r/1"), at("/r/1", 200), at("/r/2"), YES),
    (at("/r"), at("/r"), at("/r"), UNKNOWN),  # the same for any post
    (at("/status/1", 202), at("/status/2", 202), at("/status/3", 202), UNKNOWN),  # of requests
    (at("/status/1", 202), at("/status/1", 202), at("/status/2", 202), YES),
    (at(f"/status/{PROBE.key}", 202), at(f"/status/{PROBE.key}", 202),
     at(f"/status/{OTHER.key}", 202), UNKNOWN),  # of the key that was posted
    (saying(id="a"), saying(id="a"), saying(id="b"), YES),
    (saying(id=1, at="1"), saying(id=1, at="2"), saying(id=2, at="3"), YES),
    (saying(id="a"), saying(id="b"), saying(id="c"), NO),
    (saying(request_id="a"), saying(request_id="b"), saying(request_id="c"), UNKNOWN),
    (saying(status="ok"), saying(status="ok"), saying(status="ok"), UNKNOWN),
    (saying(key=PROBE.key), saying(key=PROBE.key), saying(key=OTHER.key), UNKNOWN),  # an echo
    (saying(probe_id=PROBE.probe_id), saying(probe_id=PROBE.probe_id),
     saying(probe_id=OTHER.probe_id), UNKNOWN),
    (Answer(status=200), Answer(status=200), Answer(status=200), UNKNOWN),
    (Answer(status=200, body=b"[1]"), Answer(status=200, body=b"[1]"), Answer(status=200), UNKNOWN),
    (Answer(status=200), Answer(status=409), Answer(status=200), YES),
    (Answer(status=200), Answer(status=422), Answer(status=200), UNKNOWN),
    (Answer(status=200), Answer(status=200, headers={"idempotent-replayed": "true"}),
     Answer(status=200), YES),
    (Answer(status=200), Answer(status=200, headers={"idempotent-replayed": "false"}),
     Answer(status=200), UNKNOWN),
])  # fmt: skip
def test_answers(first: Answer, again: Answer, other: Answer, verdict: Verdict) -> None:
    assert judged(first, again, other) is verdict


@pytest.mark.parametrize(("count", "verdict"), [(0, UNKNOWN), (1, YES), (2, NO), (3, NO)])
def test_where_it_can_be_counted_the_count_alone_counts(count: int, verdict: Verdict) -> None:
    for again in (at("/r/1"), at("/r/2")):
        assert judged(at("/r/1"), again, at("/r/3"), count) is verdict


@given(st.integers(200, 599), st.text(max_size=20), st.dictionaries(st.text(), st.text()))
def test_what_is_the_same_for_every_post_never_shows_that_a_key_is_honoured(
    status: int, place: str, members: dict[str, str]
) -> None:
    answer = Answer(status=status, headers={"location": place}, body=json.dumps(members).encode())
    verdict = judged(answer, answer, answer)
    assert verdict is (YES if status == 409 else UNKNOWN)


def test_a_probe_is_clearly_one_and_each_post_of_it_the_same() -> None:
    value = json.loads(PROBE.body)
    assert value["v"] == "audit-probe/1"
    assert "no message and no person" in value["note"]
    assert (PROBE.body, PROBE.key) == (Probe(*_parts(PROBE)).body, "audit-probe:0123456789abcdef")
    assert len({PROBE.key, OTHER.key, PROBE.beside("later").key}) == 3


def _parts(probe: Probe) -> tuple[str, str, str]:
    return probe.archive, probe.probe_id, probe.at


def test_what_is_kept_of_an_answer_holds_nothing_of_its_text() -> None:
    found = seen(Answer(status=201, headers={"location": "/secret?sig=abc"},
                        body=b'{"id":"token-abc"}'), PROBE)  # fmt: skip
    check = Check(target="siem", probe=PROBE, began=1, first=found)
    assert b"abc" not in check.encode().replace(PROBE.probe_id.encode(), b"")
    assert b"secret" not in check.encode()


CHECK = Check(
    target="siem", probe=PROBE, began=1_000, first=Seen(201, False, "ab", {"id": "cd"}),
    soon=Judgement(YES, "one place"), later=Judgement(NO, "two"), remembered=86_400,
)  # fmt: skip


@pytest.mark.parametrize("check", [CHECK, Check(target="siem", probe=PROBE, began=0)])
def test_the_state_is_read_as_it_was_kept(check: Check) -> None:
    assert parse_check(check.encode(), "x") == check


@pytest.mark.parametrize(("bad", "error"), [
    (b"", FormatError), (b"{}", FormatError),
    (CHECK.encode().replace(b"audit-delivery-check/1", b"audit-delivery-check/2"), UnknownVersion),
    (CHECK.encode().replace(b'"honoured"', b'"sometimes"'), FormatError),
    (CHECK.encode().replace(b'"began":1000', b'"began":"soon"'), FormatError),
])  # fmt: skip
def test_anything_else_is_no_state(bad: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_check(bad, "x")


def test_the_worse_verdict_counts() -> None:
    assert CHECK.judgement == CHECK.later
    assert Check(target="s", probe=PROBE, began=0).judgement is None


def test_the_last_post_is_due_a_day_after_the_first() -> None:
    assert not CHECK.is_due(1_000 + 86_399)
    assert CHECK.is_due(1_000 + 86_400)
    assert not Check(target="s", probe=PROBE, began=0).is_due(1e9)  # its first answer was lost


@pytest.mark.parametrize(("body", "count"), [(b"3", 3), (b'{"count":0}', 0)])
def test_counts(body: bytes, count: int) -> None:
    assert count_in(Answer(status=200, body=body)) == count


@pytest.mark.parametrize("answer", [
    Answer(status=200), Answer(status=404, body=b"1"), Answer(status=200, body=b"-1"),
    Answer(status=200, body=b"true"), Answer(status=200, body=b'{"count":"1"}'),
    Answer(status=200, body=b"<html>"),
])  # fmt: skip
def test_what_is_no_count_is_not_taken_for_one(answer: Answer) -> None:
    with pytest.raises(FormatError, match="no count"):
        count_in(answer)
