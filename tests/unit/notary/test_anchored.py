"""Anchors as leaves: each is logged once, by whichever notary; later checkpoints hold it."""

from __future__ import annotations

import pytest

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence.anchor_line import AnchorLine, anchor_line, decode_anchor_line
from audit_stream.evidence.log_names import anchor_name
from audit_stream.evidence.tree import verify_inclusion
from tests.support.logs import WrittenLog

TOKEN = b"a reply"


async def anchors_in(log: WrittenLog) -> list[AnchorLine]:
    leaves = [leaf async for batch in log.log.batches(0) for leaf in batch.leaves]
    return [decode_anchor_line(leaf.line, "it") for leaf in leaves if b"audit-anchor/" in leaf.line]


async def test_an_anchor_is_a_leaf_of_the_next_batch_once() -> None:
    log = WrittenLog()
    await log.grow(3)
    name = anchor_name(3, "tsa.tsr")
    await log.store.put_if_absent(name, TOKEN, {})
    head = await log.grow(3)
    line = anchor_line(name, TOKEN)
    assert await anchors_in(log) == [line]
    assert line.size == 3
    assert head.size == 7
    leaves = [leaf async for batch in log.log.batches(0) for leaf in batch.leaves]
    at = [leaf.line for leaf in leaves].index(line.line())
    proof = await log.log.inclusion(at, head)
    assert verify_inclusion(leaves[at].hash, at, head.size, proof, head.root)


async def test_another_notary_and_one_that_starts_again_do_not_log_it_twice() -> None:
    log = WrittenLog()
    await log.grow(2)
    await log.store.put_if_absent(anchor_name(2, "tsa.tsr"), TOKEN, {})
    await log.grow(1)
    again = WrittenLog(store=log.store)
    await again.resume()
    await again.grow(2)
    await log.grow(1)
    assert len(await anchors_in(log)) == 1


async def test_a_notary_that_starts_finds_what_was_left() -> None:
    log = WrittenLog()
    await log.grow(2)
    await log.store.put_if_absent(anchor_name(2, "w.note"), TOKEN, {})
    again = WrittenLog(store=log.store)
    await again.resume()
    await again.grow(1)
    assert [line.name for line in await anchors_in(again)] == [anchor_name(2, "w.note")]


async def test_one_that_is_late_or_of_no_checkpoint_stays_out() -> None:
    log = WrittenLog()
    await log.grow(20)
    await log.store.put_if_absent(anchor_name(2, "tsa.tsr"), TOKEN, {})
    await log.store.put_if_absent(anchor_name(20, "else.txt"), TOKEN, {})
    await log.store.put_if_absent(anchor_name(999, "tsa.tsr"), TOKEN, {})
    await log.grow(2)
    assert await anchors_in(log) == []


LINE = anchor_line(anchor_name(3, "tsa.tsr"), TOKEN).line()


def test_a_line_is_read_as_it_was_written() -> None:
    assert decode_anchor_line(LINE, "it").line() == LINE


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        LINE.replace(b"tsa.tsr", b"tsa.txt"),
        LINE.replace(b'"sha256":"', b'"sha256":"0'),
        LINE.replace(b'"v"', b'"u":1,"v"'),
        LINE.replace(b"audit-anchor/1", b"audit-digest/1"),
    ],
)
def test_another_form_is_refused(line: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        decode_anchor_line(line, "it")
    assert type(caught.value) is FormatError


def test_a_newer_version_cannot_be_judged() -> None:
    with pytest.raises(UnknownVersion):
        decode_anchor_line(LINE.replace(b"anchor/1", b"anchor/2"), "it")
