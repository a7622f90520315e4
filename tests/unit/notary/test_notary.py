"""The notary on real stores: what is logged, what is left out, who wins, what a crash leaves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit_stream.errors import ForkAlarm, FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.batch import Batch, decode_batch
from audit_stream.evidence.checkpoint import Checkpoint, open_checkpoint
from audit_stream.evidence.digest import Covered
from audit_stream.evidence.log_names import batch_name, parse_batch_name
from audit_stream.evidence.note import NoteSigner
from audit_stream.evidence.tree import root_hash
from audit_stream.notary.gather import Ends, Gatherer
from audit_stream.notary.log import ArchiveLog
from audit_stream.notary.notary import Notary
from audit_stream.ports import WormStore
from audit_stream.stores.file import FileStore
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support.access import chained
from tests.support.chains import NAME, TRUSTED, ChainMaker, stream_of
from tests.support.overtaken import Overtaken

SIGNER = NoteSigner(NAME, b"\x22" * 32)


class Time:
    """The notaries' clock, moved by hand."""

    def __init__(self) -> None:
        self._at = datetime(2026, 11, 25, tzinfo=UTC)
        self.passed = 0.0

    def advance(self, seconds: float) -> None:
        self.jump(seconds)
        self.passed += seconds

    def jump(self, seconds: float) -> None:
        """The clock is put to another time, and none passes."""
        self._at += timedelta(seconds=seconds)

    def __call__(self) -> str:
        return self._at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Office:
    """One notary over a store, with its alarms."""

    answered_after = 0.0  # seconds that the broker takes

    def __init__(self, store: WormStore, time: Time, ends: Ends | None = None) -> None:
        self.alarms = AlarmBoard("notary")

        async def ask() -> Ends | None:
            time.advance(self.answered_after)
            return ends

        gatherer = Gatherer(store, NAME, TRUSTED, self.alarms)
        self.notary = Notary(store, SIGNER, gatherer, ask, time, monotonic=lambda: time.passed)

    @property
    def alarmed(self) -> list[str]:
        return [alarm["key"] for alarm in self.alarms.open()]


async def office(
    store: WormStore, time: Time, ends: Ends | None = None
) -> Office:  # fmt: skip
    found = Office(store, time, ends)
    await found.notary.resume()
    return found


async def batches(store: WormStore) -> list[Batch]:
    names = await store.names("log/")
    found = [decode_batch(await store.get(name) or b"", name) for name in names]
    assert [parse_batch_name(name) for name in names] == [batch.old_size for batch in found]
    return found


async def check(store: WormStore, *logged: str) -> None:
    """The log is whole, and holds these objects, each once, in this order."""
    leaves = [leaf for batch in await batches(store) for leaf in batch.leaves]
    assert [leaf.name for leaf in leaves if leaf.name] == list(logged)
    for batch in await batches(store):
        checkpoint, _ = open_checkpoint(batch.checkpoint.encode(), SIGNER.key, "it")
        assert checkpoint.size == batch.new_size
        assert checkpoint.root == root_hash([leaf.hash for leaf in leaves[: batch.new_size]])
        assert batch.leaves[-1].name is None


@pytest.fixture
def store() -> WormStore:
    return MemoryWormStore()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def maker(store: WormStore) -> ChainMaker:
    made = ChainMaker(store, stream_of("t"))
    await made.found()
    return made


STREAM = "streams/t/00001.json"


async def test_everything_stored_is_logged_streams_first(
    store: WormStore, time: Time, maker: ChainMaker
) -> None:
    names = [await maker.add(0), await maker.add(0), await maker.add(1, 7)]
    written = await (
        await office(store, time, {("t", 0): (0, 25), ("t", 1): (0, 7)})
    ).notary.write()
    await check(store, STREAM, *names)
    assert (written.batches, written.leaves) == (2, 6)
    assert written.head.digest.coverage == (
        Covered(topic="t", generation=1, partition=0, archived_next=20, log_start=0, end=25),
        Covered(topic="t", generation=1, partition=1, archived_next=7, log_start=0, end=7),
    )


async def test_an_idle_minute_has_a_batch_too(
    store: WormStore, time: Time, maker: ChainMaker
) -> None:
    notary = (await office(store, time)).notary
    assert notary.seconds_until_due() == 0
    await notary.write()
    assert notary.seconds_until_due() == 60
    time.advance(61)
    assert notary.seconds_until_due() == 0
    written = await notary.write()
    assert (written.leaves, written.head.size) == (1, 3)
    assert written.head.digest.coverage[0].end is None  # the broker was away
    await check(store, STREAM)


