"""An archive of which a part was disposed of, and somebody tampers with what is left of it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from audit_stream.evidence import layout
from audit_stream.evidence.disposal import kept_header
from audit_stream.evidence.register import Register
from audit_stream.evidence.segment import inflate
from audit_stream.stores.disposal.memory import MemoryDisposer
from audit_stream.stores.memory_subjects import MemorySubjectStore
from tests.support import golden
from tests.support.disposing import LATER_MS, Scene, keyring_in, memory_store, verified

SEGMENTS = sorted(each for each in golden.archive_objects() if each.startswith("segments/"))
LEFT = SEGMENTS[2:4]  # held, in the middle of a chain
CERTIFICATE = Register.DISPOSALS.entry_name(0)
Objects = dict[str, bytes]


@pytest.fixture
async def objects(tmp_path: Path) -> Objects:
    store = memory_store()
    scene = Scene(store, MemorySubjectStore(), MemoryDisposer(store), keyring_in(tmp_path),
                  store.move_clock)  # fmt: skip
    await scene.fill()
    await scene.at(LATER_MS)
    await scene.approved()
    scene.held = lambda name: ["h-1"] if name in LEFT else []
    await scene.run()
    await scene.at(LATER_MS + 60_000)  # the certificate is in the log
    made = await scene.objects()
    assert verified(made).problems == []
    return made


def kept(objects: Objects) -> list[str]:
    """Headers of what is gone."""
    return [name for name in objects if name.startswith(layout.DISPOSED_FOLDER)]


def told(objects: Objects) -> set[tuple[str, str]]:
    return {(each.step, each.name) for each in verified(objects).problems}


def test_no_byte_of_a_kept_header_or_the_certificate_can_be_changed(objects: Objects) -> None:
    chance = random.Random(7)
    assert len(kept(objects)) == len(SEGMENTS) - len(LEFT)
    for name in (*kept(objects), CERTIFICATE):
        for _ in range(12):
            data = bytearray(objects[name])
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            assert told(objects | {name: bytes(data)}), (name, bytes(data))


def test_two_headers_cannot_change_places(objects: Objects) -> None:
    one, two, *_ = kept(objects)
    found = told(objects | {one: objects[two], two: objects[one]})
    assert {step for step, _ in found} >= {"V2", "V26"}


def test_without_its_certificate_everything_is_missing(objects: Objects) -> None:
    found = told({name: data for name, data in objects.items() if name != CERTIFICATE})
    gone = {name for name in SEGMENTS if name not in objects}
    assert {name for step, name in found if step == "V26"} == gone
    assert ("V17", CERTIFICATE) in found


@pytest.mark.parametrize("planted", [False, True])
@pytest.mark.parametrize("name", LEFT)
def test_nothing_beyond_the_certificate_can_be_removed(
    objects: Objects, name: str, planted: bool
) -> None:
    """Also between two stretches of it, and with the header put beside the others'."""
    place = layout.parse_segment_name(name)
    assert place is not None
    data = objects.pop(name)
    if planted:
        objects[layout.disposed_name(place)] = kept_header(inflate(data, name))
    found = told(objects)
    assert ("V17", name) in found or ("V26", name) in found
    assert not planted or ("V26", name) in found
