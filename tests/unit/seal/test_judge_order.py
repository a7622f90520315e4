"""Judge and builder: the order of judgement to its end, precedence, what a bad record may do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audit_stream.evidence.rawmac import new_raw_mac
from audit_stream.evidence.record import parse_record
from audit_stream.evidence.segment import decode
from audit_stream.precedence.matrix import MATRIX, NOTHING, RANK, State, table_key
from audit_stream.privacy.derivation import TagMaker
from audit_stream.privacy.keytree import Cover, path_of
from audit_stream.privacy.sealer import RecordSealer
from audit_stream.privacy.subject_object import NO_TAG
from audit_stream.privacy.subjects import KeyDeriver
from audit_stream.seal.builder import Limits, Link, Origin, SegmentBuilder
from audit_stream.seal.judge import ORIGIN_HEADER, Chunk, Judge
from tests.support import golden
from tests.support.golden import FIRST_MS, Raw
from tests.support.resealed import SIGNER, stream_of

TOPIC = golden.TOPICS[0]
GOOD: dict[str, Any] = {
    "id": "evt-1", "type": "t", "message_id": "m-1", "status": "DELIVERED", "timestamp": "now",
    "workflow_id": "wf", "tenant": {"id": "t1"},
    "recipient": {"external_id": "CUST_12345", "address": "+49151000001"},
}  # fmt: skip
MICROSECONDS = FIRST_MS * 1000  # a producer that counts in them: the year 58,000


def raw(offset: int = 0, *, stamp: int = FIRST_MS, key: bytes | None = b"m-1",
        headers: list[tuple[str, Any]] | None = None, **changes: object) -> Raw:  # fmt: skip
    return Raw(offset, stamp, key, json.dumps(GOOD | changes).encode(), headers or [])


def judge(*records: Raw, held: dict[bytes, State] | None = None) -> Chunk:
    found = Judge(TOPIC, golden.STATUS_MAP, golden.sealer(TOPIC), (held or {}).get)
    chunk, used = found.judge(records, 0, len(records), 10**6)
    assert used == len(records)
    return chunk


def pubs(chunk: Chunk) -> list[dict[str, Any]]:
    return [dict(parse_record(line[:-1], "line").pub) for line in chunk.lines]


# -- order of judgement: of two things wrong, the earlier counts


@pytest.mark.parametrize(
    ("record", "letter", "reason"),
    [
        (raw(status=None, id=None), "q", "status-missing"),
        (raw(status="NEW", id=None), "q", "status-unmapped"),
        (raw(status="SENT", id=None, stamp=-1, key=None), "i", None),
        (raw(workflow_id=None, id="CUST_12345"), "q", "invalid:workflow_id"),
        (raw(id="of CUST_12345", key=b"other"), "q", "personal-data"),
        (raw(stamp=-1, key=b"other"), "q", "invalid:kafka-timestamp"),
        (raw(key=b"other"), "q", "misplaced"),
        (raw(key=None), "q", "misplaced"),
        (raw(key=b""), "q", "misplaced"),
        (raw(key=b"\xff"), "q", "misplaced"),
        (raw(), "a", None),
    ],
)  # fmt: skip
def test_the_first_thing_wrong_counts(record: Raw, letter: str, reason: str | None) -> None:
    chunk = judge(record)
    assert golden.letters(chunk) == letter
    assert chunk.quarantined == ([(reason, record)] if reason else [])
    assert len(chunk.lines) == (letter == "a")


def test_a_misplaced_event_does_not_touch_precedence() -> None:
    chunk = judge(raw(0, status="EXPIRED", key=b"other"), raw(1, status="READ"))
    assert golden.letters(chunk) == "qa"


# -- precedence


@pytest.mark.parametrize(("held", "came"), MATRIX)
@pytest.mark.parametrize("in_batch", [True, False], ids=["in-batch", "from-table"])
def test_every_pair_gets_the_matrix_letter(held: str | None, came: str, in_batch: bool) -> None:
    table: dict[bytes, State] = {}
    records = [raw(7, status=came)]
    if held is not None and in_batch:
        records.insert(0, raw(6, status=held))
    elif held is not None:
        table[table_key(TOPIC, "t1", "m-1")] = State(RANK[held], 1, 6, FIRST_MS)
    chunk, _ = Judge(TOPIC, golden.STATUS_MAP, golden.sealer(TOPIC), table.get).judge(
        records, records[0].offset, 8, 10
    )
    letter = MATRIX[held, came]
    assert golden.letters(chunk)[-1] == letter
    assert sum(chunk.regressed.values()) == (letter == "r")
    if letter == "a":
        pub = pubs(chunk)[-1]
        source = f"{TOPIC}/1/0/"
        assert pub["revision"] == (1 if held is None else 2)
        assert pub["supersedes"] == (None if held is None else f"{source}6")
        assert pub["source"] == f"{source}7"
        state = chunk.states[table_key(TOPIC, "t1", "m-1")]
        assert state == State(RANK[came], pub["revision"], 7, FIRST_MS)
    else:
        assert (held is None, RANK.get(held or "", NOTHING) >= RANK[came]) == (False, True)


def test_the_same_message_id_of_two_tenants_is_two_messages() -> None:
    chunk = judge(raw(0), raw(1, tenant={"id": "t2"}), raw(2))
    assert golden.letters(chunk) == "aad"


# -- erased subjects


def test_an_erased_subject_is_sealed_without_personal_fields() -> None:
    tag = TagMaker(golden.KEYRING.trees[0].pepper).tag(("t1", "external", "CUST_12345"))
    cover = Cover(golden.COVER).puncture([path_of(tag)])
    sealer = RecordSealer(
        KeyDeriver(golden.KEYRING, cover, golden.stream_id(TOPIC)), topic=TOPIC, generation=1,
        partition=0, regulatory_tag="COMPLIANCE_ARCHIVE_V1",
    )  # fmt: skip
    other = {"external_id": "CUST_99999", "address": "+49151000001"}
    records = [raw(0), raw(1, key=b"m-2", message_id="m-2", recipient=other)]
    chunk, _ = Judge(TOPIC, golden.STATUS_MAP, sealer, {}.get).judge(records, 0, 2, 10)
    gone, there = (parse_record(line[:-1], "line") for line in chunk.lines)
    assert (gone.erased, gone.pii, "_sd" in gone.pub) == (True, None, False)
    assert (there.erased, "_sd" in there.pub) == (False, True)
    assert chunk.tags[0] == NO_TAG != chunk.tags[1]


# -- records that could do harm


def test_the_origin_header_is_kept() -> None:
    chunk = judge(raw(headers=[("x", b"y"), (ORIGIN_HEADER, b"topic/3/17")]))
    assert pubs(chunk)[0]["origin"] == "topic/3/17"


@pytest.mark.parametrize("value", [None, b"\xff"])
def test_a_broken_origin_header_quarantines_one_record(value: bytes | None) -> None:
    chunk = judge(raw(0, headers=[(ORIGIN_HEADER, value)]), raw(1))
    assert golden.letters(chunk) == "qa"
    assert [reason for reason, _ in chunk.quarantined] == ["invalid:origin"]


@pytest.mark.parametrize("value", [b"to CUST_12345", b"", b"a\nb/0/1", b"x" * 100_000])
def test_an_origin_that_is_no_position_is_not_archived(value: bytes) -> None:
    assert golden.letters(judge(raw(headers=[(ORIGIN_HEADER, value)]))) == "q"


@pytest.mark.parametrize("stamp", [MICROSECONDS, MICROSECONDS * 1000, 2**63 - 4])
def test_a_time_beyond_the_calendar_never_gets_another_records_time(stamp: int) -> None:
    chunk = judge(raw(0), *(raw(n, stamp=stamp + n, key=b"x-%d" % n, message_id=f"x-{n}")
                            for n in (1, 2, 3)))  # fmt: skip
    assert golden.letters(chunk) == "aqqq"
    assert {reason for reason, _ in chunk.quarantined} == {"invalid:kafka-timestamp"}


@pytest.mark.parametrize("stamp", [0, 4_102_444_800_000], ids=["1970", "2100"])
def test_one_time_without_a_year_key_does_not_stop_the_partition(stamp: int) -> None:
    assert golden.letters(judge(raw(0, stamp=stamp), raw(1))) == "qa"


# -- the builder

LIMITS = Limits(records=2, size=10_000, age_ms=100)


def builder(*chunks: Chunk, now: int = 0) -> SegmentBuilder:
    found = SegmentBuilder(0, bytes(32))
    for chunk in chunks:
        found.add(chunk, now)
    return found


def parts(*sizes: int) -> list[Chunk]:
    found = Judge(TOPIC, golden.STATUS_MAP, golden.sealer(TOPIC), {}.get)
    chunks, base = [], 0
    for size in sizes:
        names = [f"m-{n}" for n in range(base, base + size)]
        records = [raw(n, key=name.encode(), message_id=name, stamp=FIRST_MS + n)
                   for n, name in enumerate(names, base)]  # fmt: skip
        chunks.append(found.judge(records, base, base + size, 100)[0])
        base += size
    return chunks


def test_chunks_must_follow_each_other() -> None:
    first, second = parts(1, 1)
    with pytest.raises(ValueError, match="does not continue"):
        builder(second)
    with pytest.raises(ValueError, match="does not continue"):
        builder(first, first)
    assert builder(first, second).next == 2


def test_an_empty_builder_is_never_due_and_takes_anything() -> None:
    empty = SegmentBuilder(0, bytes(32))
    assert empty.empty
    assert not empty.due(10**9, LIMITS)
    assert empty.fits(parts(5)[0], LIMITS)


def test_a_segment_is_due_by_records_size_or_age() -> None:
    one, two = parts(1, 1)
    assert not builder(one).due(99, LIMITS)
    assert builder(one).due(100, LIMITS)
    assert builder(one, two).due(0, LIMITS)
    assert builder(one).due(0, Limits(records=9, size=one.size, age_ms=100))
    assert not builder(one, two).fits(parts(1, 1, 1)[2], LIMITS)
    assert not builder(one).fits(two, Limits(records=9, size=one.size, age_ms=100))


def test_the_raw_mac_does_not_depend_on_where_chunks_were_cut() -> None:
    whole, cut = builder(*parts(6)), builder(*parts(1, 2, 3))
    mac = new_raw_mac(bytes(32))
    mac.update(b"".join(chunk.raw for chunk in parts(6)))
    assert whole._mac.digest() == cut._mac.digest() == mac.digest()


STREAM = stream_of(TOPIC)
ORIGIN = Origin(archive=STREAM.archive, assurance="mutable", writer="w", status_map="0" * 64,
                key_epoch=1, raw_key=bytes(32))  # fmt: skip
GENESIS = Link(next=0, seq=0, leaf=None)


@pytest.mark.parametrize(
    ("stamp", "written"),
    [(2**53 - 1, 2**53 - 1), (2**53, 2**53 - 1), (FIRST_MS * 10**6, 2**53 - 1),
     (-(2**62), 1 - 2**53), (-1, -1)],
)  # fmt: skip
def test_a_time_that_no_header_can_hold_is_sealed_as_the_nearest_one(
    stamp: int, written: int
) -> None:
    """A producer that counts in nanoseconds; also an intermediate status may come first or last."""
    odd = [raw(n, stamp=stamp, status="SENT", key=b"m-%d" % n) for n in (0, 2)]
    sealed = builder(judge(odd[0], raw(1), odd[1])).seal(
        GENESIS, STREAM, 0, ORIGIN, SIGNER, FIRST_MS
    )
    header = decode(sealed.data, "it").header
    assert (header.ledger, header.first_ts, header.last_ts) == ("iai", written, written)


def test_a_segment_must_continue_the_chain() -> None:
    stream, origin = STREAM, ORIGIN
    found = builder(*parts(3))
    with pytest.raises(ValueError, match="does not continue the chain"):
        found.seal(Link(next=1, seq=0, leaf=None), stream, 0, origin, SIGNER, 0)
    link = GENESIS
    sealed = found.seal(link, stream, 0, origin, SIGNER, FIRST_MS)
    assert found.seal(link, stream, 0, origin, SIGNER, FIRST_MS).data == sealed.data
    assert sealed.link == Link(next=3, seq=1, leaf=sealed.leaf.hex())
    assert (sealed.header.first_ts, sealed.header.last_ts) == (FIRST_MS, FIRST_MS + 2)
    junk = [{"name": str(sealed.name), "sha256": "0" * 64}]
    again = found.seal(link, stream, 0, origin, SIGNER, FIRST_MS, junk)
    assert again.name.attempt == 1
    assert again.header.root == sealed.header.root