async def test_the_brokers_ends_are_not_older_than_the_digest_says(
    store: WormStore, time: Time, maker: ChainMaker
) -> None:
    found = await office(store, time, {("t", 0): (0, 25)})
    found.answered_after = 3.0
    began = time()
    assert (await found.notary.write()).head.digest.time == began


async def test_a_clock_that_was_ahead_does_not_make_the_log_stand_still(
    store: WormStore, time: Time
) -> None:
    ahead = (await office(store, time)).notary
    time.jump(72 * 3600)
    await ahead.write()
    time.jump(-72 * 3600)
    started = (await office(store, time)).notary
    for notary in (ahead, started):
        assert notary.seconds_until_due() == 60
    time.advance(60)
    for notary in (ahead, started):
        assert notary.seconds_until_due() == 0
    written = await started.write()
    assert written.head.digest.time == time()
    await ahead.catch_up()
    assert ahead.seconds_until_due() == started.seconds_until_due() == 60


async def test_many_segments_take_several_batches(
    store: WormStore, time: Time, maker: ChainMaker
) -> None:
    names = [await maker.add() for _ in range(600)]
    access = chained(1)[0]  # its line needs room in each batch, too
    await store.put_if_absent(access.name, access.encode(), {})
    written = await (await office(store, time)).notary.write()
    assert written.batches == 4
    await check(store, STREAM, *names)
    assert [len(batch.leaves) for batch in await batches(store)] == [3, 257, 257, 92]


async def test_a_notary_that_starts_goes_on_from_the_store_alone(
    store: WormStore, time: Time, maker: ChainMaker
) -> None:
    names = [await maker.add(0), await maker.add(1)]
    await (await office(store, time)).notary.write()
    names += [await maker.add(1), await maker.add(0)]
    again = await office(store, time)
    await again.notary.write()
    await check(store, STREAM, *names[:2], names[3], names[2])
    assert again.alarmed == []


async def test_two_notaries_write_one_log(store: WormStore, time: Time, maker: ChainMaker) -> None:
    one, two = await office(store, time), await office(store, time)
    names = [await maker.add(0)]
    await one.notary.write()
    names.append(await maker.add(1))
    await two.notary.write()
    names.append(await maker.add(0))
    await one.notary.write()
    await check(store, STREAM, *names)
    await two.notary.catch_up()
    assert one.notary.head == two.notary.head
    assert two.notary.seconds_until_due() == 60  # nothing to do: the other one did it


async def test_the_loser_of_a_put_logs_what_the_winner_did_not(time: Time) -> None:
    store = Overtaken()
    maker = ChainMaker(store, stream_of("t"))
    await maker.found()
    loser, winner = await office(store, time), await office(store, time)
    name = await maker.add()

    async def overtake() -> None:
        time.advance(1)  # at the same moment both would write the same bytes, and both win
        await winner.notary.write()

    store.rival = overtake
    written = await loser.notary.write()
    await check(store, STREAM, name)
    assert written.leaves == 1  # its digest
    assert [len(batch.leaves) for batch in await batches(store)] == [2, 2, 1]


async def test_two_that_write_the_same_have_both_won(time: Time) -> None:
    store = Overtaken()
    maker = ChainMaker(store, stream_of("t"))
    await maker.found()
    one, two = await office(store, time), await office(store, time)
    name = await maker.add()
    store.rival = two.notary.write
    await one.notary.write()
    await check(store, STREAM, name)


async def test_the_log_of_a_rival_with_other_leaves_stands(
    store: WormStore, time: Time, maker: ChainMaker
) -> None:
    """Whoever signs with the log's key: a signed batch that does not follow is the fork alarm."""
    await maker.add()
    found = await office(store, time)
    await found.notary.write()
    head = found.notary.head
    assert head is not None
    text = Checkpoint(origin=NAME, size=head.size + 1, root=b"\x00" * 32).text()
    leaf = (await batches(store))[-1].leaves[-1]
    note = SIGNER.sign(text).encode().decode()
    forged = Batch(old_size=head.size, leaves=(leaf,), checkpoint=note)
    await store.put_if_absent(batch_name(head.size), forged.encode(), {})
    with pytest.raises(ForkAlarm, match="does not have the root of its leaves"):
        await found.notary.catch_up()
    with pytest.raises(ForkAlarm):
        await office(store, time)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"prev": "11" * 32}, "does not continue the chain"),
        ({"seq": 9}, "does not continue the chain"),
        ({"archive": "another"}, "is of the archive another"),
        ({"body": "11" * 32}, "does not hold the records"),
        ({"stream": "f" * 32}, "belongs elsewhere"),
        ({"void": [{"name": "x", "sha256": "00" * 32}]}, "does not name the junk"),
    ],
)
async def test_what_does_not_fit_is_left_out_loudly(
    store: WormStore, time: Time, maker: ChainMaker, changes: dict[str, object], says: str
) -> None:
    good = await maker.add(0)
    await maker.add(0, **changes)
    other = await maker.add(1)
    found = await office(store, time)
    await found.notary.write()
    await check(store, STREAM, good, other)
    assert found.alarmed == ["fork:t/0"]
    assert says in found.alarms.open()[0]["summary"]


