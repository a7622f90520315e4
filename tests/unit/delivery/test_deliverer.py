"""Following an archive: forks left alone, what was disposed of passed over, nothing twice."""

from __future__ import annotations

import asyncio

import pytest

from audit_stream.archive.chain import Chain
from audit_stream.archive.streams import end_chain
from audit_stream.delivery.position import all_positions, parse_position
from audit_stream.errors import BrokerError, DeliveryBrake
from audit_stream.stores.disposal.file import FileDisposer
from audit_stream.stores.file import FileStore
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.memory_subjects import MemorySubjectStore
from audit_stream.stores.subjects import FileSubjectStore
from tests.support import chains, golden
from tests.support.chains import ChainMaker
from tests.support.disposing import LATER_MS, Scene, keyring_in
from tests.support.resealed import EMAIL, MESSAGES, OBJECTS, edited, name, resigned
from tests.support.tailing import ALL, NOW, Installation, Receiver, stored


async def test_all_of_an_archive_once():
    place = Installation(await stored(OBJECTS))
    made = await place.run()
    await place.run()
    assert sorted(place.receiver.keys) == ALL
    assert place.told == {"stored": len(ALL), "rejected": 0, "disposed": 0}
    assert made.lag_seconds(golden.FIRST_MS) == dict.fromkeys(golden.TOPICS, 0.0)
    assert await made.lag_offsets() == dict.fromkeys(golden.TOPICS, 0)


async def test_how_far_it_is_behind():
    place = Installation(await stored(OBJECTS))
    made = place.deliverer()
    await made._open_new()
    behind = await made.lag_offsets()
    assert behind[MESSAGES] == len(golden.raw_records(MESSAGES))


async def test_what_is_refused_is_kept_before_the_position_passes():
    refused = frozenset(ALL[3:6])
    place = Installation(await stored(OBJECTS), Receiver(refused))
    place.broker = False
    made = place.deliverer()
    for _ in range(3):  # the same process goes on, whatever it was doing elsewhere
        with pytest.raises(BrokerError):
            await made.catch_up()
    place.broker = True
    while await made.catch_up():
        pass
    assert {entry.key for entry in place.kept} == refused
    assert set(place.receiver.keys) == set(ALL)
    assert place.told["stored"] + place.told["rejected"] == len(ALL)


async def test_a_receiver_that_rejects_all_stops_it_until_one_is_taken():
    place = Installation(await stored(OBJECTS), Receiver(frozenset(ALL)), brake=5)
    for _ in range(3):
        with pytest.raises(DeliveryBrake):
            await place.run()
    assert len(place.kept) <= 5
    place.receiver.refused = frozenset()
    await place.run()
    assert {*place.receiver.keys} == set(ALL)
    assert place.told["stored"] + len(place.kept) == len(ALL)


@pytest.mark.parametrize(
    "forged",
    [
        lambda data: resigned(data, seq=9),
        lambda data: resigned(data, archive="another"),
        lambda data: resigned(data, body="00" * 32),
        lambda data: edited(data, 0, (MESSAGES.encode() + b"/1/0/", MESSAGES.encode() + b"/1/7/")),
    ],
    ids=["chain", "archive", "body", "place"],
)
async def test_what_does_not_fit_is_not_sent_and_holds_up_only_its_partition(forged):
    bad = name(MESSAGES, 60)
    place = Installation(await stored(OBJECTS | {bad: forged(OBJECTS[bad])}))
    made = await place.run()
    assert list(made.stopped) == [f"{MESSAGES}/1/0"]
    assert place.alerts.events == [("raise", f"fork:{MESSAGES}/0")]
    sent = sorted(place.receiver.keys)
    offsets = {each: int(each.rpartition("/")[2]) for each in ALL}
    assert sent == [s for s in ALL if not s.startswith(MESSAGES) or offsets[s] < 60]


async def test_a_segment_that_is_missing_is_found():
    objects = {each: data for each, data in OBJECTS.items() if each != name(MESSAGES, 60)}
    place = Installation(await stored(objects))
    assert list((await place.run()).stopped) == [f"{MESSAGES}/1/0"]


