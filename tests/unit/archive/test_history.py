"""`show` reads around junk that writers passed over, and around nothing else."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from audit_stream.archive.history import History
from audit_stream.errors import ForkAlarm, FormatError
from audit_stream.evidence.segment import decode, encode
from audit_stream.evidence.signing import encode_signature
from audit_stream.privacy.keytree import genesis_cover
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.subjects import FileSubjectStore
from tests.support import golden
from tests.support.indexing import golden_subjects
from tests.support.resealed import MESSAGES, OBJECTS, name, resigned

FIRST = name(MESSAGES, 60)


def some_message() -> str:
    line = next(iter(decode(OBJECTS[FIRST], FIRST).record_lines()))
    return line.partition(b'"message_uuid":"')[2].partition(b'"')[0].decode()


async def stored(objects: dict[str, bytes]) -> MemoryWormStore:
    store = MemoryWormStore()
    for each, data in objects.items():
        await store.put_if_absent(each, data, {})
    return store


async def sightings(objects: dict[str, bytes], folder: Path) -> int:
    store = await stored(objects)
    history = History(
        store,
        FileSubjectStore(folder),
        golden.trusted(),
        golden.KEYRING,
        lambda _: golden.COVER,
    )
    return len(await history.of(some_message(), [MESSAGES], None, None))


def vouched(data: bytes, junk: bytes) -> bytes:
    """A segment sealed behind junk, which it names."""
    return resigned(data, void=[{"name": FIRST, "sha256": sha256(junk).hexdigest()}])


async def test_junk_with_a_segment_behind_it_that_names_it_is_passed_over(tmp_path: Path) -> None:
    whole = await sightings(OBJECTS, tmp_path)
    assert whole >= 1
    moved = OBJECTS | {FIRST: b"junk", name(MESSAGES, 60, 1): vouched(OBJECTS[FIRST], b"junk")}
    assert await sightings(moved, tmp_path) == whole


async def test_what_nothing_signed_names_as_junk_may_have_been_more(tmp_path: Path) -> None:
    """Whoever breaks a segment and drops another behind it hides nothing."""
    for behind in (OBJECTS[FIRST], vouched(OBJECTS[FIRST], b"other junk")):
        with pytest.raises(ForkAlarm, match="does not name the junk"):
            await sightings(OBJECTS | {FIRST: b"junk", name(MESSAGES, 60, 1): behind}, tmp_path)


async def test_damage_is_not_passed_over(tmp_path: Path) -> None:
    for more in ({}, {name(MESSAGES, 60, 1): b"junk, too"}):
        with pytest.raises(FormatError, match="is no segment of a trusted key"):
            await sightings(OBJECTS | {FIRST: b"junk"} | more, tmp_path)


async def test_an_object_behind_a_good_segment_does_not_hide_it(tmp_path: Path) -> None:
    whole = await sightings(OBJECTS, tmp_path)
    assert await sightings(OBJECTS | {name(MESSAGES, 60, 1): b"junk"}, tmp_path) == whole


@pytest.mark.parametrize("emptied", [True, False])
async def test_other_records_under_a_signed_header_are_not_shown(
    tmp_path: Path, emptied: bool
) -> None:
    """The header alone is signed: what it says of the records is held against them."""
    segment = decode(OBJECTS[FIRST], FIRST)
    forged = b"" if emptied else segment.body.replace(b'"revision":1', b'"revision":2')
    assert forged != segment.body
    data = encode(segment.header_line, encode_signature(segment.signature), forged)
    with pytest.raises(ForkAlarm, match="does not hold the records"):
        await sightings(OBJECTS | {FIRST: data}, tmp_path)


async def test_a_record_is_opened_with_the_tree_that_was_in_force(tmp_path: Path) -> None:
    """A tree that began later has another root: its cover opens nothing of before."""
    later = replace(golden.KEYRING.trees[0], cover="cover-2.bin", first_epoch=2)
    ring = replace(golden.KEYRING, epoch=2, trees=(*golden.KEYRING.trees, later))
    covers = {1: golden.COVER, 2: genesis_cover(b"\x07" * 32)}
    history = History(
        await stored(OBJECTS), golden_subjects(), golden.trusted(), ring,
        lambda tree: covers[tree.first_epoch],
    )  # fmt: skip
    found = await history.of(some_message(), [MESSAGES], None, None)
    assert {each.personal.closed for each in found} == {None}
