"""What an active hold holds: by tag, by what records say, and of a whole segment the same."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.evidence.hold import Kind, Scope
from audit_stream.evidence.layout import source_position
from audit_stream.holds.active import ActiveHold, ActiveHolds, RecordFact
from audit_stream.holds.filing import held_tags
from audit_stream.privacy.derivation import TagMaker
from audit_stream.privacy.subject_object import split_tags
from audit_stream.privacy.subjects import EXTERNAL, KeyDeriver
from audit_stream.seal.judge import Chunk
from tests.support import golden

TOPIC = golden.TOPICS[0]
PLACE = (TOPIC, 1, 0)
CHUNKS = [chunk for chunk in golden.judged(TOPIC, 10) if chunk.lines]
COMMITMENT = "00" * 32


def hold(kind: Kind, *values: str, tags: tuple[bytes, ...] = (), lost: bool = False) -> ActiveHolds:
    commitment = COMMITMENT if kind is Kind.CUSTOMER else None
    scope = Scope(kind=kind, values=values, commitment=commitment)
    return ActiveHolds([ActiveHold(hold_id="h", scope=scope, tags=frozenset(tags), lost=lost)])


def facts(chunk: Chunk) -> list[RecordFact]:
    pubs = [orjson.loads(line)["pub"] for line in chunk.lines]
    return [
        RecordFact(pub["message_uuid"], pub["originating_workflow_id"], pub["source"])
        for pub in pubs
    ]


def in_segment(holds: ActiveHolds, chunk: Chunk) -> bool:
    body = b"".join(chunk.lines)
    tags = b"".join(chunk.tags)
    return bool(holds.in_segment(PLACE, chunk.base, chunk.next, tags, lambda: body))


@pytest.mark.parametrize("number", range(3))
def test_a_segment_is_held_exactly_if_one_of_its_records_is(number: int) -> None:
    fact, tag = facts(CHUNKS[number])[-1], CHUNKS[number].tags[-1]
    offset = int(fact.source.rpartition("/")[2])
    cases = {
        "tag": hold(Kind.CUSTOMER, tags=(tag,)),
        "message": hold(Kind.MESSAGE, fact.message),
        "workflow": hold(Kind.WORKFLOW, fact.workflow),
        "range": hold(Kind.RANGE, f"{TOPIC}/1/0/{offset}-{offset}"),
    }
    for name, holds in cases.items():
        for chunk in CHUNKS:
            by_record = any(
                holds.against([tag], [each]) for tag, each in
                zip(chunk.tags, facts(chunk), strict=True)
            )  # fmt: skip
            assert in_segment(holds, chunk) is by_record, name
        assert in_segment(holds, CHUNKS[number]), name


def test_nothing_is_held_by_nothing() -> None:
    nothing = ActiveHolds()
    assert not nothing
    assert not any(in_segment(nothing, chunk) for chunk in CHUNKS)
    assert nothing.against([CHUNKS[0].tags[0]], facts(CHUNKS[0])) == []


def test_a_lost_customer_holds_everybody() -> None:
    lost = hold(Kind.CUSTOMER, lost=True)
    assert all(in_segment(lost, chunk) for chunk in CHUNKS)
    assert lost.against([b"\x09" * 16], []) == ["h"]


def test_facts_are_read_only_where_a_hold_is_by_them() -> None:
    def unread() -> object:
        raise AssertionError("read")
        yield

    assert hold(Kind.CUSTOMER, tags=(CHUNKS[0].tags[0],)).against([b"\x09" * 16], unread()) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ['"message_uuid":"m-1"', 'x","message_uuid":"m-1', "m-1"])
def test_a_text_that_looks_like_a_field_holds_nothing(text: str) -> None:
    line = orjson.dumps({"agent": text, "message_uuid": "m-2"}) + b"\n"
    holds = hold(Kind.MESSAGE, "m-1")
    assert holds.in_segment(PLACE, 0, 1, b"", lambda: line) == set()


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=6), st.integers(0, 60))
def test_ranges_overlap_as_their_offsets_do(parts: list[tuple[int, int]], base: int) -> None:
    values = list(dict.fromkeys(f"{TOPIC}/1/0/{first}-{first + more}" for first, more in parts))
    holds = hold(Kind.RANGE, *values) if values else ActiveHolds()
    stop = base + 7
    by_offset = any(
        holds.of(RecordFact("", "", source_position(TOPIC, 1, 0, offset)))
        for offset in range(base, stop)
    )
    assert bool(holds.in_segment(PLACE, base, stop, b"", bytes)) is by_offset
    assert not holds.in_segment((TOPIC, 2, 0), base, stop, b"", bytes)


def test_a_hold_outlasts_a_return() -> None:
    """The tag of a subject that comes back after an erasure is held already."""
    subject = ("tenant", EXTERNAL, "CUST-1")
    tags = held_tags(golden.KEYRING, subject, ())
    first = TagMaker(golden.KEYRING.trees[-1].pepper).tag(subject)
    returned = replace(golden.KEYRING, returned={first: (1,)})
    assert first in tags
    assert TagMaker(golden.KEYRING.trees[-1].pepper).tag((*subject, 1)) in tags
    assert len(held_tags(returned, subject, ())) == 3


def test_held_tags_are_those_that_records_get() -> None:
    keys = KeyDeriver(golden.KEYRING, golden.COVER, golden.stream_id(TOPIC))
    subject = ("tenant", EXTERNAL, "CUST-1")
    found = keys.keys(subject, 2026)
    assert found is not None
    assert found.tag in held_tags(golden.KEYRING, subject, ())
    assert split_tags(b"".join(CHUNKS[0].tags)) == CHUNKS[0].tags
