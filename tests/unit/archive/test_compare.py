"""Two archives compared: equal whatever the cuts, and where they are not, named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_stream.archive.chain import Chain
from audit_stream.archive.compare import ArchiveComparison, PartitionComparison
from audit_stream.evidence import ledger
from audit_stream.evidence.layout import stream_name
from audit_stream.evidence.rawmac import raw_key
from audit_stream.seal.builder import Link, Origin, SegmentBuilder
from audit_stream.seal.judge import Chunk
from audit_stream.stores.memory import MemoryWormStore
from tests.support import golden
from tests.support.replaying import (
    END,
    MAP,
    OBJECTS,
    RECORDS,
    erased_cover,
    offset_of,
    person,
)
from tests.support.resealed import MESSAGES, SIGNER, name, stream_of

STREAM = stream_of(MESSAGES)


def origin_of(key: bytes) -> Origin:
    return Origin(
        archive=STREAM.archive, assurance="mutable", writer="test/1", status_map=MAP.hash,
        key_epoch=1, raw_key=key,
    )  # fmt: skip


def cut_anew(span: int, start: int = 0, end: int = END, **rules: object) -> dict[str, bytes]:
    """The golden messages, archived by our own code in segments of `span` offsets."""
    keys = golden.KeyDeriver(
        golden.KEYRING, rules.get("cover", golden.COVER), golden.stream_id(MESSAGES)
    )
    sealer = golden.RecordSealer(
        keys, topic=MESSAGES, generation=1, partition=0,
        regulatory_tag=str(rules.get("tag", "COMPLIANCE_ARCHIVE_V1")),
    )  # fmt: skip
    states: dict = {}
    judge = golden.Judge(MESSAGES, MAP, sealer, states.get)
    key = raw_key(golden.KEYRING.index_key)
    origin = origin_of(key)
    stream = replace(STREAM, genesis=[start])
    link = Link(next=start, seq=0, leaf=None)
    objects = {stream_name(MESSAGES, 1): stream.encode(SIGNER)}
    for base in range(start, end, span):
        until = min(base + span, end)
        builder = SegmentBuilder(base, key)
        chunk, _ = judge.judge(RECORDS[base:until], base, until, 10**6)
        states.update(chunk.states)
        builder.add(chunk, 0)
        sealed = builder.seal(link, stream, 0, origin, SIGNER, 0)
        objects[str(sealed.name)] = sealed.data
        link = sealed.link
    return objects


async def store(objects: dict[str, bytes]) -> MemoryWormStore:
    found = MemoryWormStore()
    for each, data in objects.items():
        await found.put_if_absent(each, data, {})
    return found


async def compared(a: dict[str, bytes], b: dict[str, bytes]) -> list[PartitionComparison]:
    comparison = ArchiveComparison(await store(a), await store(b), golden.trusted())
    return [part async for part in comparison.run(None, lambda _: None)]


@pytest.mark.parametrize("span", [1, 37, 60, 1000])
async def test_other_cuts_are_no_difference(span: int) -> None:
    (part,) = await compared(OBJECTS, cut_anew(span))
    assert part.same
    assert part.complete
    assert part.compared == END
    assert part.records == sum(1 for chunk in golden.judged(MESSAGES) for _ in chunk.lines)


async def test_offsets_only_one_covers_are_told_as_ranges() -> None:
    (part,) = await compared(cut_anew(60), cut_anew(60, end=130))
    assert (part.same, part.only_a, part.only_b) == (True, [(130, END)], [])
    (part,) = await compared(cut_anew(7, end=100), cut_anew(40))
    assert (part.only_a, part.only_b) == ([], [(100, END)])
    (part,) = await compared(cut_anew(60), cut_anew(60, start=90))
    assert part.only_a == [(0, 90)]
    assert part.compared == END - 90


async def test_a_lost_range_is_compared_whatever_its_length() -> None:
    def lost(*runs: ledger.Run) -> dict[str, bytes]:
        link, objects = Link(next=0, seq=0, leaf=None), dict[str, bytes]()
        objects[stream_name(MESSAGES, 1)] = STREAM.encode(SIGNER)
        for run in runs:
            builder = SegmentBuilder(link.next, bytes(32))
            builder.add(Chunk(link.next, link.next + run[0], runs=[run]), 0)
            sealed = builder.seal(link, STREAM, 0, origin_of(bytes(32)), SIGNER, 0)
            objects[str(sealed.name)], link = sealed.data, sealed.link
        return objects

    long = 10**7
    (part,) = await compared(lost((long, "l")), lost((long // 2, "l"), (long // 2, "l")))
    assert (part.same, part.compared, part.complete) == (True, long, True)
    (part,) = await compared(lost((long, "l")), lost((50, "l"), (long - 50, "x")))
    assert part.other_dispositions == long - 50
    assert str(part.differences[0]) == f"{MESSAGES}/1/0/50: disposition: A lost, B absent"


async def test_a_different_record_is_named_at_its_offset() -> None:
    (part,) = await compared(cut_anew(50), cut_anew(11, tag="OTHER"))
    first = next(i for chunk in golden.judged(MESSAGES) for i, letter
                 in enumerate(golden.letters(chunk), chunk.base) if letter == "a")  # fmt: skip
    assert not part.same
    found = part.differences[0]
    assert (found.offset, found.field) == (first, "regulatory_tag")
    assert part.other_records == part.records
    assert part.other_dispositions == 0


async def test_other_dispositions_are_counted_and_the_first_one_named() -> None:
    """An archive that begins later has not seen what came before."""
    (part,) = await compared(cut_anew(60), cut_anew(60, start=180))
    assert part.other_dispositions + part.other_records > 0
    assert part.differences[0].offset >= 180


async def test_a_person_erased_in_one_is_compared_without_the_sealed_fields() -> None:
    cover = erased_cover(person(offset_of(120, 3)))
    (part,) = await compared(OBJECTS, cut_anew(33, cover=cover))
    assert part.same
    assert part.erased >= 1


async def test_another_stream_id_is_a_difference_by_itself() -> None:
    stream = replace(STREAM, stream="5" * 32)
    (part,) = await compared(OBJECTS, {stream_name(MESSAGES, 1): stream.encode(SIGNER)})
    assert part.differences[0].field == "stream"


async def test_a_topic_only_one_has_is_told() -> None:
    voice = {n: d for n, d in golden.archive_objects().items() if "voice" in n}
    parts = await compared(OBJECTS, OBJECTS | voice)
    assert [part.topic for part in parts] == [MESSAGES, "outbound_voice_status_update"]
    assert parts[1].only_b == [(0, 15)]


async def test_the_chain_is_followed_while_it_grows() -> None:
    objects = cut_anew(60)
    late = objects.pop(name(MESSAGES, 240))
    found = await store(objects)
    chain = Chain(found, golden.trusted(), STREAM, 0)
    bases = []
    async for each in chain.follow_all(chain.genesis):
        bases.append(each.name.base)
        if each.name.base == 180:
            await found.put_if_absent(name(MESSAGES, 240), late, {})
    assert bases == [0, 60, 120, 180, 240]
