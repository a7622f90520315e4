"""P3: the same raw records, positions and keys give the golden archive's bytes."""

from __future__ import annotations

import pytest

from audit_stream.evidence import ledger
from audit_stream.evidence.rawmac import new_raw_mac, raw_frame, raw_key
from audit_stream.evidence.segment import decode
from audit_stream.evidence.tree import leaf_hash, root_hash
from audit_stream.privacy.subject_object import open_tags
from tests.support import golden


def stored(topic: str, base: int):
    name = f"segments/{topic}/00001/00000/{base:020d}.ndjson.gz"
    return decode((golden.ARCHIVE / name).read_bytes(), name)


@pytest.mark.parametrize("topic", golden.TOPICS)
def test_lines_ledger_raw_and_root_are_the_golden_ones(topic: str) -> None:
    chunks = golden.judged(topic)
    assert chunks
    for chunk in chunks:
        segment = stored(topic, chunk.base)
        assert b"".join(chunk.lines) == segment.body
        assert ledger.encode(chunk.runs) == segment.header.ledger
        assert root_hash([leaf_hash(h) for h in chunk.hashes]).hex() == segment.header.root
        mac = new_raw_mac(raw_key(golden.KEYRING.index_key))
        mac.update(chunk.raw)
        assert mac.hexdigest() == segment.header.raw
        assert (chunk.first_ts, chunk.last_ts) == (segment.header.first_ts, segment.header.last_ts)


@pytest.mark.parametrize("topic", golden.TOPICS)
@pytest.mark.parametrize("span", [1, 7, 1000])
def test_other_batch_sizes_give_the_same_lines(topic: str, span: int) -> None:
    lines = [line for chunk in golden.judged(topic, span) for line in chunk.lines]
    assert lines == [line for chunk in golden.judged(topic) for line in chunk.lines]


@pytest.mark.parametrize("topic", golden.TOPICS)
def test_the_golden_subject_objects_hold_our_tags(topic: str) -> None:
    for chunk in golden.judged(topic):
        leaf = stored(topic, chunk.base).leaf.hex()[:16]
        name = f"subjects/{topic}/00001/00000/{chunk.base:020d}-{leaf}.bin"
        tags = open_tags(golden.KEYRING.index_key, name, (golden.GOLDEN / name).read_bytes())
        assert tags == chunk.tags


def test_a_limit_stops_at_the_record_that_fills_it() -> None:
    topic = golden.TOPICS[0]
    judge = golden.Judge(topic, golden.STATUS_MAP, golden.sealer(topic), {}.get)
    records = golden.raw_records(topic)
    chunk, used = judge.judge(records, 0, len(records), 3)
    assert len(chunk.lines) == 3
    assert chunk.runs[-1][1] == "a"
    assert chunk.next == used < len(records)


def test_holes_are_lost_below_the_log_start_and_absent_above() -> None:
    topic = golden.TOPICS[0]
    judge = golden.Judge(topic, golden.STATUS_MAP, golden.sealer(topic), {}.get)
    record = golden.raw_records(topic)[0]
    late = golden.Raw(5, record.timestamp, record.key, record.value)
    chunk, _ = judge.judge([late], 0, 8, 100, lost_before=3)
    assert chunk.runs == [(3, "l"), (2, "x"), (1, "i"), (2, "x")]
    assert chunk.raw == raw_frame(5, record.value)