async def test_a_hole_stops_its_partition(store: WormStore, time: Time, maker: ChainMaker) -> None:
    good = await maker.add(0)
    maker.header(0, 10)
    link = maker.links[0]
    await maker.add(0, base=link.next + 5, next=link.next + 15)
    found = await office(store, time)
    await found.notary.write()
    await check(store, STREAM, good)
    assert found.alarmed == ["fork:t/0"]
    assert "no segment stands at" in found.alarms.open()[0]["summary"]


async def test_junk_where_the_next_segment_will_stand_is_no_hole(
    store: WormStore, time: Time, maker: ChainMaker
) -> None:
    good = await maker.add(0)
    folder = layout.segment_folder("t", 1, 0)
    for suffix in ("", ".1"):
        await store.put_if_absent(f"{folder}{10:020d}{suffix}.ndjson.gz", b"junk", {})
    found = await office(store, time)
    await found.notary.write()
    await check(store, STREAM, good)
    assert found.alarmed == []


async def test_a_stream_nobody_trusted_signed_is_left_out(store: WormStore, time: Time) -> None:
    await store.put_if_absent(STREAM, b"{}\n{}\n", {})
    found = await office(store, time)
    await found.notary.write()
    await check(store)
    assert found.alarmed == [f"fork:{STREAM}"]


async def test_a_new_generation_is_logged_with_its_stream(
    store: WormStore, time: Time, maker: ChainMaker
) -> None:
    first = await maker.add()
    found = await office(store, time, {("t", 0): (0, 50), ("t", 1): (0, 50)})
    await found.notary.write()
    later = ChainMaker(store, stream_of("t", generation=2, genesis=30, ended=[]))
    await later.found()
    second = await later.add()
    written = await found.notary.write()
    await check(store, STREAM, first, "streams/t/00002.json", second)
    ends = {(c.generation, c.partition): c.end for c in written.head.digest.coverage}
    assert ends == {(1, 0): None, (1, 1): None, (2, 0): 50, (2, 1): 50}


async def test_tiles_are_written_and_a_crash_before_them_is_mended(
    tmp_path: Path, time: Time
) -> None:
    store = FileStore(tmp_path)
    maker = ChainMaker(store, stream_of("t", partitions=1))
    await maker.found()
    for _ in range(560):
        await maker.add()
    await (await office(store, time)).notary.write()
    tiles = await store.names("tile/")
    assert tiles == ["tile/0/000", "tile/0/001"]
    whole = {name: await store.get(name) for name in tiles}
    (tmp_path / tiles[1]).unlink()
    await office(store, time)
    assert {name: await store.get(name) for name in tiles} == whole
    leaves = [leaf.hash for batch in await batches(store) for leaf in batch.leaves]
    assert whole == {
        "tile/0/000": b"".join(leaves[:256]), "tile/0/001": b"".join(leaves[256:512])
    }  # fmt: skip


async def test_every_leaf_and_every_older_log_is_proven(
    store: WormStore, time: Time, maker: ChainMaker
) -> None:
    found = await office(store, time)
    roots: dict[int, bytes] = {}
    for _ in range(14):
        for _ in range(40):
            await maker.add()
        head = (await found.notary.write()).head
        roots[head.size] = head.root
    log = ArchiveLog(store, SIGNER.key)
    read = await log.head()
    assert read == found.notary.head
    assert read is not None
    for index in range(0, read.size, 37):
        assert await log.inclusion(index, read)
    for size, root in roots.items():
        await log.consistency(size, root, read)
    with pytest.raises(FormatError, match="is no prefix"):
        await log.consistency(41, b"\x00" * 32, read)


async def test_a_log_that_was_not_begun_has_no_head(store: WormStore) -> None:
    assert await ArchiveLog(store, SIGNER.key).head() is None


async def test_only_what_hints_point_at_is_looked_at(
    store: WormStore, time: Time, maker: ChainMaker
) -> None:
    found = await office(store, time)
    await found.notary.write()
    first, second = await maker.add(0), await maker.add(1)
    await found.notary.write([("t", 1, 1)])
    await check(store, STREAM, second)
    await found.notary.write([("t", 1, 0)])
    await check(store, STREAM, second, first)
    later = ChainMaker(store, stream_of("u"))
    await later.found()
    name = await later.add(1)
    await found.notary.write([("u", 1, 1)])  # unknown: then everything is looked at
    await check(store, STREAM, second, first, "streams/u/00001.json", name)