async def test_junk_of_another_key_is_not_sent():
    objects = dict(OBJECTS)
    for each in [one for one in OBJECTS if f"/{EMAIL}/" in one and one.startswith("segments/")]:
        objects[each] = b"junk"
    place = Installation(await stored(objects))
    await place.run()
    assert not any(key.startswith(EMAIL) for key in place.receiver.keys)


async def test_what_was_disposed_of_before_it_was_sent_is_counted_and_passed(tmp_path):
    store, subjects = FileStore(tmp_path / "archive"), FileSubjectStore(tmp_path / "subjects")
    scene = Scene(
        store, subjects, FileDisposer(tmp_path / "archive"), keyring_in(tmp_path), lambda _: None
    )
    await scene.fill()
    scene.held = lambda each: ["h-1"] if each == name(MESSAGES, 0) else []
    await scene.at(LATER_MS)
    await scene.approved()
    await scene.run()
    place = Installation(store)
    await place.run()
    left = [s for s in ALL if s.startswith(MESSAGES) and int(s.rpartition("/")[2]) < golden.SPAN]
    assert sorted(place.receiver.keys) == left
    assert place.told["disposed"] == len(ALL) - len(left)
    assert place.alerts.events == []


class Halting(MemorySubjectStore):
    """Positions whose every write takes a while, and what each write said."""

    def __init__(self):
        super().__init__()
        self.halted, self.go, self.written = asyncio.Event(), asyncio.Event(), []

    async def create(self, name, data):
        return await self._late(name, data, super().create(name, data))

    async def replace(self, name, data, etag):
        return await self._late(name, data, super().replace(name, data, etag))

    async def _late(self, name, data, write):
        self.halted.set()
        stored = await write
        await self.go.wait()
        self.written.append((name, parse_position(data, name).settled))
        return stored


async def test_a_pass_that_is_cancelled_while_it_writes_sends_nothing_twice():
    place = Installation(await stored(OBJECTS))
    place.positions = Halting()
    made = place.deliverer()
    running = asyncio.ensure_future(made.catch_up())
    await place.positions.halted.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    again = asyncio.ensure_future(made.catch_up())
    place.positions.go.set()
    while await again:
        again = asyncio.ensure_future(made.catch_up())
    first = place.positions.written[0]
    assert sorted(set(place.receiver.keys)) == ALL
    settled = [key for key in place.receiver.keys if _is_below(key, first)]
    assert len(settled) == len(set(settled))
    assert place.told["stored"] == len(ALL)
    for place_of in {at for at, _ in place.positions.written}:
        moves = [to for at, to in place.positions.written if at == place_of]
        assert moves == sorted(moves)


def _is_below(source, written):
    topic, _, _, offset = source.split("/")
    return f"/{topic}/" in written[0] and int(offset) < written[1]


async def test_the_next_generation_begins_when_the_one_before_is_delivered():
    store = MemoryWormStore()
    one = ChainMaker(store, chains.stream_of("t"))
    await one.found()
    for partition in (0, 1):
        await one.add(partition)
    ends = [{"leaf": one.links[p].leaf, "next": one.links[p].next, "partition": p} for p in (0, 1)]
    two = ChainMaker(store, chains.stream_of("t", generation=2, genesis=10, ended=ends))
    await two.found()
    await two.add(0)
    place = Installation(store)
    place.archive, place.trusted = chains.NAME, chains.TRUSTED
    await place.run()
    assert {(p.generation, p.settled) for p in await all_positions(place.positions, "siem")} == {
        (1, 10)
    }  # no end stands there: a segment may still come
    for partition in (0, 1):
        chain = Chain(store, chains.TRUSTED, one.stream, partition)
        await end_chain(store, chains.SIGNER, chain, NOW)
    await place.run()
    reached = {
        (p.generation, p.partition): p.settled for p in await all_positions(place.positions, "siem")
    }
    assert reached == {(1, 0): 10, (1, 1): 10, (2, 0): 20}
