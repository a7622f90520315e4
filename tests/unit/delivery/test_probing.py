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
BEFORE, AFTER = PROBE.others("soon")
YES, NO, UNKNOWN = Verdict.HONOURED, Verdict.NOT_HONOURED, Verdict.UNKNOWN


def at(place: str, status: int = 201) -> Answer:
    return Answer(status=status, headers={"location": place})


def saying(**members: object) -> Answer:
    return Answer(status=200, body=json.dumps(members).encode())


def judged(first: Answer, before: Answer, again: Answer, after: Answer,
           count: int | None = None) -> Verdict:  # fmt: skip
    others = [seen(before, BEFORE), seen(after, AFTER)]
    found = judge(seen(first, PROBE), seen(again, PROBE), others, count)
    assert found.why
    return found.verdict


def replayed(said: str) -> Answer:
    return Answer(status=200, headers={"idempotent-replayed": said})


OK = Answer(status=200)


@pytest.mark.parametrize(("answers", "verdict"), [
    ([at("/r/1"), at("/r/2"), at("/r/1"), at("/r/3")], YES),
    ([at("https://siem.example/r/1"), at("/r/2"), at("/r/1"), at("/r/3")], YES),
    ([at("/r/1"), at("/r/2"), at("/r/3"), at("/r/4")], NO),
    ([at("/r/1"), at("/r/2"), at("/r/1", 200), at("/r/3")], YES),
    ([at("/r")] * 4, UNKNOWN),  # the same for any post
    ([at("/sha/of-the-body")] * 4, UNKNOWN),
    ([at("/a/1"), at("/b/1"), at("/a/1"), at("/b/1")], UNKNOWN),  # two machines in turns
    ([at("/status/1", 202), at("/status/2", 202), at("/status/3", 202), at("/status/4", 202)],
     UNKNOWN),  # of requests
    ([at("/status/1", 202), at("/status/2", 202), at("/status/1", 202), at("/status/3", 202)], YES),
    ([at(f"/status/{each.key}", 202) for each in (PROBE, BEFORE, PROBE, AFTER)],
     UNKNOWN),  # of the key that was posted
    ([saying(id=each) for each in "abac"], YES),
    ([saying(id=each, at=str(n)) for n, each in enumerate([1, 2, 1, 3])], YES),
    ([saying(id=each) for each in "abcd"], NO),
    ([saying(request_id=each) for each in "abcd"], UNKNOWN),
    ([saying(status="ok")] * 4, UNKNOWN),
    ([saying(second=each) for each in (1, 1, 1, 2)], UNKNOWN),  # a clock that ticks at the end
    ([saying(node=each) for each in "abab"], UNKNOWN),
    ([saying(node=each) for each in "abcabc"[:4]], UNKNOWN),
    ([saying(sum="of the body", bytes=186)] * 4, UNKNOWN),
    ([saying(key=each.key) for each in (PROBE, BEFORE, PROBE, AFTER)], UNKNOWN),  # an echo
    ([saying(said=f"took {each.key}.") for each in (PROBE, BEFORE, PROBE, AFTER)], UNKNOWN),
    ([saying(said=f"took {each.key.upper()}.") for each in (PROBE, BEFORE, PROBE, AFTER)], UNKNOWN),
    ([OK] * 4, UNKNOWN),
    ([Answer(status=200, body=b"[1]"), OK, Answer(status=200, body=b"[1]"), OK], UNKNOWN),
    ([OK, OK, Answer(status=409), OK], YES),
    ([OK, Answer(status=409), Answer(status=409), Answer(status=409)], UNKNOWN),  # to anything
    ([OK, OK, Answer(status=422), OK], UNKNOWN),
    ([OK, OK, replayed("true"), OK], YES),
    ([replayed("true")] * 4, UNKNOWN),
    ([OK, OK, replayed("false"), OK], UNKNOWN),
])  # fmt: skip
def test_answers(answers: list[Answer], verdict: Verdict) -> None:
    first, before, again, after = answers
    assert judged(first, before, again, after) is verdict


@pytest.mark.parametrize(("count", "verdict"), [(0, UNKNOWN), (1, YES), (2, NO), (3, NO)])
def test_where_it_can_be_counted_the_count_alone_counts(count: int, verdict: Verdict) -> None:
    for again in (at("/r/1"), at("/r/2")):
        assert judged(at("/r/1"), at("/r/3"), again, at("/r/4"), count) is verdict


@given(st.integers(200, 599), st.text(max_size=20), st.dictionaries(st.text(), st.text()))
def test_what_is_the_same_for_every_post_never_shows_that_a_key_is_honoured(
    status: int, place: str, members: dict[str, str]
) -> None:
    answer = Answer(status=status, headers={"location": place}, body=json.dumps(members).encode())
    assert judged(answer, answer, answer, answer) is UNKNOWN


def test_a_probe_is_clearly_one_and_each_post_of_it_the_same() -> None:
    value = json.loads(PROBE.body)
    assert value["v"] == "audit-probe/1"
    assert "no message and no person" in value["note"]
    assert (PROBE.body, PROBE.key) == (Probe(*_parts(PROBE)).body, "audit-probe:0123456789abcdef")
    probes = [PROBE, BEFORE, AFTER, *PROBE.others("later")]
    assert len({each.key for each in probes}) == 5
    assert {each.body for each in probes} == {PROBE.body}  # only the keys differ


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
