"""What was quarantined counts as unresolved until it is shown that a retry of it was archived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from audit_stream.archive.completeness import Prover
from audit_stream.archive.coverage import Coverage
from audit_stream.archive.range import Bound, Range
from audit_stream.cli.reconcile import write_metrics
from audit_stream.evidence.layout import stream_name
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.kafka.quarantine import Quarantined as Copy
from audit_stream.privacy.sealer import RecordSealer
from audit_stream.seal.builder import Link, Origin, SegmentBuilder
from audit_stream.seal.judge import ORIGIN_HEADER, Judge
from audit_stream.stores.memory import MemoryWormStore
from tests.support import golden
from tests.support.resealed import MESSAGES, SIGNER, stream_of

FIRST = stream_of(MESSAGES)
HERE, ELSEWHERE = f"{MESSAGES}/0/0", "another_topic/0/0"
DAY = 86_400_000  # ms between two generations
#: A message id, and where its event was quarantined; None: it is quarantined here.
Event = tuple[str, str | None]


def raw(offset: int, generation: int, message: str, origin: str | None) -> golden.Raw:
    """An event under a wrong key, or its retry under the right one."""
    value = orjson.dumps({
        "id": f"evt-{message}", "type": "t", "message_id": message, "status": "DELIVERED",
        "timestamp": "now", "workflow_id": "wf", "tenant": {"id": "t1"},
        "recipient": {"external_id": "CUST_12345", "address": "+49151000001"},
    })  # fmt: skip
    key = b"a wrong one" if origin is None else message.encode()
    headers = [] if origin is None else [(ORIGIN_HEADER, origin.encode())]
    return golden.Raw(offset, golden.FIRST_MS + generation * DAY, key, value, headers)


async def seal(
    store: MemoryWormStore, stream: StreamObject, events: Sequence[Event]
) -> dict[str, object]:  # fmt: skip
    """A segment of a generation; what the next one's `ended` says of it."""
    keys = golden.KeyDeriver(golden.KEYRING, golden.COVER, bytes.fromhex(stream.stream))
    sealer = RecordSealer(
        keys, topic=MESSAGES, generation=stream.generation, partition=0, regulatory_tag="C"
    )
    records = [raw(at, stream.generation, *event) for at, event in enumerate(events)]
    judge = Judge(stream.stream, golden.STATUS_MAP, sealer, {}.get)
    chunk, _ = judge.judge(records, 0, len(records), 100)
    builder = SegmentBuilder(0, bytes(32))
    builder.add(chunk, 0)
    origin = Origin(
        archive=stream.archive, assurance="mutable", writer="t/1",
        status_map=golden.STATUS_MAP.hash, key_epoch=1, raw_key=bytes(32),
    )  # fmt: skip
    sealed = builder.seal(Link(next=0, seq=0, leaf=None), stream, 0, origin, SIGNER, 0)
    name = stream_name(MESSAGES, stream.generation)
    await store.put_if_absent(name, stream.encode(SIGNER), {})
    await store.put_if_absent(str(sealed.name), sealed.data, {})
    return {"leaf": sealed.leaf.hex(), "next": sealed.header.next, "partition": 0}


async def archive(*generations: Sequence[Event]) -> MemoryWormStore:
    store, stream = MemoryWormStore(), FIRST
    for events in generations:
        ended = await seal(store, stream, events)
        number = stream.generation + 1
        stream = replace(stream, generation=number, stream=f"{number:032x}", ended=[ended])
    return store


async def covered(store: MemoryWormStore) -> Coverage:
    coverage = Coverage(store, golden.trusted())
    await coverage.update({(MESSAGES, 0): (0, 0)})
    return coverage


async def unresolved_of(store: MemoryWormStore, generation: int) -> int:
    """As a proof over the time of one generation says."""
    start = golden.FIRST_MS + generation * DAY
    period = Range(start=Bound(start, is_time=True), stop=Bound(start + DAY, is_time=True))
    found = await Prover(store, golden.trusted(), period, {}).run(MESSAGES)
    return found.unresolved


GONE: Event = ("m-1", None)
RETRIED: Event = ("m-1", HERE)
OTHER: Event = ("m-2", None)
OTHER_RETRIED: Event = ("m-2", HERE)


@pytest.mark.parametrize(
    ("generations", "left", "left_of_second"),
    [
        ([[GONE]], 1, 0),
        ([[GONE, RETRIED]], 0, 0),
        ([[GONE, ("m-1", ELSEWHERE)]], 1, 0),  # as a copy of a rekeyed topic has
        ([[GONE], [OTHER]], 2, 1),
        ([[GONE, RETRIED], [OTHER]], 1, 1),
        ([[GONE, RETRIED], [OTHER, RETRIED]], 1, 1),  # it lies in quarantine still
        ([[GONE, RETRIED], [OTHER, RETRIED, OTHER_RETRIED]], 0, 0),
        ([[GONE], [OTHER, OTHER_RETRIED]], 1, 1),  # which one cannot be told
        ([[GONE], [OTHER, RETRIED, OTHER_RETRIED]], 0, 0),
        ([[("m-9", ELSEWHERE), RETRIED], [OTHER]], 1, 1),  # before it was quarantined
        ([[GONE], [("m-9", ELSEWHERE), RETRIED]], 0, 0),
    ],
)
async def test_an_event_that_was_archived_stands_for_one_that_was_quarantined(
    generations: list[list[Event]], left: int, left_of_second: int, tmp_path: Path
) -> None:
    store = await archive(*generations)
    coverage = await covered(store)
    assert coverage.unresolved == left
    assert await unresolved_of(store, 2) == left_of_second
    write_metrics(coverage, tmp_path / "audit.prom", proven=True)
    line = f'audit_reconciled_unresolved_offsets{{topic="{MESSAGES}"}} {left}.0'
    assert line in (tmp_path / "audit.prom").read_text().splitlines()


@pytest.mark.parametrize(
    ("source", "origin", "first"),
    [
        ("t/2/0/5", None, "t/0/5"),
        ("t/2/0/9", "t/0/5", "t/0/5"),  # quarantined again
        ("t-rekeyed/1/0/7", "t/0/5", "t-rekeyed/0/7"),
        ("t-rekeyed/1/0/9", "t-rekeyed/0/7", "t-rekeyed/0/7"),
    ],
)
def test_a_retry_names_what_a_ledger_has(source: str, origin: str | None, first: str) -> None:
    copy = Copy(reason="misplaced", source=source, timestamp=0, origin=origin, key=None, value=None)
    assert copy.first_position == first
