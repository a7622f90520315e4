"""`show` reads around junk that writers passed over, and around nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from audit_stream.archive.history import History
from audit_stream.errors import FormatError
from audit_stream.evidence.segment import decode
from audit_stream.privacy.keytree import genesis_cover
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.subjects import FileSubjectStore
from tests.support import golden
from tests.support.indexing import golden_subjects
from tests.support.resealed import MESSAGES, OBJECTS, name

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


async def test_junk_with_a_segment_behind_it_is_passed_over(tmp_path: Path) -> None:
    whole = await sightings(OBJECTS, tmp_path)
    assert whole >= 1
    moved = OBJECTS | {FIRST: b"junk", name(MESSAGES, 60, 1): OBJECTS[FIRST]}
    assert await sightings(moved, tmp_path) == whole


async def test_damage_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="gzip header"):
        await sightings(OBJECTS | {FIRST: b"junk"}, tmp_path)


async def test_an_object_behind_a_good_segment_does_not_hide_it(tmp_path: Path) -> None:
    whole = await sightings(OBJECTS, tmp_path)
    with pytest.raises(FormatError, match="gzip header"):
        await sightings(OBJECTS | {name(MESSAGES, 60, 1): b"junk"}, tmp_path)
    both = OBJECTS | {name(MESSAGES, 60, 1): b"junk", name(MESSAGES, 60, 2): OBJECTS[FIRST]}
    assert await sightings(both, tmp_path) >= whole


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
