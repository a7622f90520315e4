"""Hits become facts of the archive: all of them, each proven, or an error."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import Any, ClassVar

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.erasure.found import Facts, Hashes, Seen, facts_of, sightings, tenants_of
from audit_stream.erasure.segments import Segments
from audit_stream.errors import ForkAlarm, FormatError, Tampered
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.record import integrity_hash
from audit_stream.evidence.segment import decode, encode
from audit_stream.evidence.signing import LineSigner
from audit_stream.stores.memory import MemoryWormStore
from tests.support.erasing import (
    RECORDS,
    SOMEBODY,
    Erasing,
    listed,
    sealed,
    segments_of,
    stored,
)
from tests.support.indexing import PUBS
from tests.support.resealed import (
    EMAIL,
    MESSAGES,
    SIGNER,
    edited,
    ending_of,
    name,
    resigned,
    second_generation,
)

MIDDLE, TIP = name(MESSAGES, 120), name(MESSAGES, 240)
EVERYBODY = tuple(RECORDS)


async def facts(erasing: Erasing, *tags: bytes) -> dict[bytes, Facts]:
    return await facts_of(sightings(await erasing.segments(), erasing.each_hit(*tags)))


async def test_the_facts_are_those_of_the_records(erasing: Erasing) -> None:
    found = await facts(erasing, *EVERYBODY)
    assert found.keys() == RECORDS.keys()
    for tag, pubs in RECORDS.items():
        theirs = found[tag]
        assert list(theirs.hashes) == sorted(integrity_hash(pub) for pub in pubs)
        assert theirs.records == len(theirs.hashes) == len(pubs)
        assert theirs.tenants == {pub["platform_tenant_id"] for pub in pubs}
        assert theirs.statuses == Counter(pub["delivery_status"] for pub in pubs)
        times = [pub["ingestion_timestamp"] for pub in pubs]
        assert (theirs.first, theirs.last) == (min(times), max(times))


async def test_who_has_nothing_has_no_facts(erasing: Erasing) -> None:
    assert await facts(erasing, bytes(range(16))) == {}


async def test_each_record_is_told_with_what_holds_ask_for(erasing: Erasing) -> None:
    told: list[tuple[bytes, Seen, SegmentName]] = []
    await facts_of(
        sightings(await erasing.segments(), erasing.each_hit(*EVERYBODY)),
        lambda *each: told.append(each),
    )
    assert sorted((seen.source, seen.message, seen.workflow) for _, seen, _ in told) == sorted(
        (pub["source"], pub["message_uuid"], pub["originating_workflow_id"]) for pub in PUBS
    )
    for tag, seen, segment in told:
        assert seen.source in [pub["source"] for pub in RECORDS[tag]]
        assert seen.source.encode() in decode(erasing.objects[str(segment)], "x").body


async def test_a_segment_is_read_once_for_all_tags_in_it(erasing: Erasing) -> None:
    class Counting(MemoryWormStore):
        reads: ClassVar[Counter[str]] = Counter()

        async def get(self, name: str) -> bytes | None:
            self.reads[name] += 1
            return await super().get(name)

    store = Counting()
    segments = segments_of(await stored(erasing.objects, store))
    await facts_of(sightings(segments, erasing.each_hit(*EVERYBODY)))
    read = {each: count for each, count in store.reads.items() if each.startswith("segments/")}
    assert read == {each: 1 for each in erasing.objects if each.startswith("segments/")}


async def test_junk_before_a_segment_is_passed_over(erasing: Erasing) -> None:
    erasing.objects[name(MESSAGES, 240, 1)] = resigned(
        erasing.objects[TIP], void=[{"name": TIP, "sha256": sha256(b"junk").hexdigest()}]
    )
    whole = erasing.objects[TIP]
    erasing.objects[TIP] = b"junk"
    moved = decode(erasing.objects[name(MESSAGES, 240, 1)], "x").leaf.hex()[:16]
    [at_tip] = [each for each in erasing.names if "00240-" in each]
    tags = erasing.tags(at_tip)
    mine = erasing.orphan(at_tip, moved, tags)
    found = await listed(sightings(await erasing.segments(), erasing.each_hit(*EVERYBODY)))
    assert {each.hit.name: str(each.segment) for each in found if "00240-" in each.hit.name} == {
        mine: name(MESSAGES, 240, 1),
        at_tip: "None",  # its segment lost
    }
    assert decode(whole, "x").header.count == len(tags)


# -- orphans


@pytest.mark.parametrize(
    ("base", "without_tip"),
    [(180, False), (200, False), (240, True)],
    ids=["lost its place", "cut otherwise", "not stored yet"],
)
async def test_an_orphan_brings_no_records(erasing: Erasing, base: int, without_tip: bool) -> None:
    whole = await facts(erasing, *EVERYBODY)
    at_tip = erasing.names[-2]
    if without_tip:
        del erasing.objects[TIP]
        [gone] = erasing.tags(at_tip)
        whole[gone] = await only(erasing, gone)
    orphan = erasing.orphan(at_tip, "0" * 16, [SOMEBODY] * 60, base=base)
    found = await listed(sightings(await erasing.segments(), erasing.each_hit(*EVERYBODY)))
    lost = {each.hit.name for each in found if each.segment is None}
    assert lost == ({orphan, at_tip} if without_tip else {orphan})
    again = await facts(erasing, *EVERYBODY)
    assert {tag: list(each.hashes) for tag, each in again.items()} == {
        tag: list(each.hashes) for tag, each in whole.items() if each.records
    }


async def only(erasing: Erasing, tag: bytes) -> Facts:
    """Facts of one, from the segments that are there."""
    theirs = Facts()
    for pub in RECORDS[tag]:
        if int(pub["source"].split("/")[3]) < 240 or MESSAGES not in pub["source"]:
            theirs.add(Seen(integrity_hash(pub), *[""] * 6))
    return theirs


async def test_an_orphan_of_a_generation_never_founded_brings_no_records(
    erasing: Erasing,
) -> None:
    there = len(await erasing.hits(SOMEBODY))
    orphan = f"subjects/{MESSAGES}/00002/00000/{0:020d}-{'0' * 16}.bin"
    erasing.subjects.create_sync(orphan, sealed(orphan, [SOMEBODY]))
    found = await listed(sightings(await erasing.segments(), erasing.each_hit(SOMEBODY)))
    assert len(found) == there + 1
    assert [each.hit.name for each in found if each.segment is None] == [orphan]


async def test_an_orphan_behind_the_end_of_a_generation_brings_no_records(
    erasing: Erasing,
) -> None:
    erasing.objects[name(MESSAGES, 251)] = ending_of(erasing.objects, MESSAGES).encode(SIGNER)
    orphan = erasing.orphan(erasing.names[-2], "0" * 16, [SOMEBODY], base=251)
    behind = erasing.orphan(erasing.names[-2], "0" * 16, [SOMEBODY], base=300)
    found = await listed(sightings(await erasing.segments(), erasing.each_hit(SOMEBODY)))
    assert [each.hit.name for each in found if each.segment is None] == [orphan, behind]


async def test_a_generation_founded_meanwhile_is_read(erasing: Erasing) -> None:
    store = await stored(erasing.objects)
    segments = segments_of(store)
    assert await segments.at(SegmentName(MESSAGES, 1, 0, 0)) is not None
    await stored(second_generation(MESSAGES), store)
    assert await segments.at(SegmentName(MESSAGES, 2, 0, 0)) is not None


# -- what is not as it was archived


def gone(erasing: Erasing) -> None:
    del erasing.objects[MIDDLE]


def first_gone(erasing: Erasing) -> None:
    del erasing.objects[name(MESSAGES, 0)]


def two_gone(erasing: Erasing) -> None:
    for base in (180, 240):
        del erasing.objects[name(MESSAGES, base)]


def unsigned(erasing: Erasing) -> None:
    erasing.objects[MIDDLE] = resigned(erasing.objects[MIDDLE], signer=stranger())


def unsigned_tip(erasing: Erasing) -> None:
    erasing.objects[TIP] = b"junk"


def other_body(erasing: Erasing) -> None:
    segment = decode(erasing.objects[MIDDLE], MIDDLE)
    line = segment.header_line
    body = segment.body.replace(b'"READ"', b'"SENT"', 1)
    erasing.objects[MIDDLE] = encode(line, SIGNER.signature_line(line), body)


def other_archive(erasing: Erasing) -> None:
    """By somebody with the segment key, who keeps the leaf: the name of the object is his, too."""
    erasing.objects[MIDDLE] = resigned(erasing.objects[MIDDLE], archive="another.example")


def stream_gone(erasing: Erasing) -> None:
    del erasing.objects[f"streams/{MESSAGES}/00001.json"]


def unsigned_stream(erasing: Erasing) -> None:
    erasing.objects[f"streams/{MESSAGES}/00001.json"] = b"{}\n{}\n"


def stranger() -> LineSigner:
    return LineSigner(b"\x07" * 32)


DAMAGE = [
    gone, first_gone, two_gone, unsigned, unsigned_tip, other_body, other_archive, stream_gone,
    unsigned_stream,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_archive_is_no_archive_without_records(
    erasing: Erasing, damage: Callable[[Erasing], None]
) -> None:
    damage(erasing)
    with pytest.raises((Tampered, FormatError, ForkAlarm)):
        await facts(erasing, *EVERYBODY)


@pytest.mark.parametrize(
    "damage", [each for each in DAMAGE if each not in (two_gone, unsigned_tip)]
)
async def test_tenants_are_not_told_of_a_damaged_archive(
    erasing: Erasing, damage: Callable[[Erasing], None]
) -> None:
    damage(erasing)
    with pytest.raises((Tampered, FormatError, ForkAlarm)):
        await tenants_of(await erasing.segments())


async def test_junk_before_the_place_does_not_tell_that_nothing_stood_there(
    erasing: Erasing,
) -> None:
    del erasing.objects[TIP]
    erasing.objects[name(MESSAGES, 180)] = b"junk"
    with pytest.raises(Tampered, match="00240"):
        await (await erasing.segments()).at(SegmentName(MESSAGES, 1, 0, 240))


async def test_a_later_generation_without_its_stream_object_is_told(erasing: Erasing) -> None:
    erasing.objects |= second_generation(MESSAGES)
    del erasing.objects[f"streams/{MESSAGES}/00002.json"]
    with pytest.raises(Tampered, match=r"00002\.json"):
        await tenants_of(await erasing.segments())


async def test_a_record_that_is_not_what_was_hashed_is_told(erasing: Erasing) -> None:
    """By somebody with the segment key, who did not hash the record anew."""
    segment = decode(erasing.objects[MIDDLE], MIDDLE)
    lines = [line.replace(b'"revision":1', b'"revision":7') for line in segment.record_lines()]
    forged = resigned(erasing.objects[MIDDLE], lines)
    erasing.objects[MIDDLE] = forged
    [object_name] = [each for each in erasing.names if "00120-" in each]
    leaf = decode(forged, MIDDLE).leaf.hex()[:16]
    erasing.orphan(object_name, leaf, erasing.tags(object_name))
    with pytest.raises(FormatError, match="integrity_hash"):
        await facts(erasing, *EVERYBODY)


@pytest.mark.parametrize("change", [lambda tags: tags[:-1], lambda tags: [*tags, SOMEBODY]])
async def test_tags_that_are_not_one_a_record_are_told(
    erasing: Erasing, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    [each] = [each for each in erasing.names if "00120-" in each]
    now = erasing.subjects.get_sync(each)
    assert now is not None
    erasing.subjects.replace_sync(each, sealed(each, change(erasing.tags(each))), now.etag)
    with pytest.raises(FormatError, match="tags"):
        await facts(erasing, *EVERYBODY)


async def test_a_segment_stored_while_it_is_looked_for_is_read(erasing: Erasing) -> None:
    late = erasing.objects.pop(MIDDLE)

    class Late(MemoryWormStore):
        async def names(self, prefix: str, **kwargs: Any) -> list[str]:
            await self.put_if_absent(MIDDLE, late, {})
            return await super().names(prefix, **kwargs)

    store = Late()
    await stored(erasing.objects, store)
    segments = segments_of(store)
    segments._streams = (await filled(erasing))._streams  # so that nothing is listed before
    found = await segments.at(SegmentName(MESSAGES, 1, 0, 120))
    assert found is not None


async def filled(erasing: Erasing) -> Segments:
    segments = await erasing.segments()
    await segments.at(SegmentName(MESSAGES, 1, 0, 0))
    return segments


# -- hashes and memory


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=100))
def test_hashes_come_in_order(hashes: list[bytes]) -> None:
    kept = Hashes()
    for each in hashes:
        kept.add(each)
    assert list(kept) == sorted(hashes)
    assert len(kept) == len(hashes)


def test_of_a_record_only_its_hash_is_kept() -> None:
    theirs = Facts()
    count = 30_000
    tracemalloc.start()
    try:
        for number in range(count):
            text = f"{number:040d}"
            theirs.add(Seen(sha256(text.encode()).digest(), "t", text, text, text, text, "READ"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert theirs.records == count
    assert peak < 45 * count


# -- tenants


async def test_every_tenant_is_named(erasing: Erasing) -> None:
    assert await tenants_of(await erasing.segments()) == sorted(
        {pub["platform_tenant_id"] for pub in PUBS}
    )


async def test_a_tenant_of_any_letters_is_named_and_no_text_passes_for_one(
    erasing: Erasing,
) -> None:
    [line, *_] = decode(erasing.objects[TIP], TIP).record_lines()
    pub = orjson.loads(line)["pub"]
    tenant, text = '"\\ü\\"', 'x","platform_tenant_id":"nobody'
    swaps = [
        (f'"{member}":{canonical(pub[member]).decode()}'.encode(),
         f'"{member}":{canonical(value).decode()}'.encode())
        for member, value in (("platform_tenant_id", tenant), ("originating_workflow_id", text))
    ]  # fmt: skip
    erasing.objects[TIP] = edited(erasing.objects[TIP], 0, *swaps)
    found = await tenants_of(await erasing.segments())
    assert tenant in found
    assert "nobody" not in found
    assert len(found) <= 1 + len({pub["platform_tenant_id"] for pub in PUBS})


async def test_tenants_of_all_generations_are_named_and_of_none_there_are_none(
    erasing: Erasing,
) -> None:
    objects = erasing.objects | second_generation(EMAIL)
    segments = segments_of(await stored(objects))
    assert await tenants_of(segments) == await tenants_of(await erasing.segments())
    assert await tenants_of(segments_of(MemoryWormStore())) == []
