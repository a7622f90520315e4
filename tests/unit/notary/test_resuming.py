"""A notary that starts on a store in which something stands, or lacks, under what is logged."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.errors import UnknownVersion
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import encode, inflate
from audit_stream.ports import WormStore
from audit_stream.stores.file import FileStore
from audit_stream.stores.memory import MemoryWormStore
from tests.support.chains import ChainMaker, stream_of
from tests.unit.notary.test_notary import STREAM, Time, check, office


@pytest.fixture
def time() -> Time:
    return Time()


async def begun(store: WormStore) -> ChainMaker:
    made = ChainMaker(store, stream_of("t"))
    await made.found()
    return made


def newer(segment: bytes) -> bytes:
    """A segment as a release would write it that this one does not know."""
    plain = inflate(segment, "it").replace(b'"v":"audit-segment/1"', b'"v":"audit-segment/99"')
    return encode(*plain.split(b"\n", 2))


async def test_a_segment_the_log_covers_and_the_store_lost_stops_its_partition(
    tmp_path: Path, time: Time
) -> None:
    store = FileStore(tmp_path)
    maker = await begun(store)
    names = [await maker.add(0), await maker.add(0)]
    await (await office(store, time)).notary.write()
    (tmp_path / names[1]).unlink()
    found = await office(store, time)
    assert "covers t/0 up to 20" in found.alarms.open()[0]["summary"]
    await maker.add(0)
    names.append(await maker.add(1))
    written = await found.notary.write()
    await check(store, STREAM, *names)
    assert (found.alarmed, found.notary.left_out) == (["fork:t/0"], 1)
    assert [covered.archived_next for covered in written.head.digest.coverage] == [20, 10]


async def test_what_stands_under_logged_offsets_and_is_no_segment_stops_nothing(time: Time) -> None:
    store = MemoryWormStore()
    maker = await begun(store)
    names = [await maker.add(0), await maker.add(0)]
    await (await office(store, time)).notary.write()
    copied = await store.get(names[0]) or b""
    for base, data in ((19, b"junk"), (18, copied), (17, newer(copied))):
        await store.put_if_absent(str(SegmentName("t", 1, 0, base)), data, {})
    found = await office(store, time)
    names += [await maker.add(0), await maker.add(1)]
    await found.notary.write()
    await check(store, STREAM, *names)
    assert found.alarmed == []


async def test_too_much_of_it_stops_its_partition_alone(time: Time) -> None:
    store = MemoryWormStore()
    maker = await begun(store)
    names = [await maker.add(0, 100)]
    await (await office(store, time)).notary.write()
    for base in range(30, 100):
        await store.put_if_absent(str(SegmentName("t", 1, 0, base)), b"junk", {})
    found = await office(store, time)
    await maker.add(0)
    names.append(await maker.add(1))
    await found.notary.write()
    await check(store, STREAM, *names)
    assert found.alarmed == ["fork:t/0"]


async def test_a_logged_segment_of_a_newer_release_is_no_fork(tmp_path: Path, time: Time) -> None:
    store = FileStore(tmp_path)
    maker = await begun(store)
    name = await maker.add(0)
    await (await office(store, time)).notary.write()
    (tmp_path / name).write_bytes(newer((tmp_path / name).read_bytes()))
    with pytest.raises(UnknownVersion):
        await office(store, time)
