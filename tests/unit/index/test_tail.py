"""Tailing archives into real indexes: what is taken, resumed, refused, and what is missing."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from audit_stream.errors import StateError
from audit_stream.evidence import layout
from audit_stream.evidence.layout import subject_name
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.rows import MESSAGE, NO_TAGS, TAG, log_rows
from audit_stream.index.tail import Archive
from audit_stream.stores.file import FileStore
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.subjects import FileSubjectStore
from bench.archive import KEYRING, NAME, TRUSTED, BenchArchive
from tests.support import chains, golden
from tests.support.chains import ChainMaker, stream_of
from tests.support.indexing import Indexing, golden_archive, golden_subjects
from tests.support.logs import WrittenLog
from tests.support.registers import put_certificates
from tests.support.replaying import stored
from tests.support.resealed import (
    EMAIL,
    MESSAGES,
    OBJECTS,
    name,
    only,
    relinked,
    resigned,
    second_generation,
)

ROOT = Path(__file__).parents[3]
RECORDS = 112
SEGMENTS = 7


async def indexed(objects: dict[str, bytes], folder: Path) -> Indexing:
    made = Indexing(golden_archive(await stored(objects), golden_subjects()), folder)
    await made.catch_up()
    return made


async def test_the_golden_archive_is_indexed_once(indexing: Indexing) -> None:
    taken = await indexing.catch_up()
    assert (taken.segments, taken.records, taken.untagged) == (SEGMENTS, RECORDS, 0)
    rows = indexing.rows
    assert sum(key.startswith(MESSAGE) for key in rows) == RECORDS
    assert sum(key.startswith(TAG) for key in rows) == RECORDS
    again = await indexing.catch_up()
    assert (again.segments, again.records) == (0, 0)
    assert indexing.rows == rows
    assert sum(each.records for each in indexing.index.places().values()) == RECORDS


async def test_no_id_and_no_integrity_hash_stands_in_a_row(indexing: Indexing) -> None:
    await indexing.catch_up()
    everything = b"\n".join(key + value for key, value in indexing.rows.items())
    for topic in golden.TOPICS:
        for raw in golden.raw_records(topic):
            assert raw.key is None or raw.key not in everything
        for chunk in golden.judged(topic):
            assert not any(each in everything for each in chunk.hashes)


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_it_goes_on_behind_what_is_there(
    indexing: Indexing, tmp_path: Path, limit: int
) -> None:
    passes = 0
    while (await indexing.catch_up(limit)).segments:
        passes += 1
        indexing.reopen()
    assert passes == -(-5 // limit)  # of the topic with five segments
    whole = Indexing(indexing.archive, tmp_path / "whole")
    await whole.catch_up()
    assert indexing.rows == whole.rows


async def test_new_segments_topics_and_generations_appear(tmp_path: Path) -> None:
    store = MemoryWormStore()
    made = Indexing(golden_archive(store, None), tmp_path)
    objects = second_generation(EMAIL) | only(MESSAGES)
    first = [n for n in objects if EMAIL in n and "/00001" in n]
    end = max(n for n in first if n.startswith("segments/"))
    for group in (first, [n for n in objects if EMAIL in n and n not in first], only(MESSAGES)):
        assert (await made.catch_up()).segments == 0
        for each in group:
            await store.put_if_absent(each, objects[each], {})
        segments = sum(n.startswith("segments/") for n in group if n != end)
        assert (await made.catch_up()).segments == segments > 0
    places = sorted(map(str, made.index.places().values()))
    assert places == [f"{EMAIL}/1/0", f"{EMAIL}/2/0", f"{MESSAGES}/1/0"]
    assert made.alarmed == []


async def test_a_stream_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    made = Indexing(golden_archive(await stored(OBJECTS), None), tmp_path)
    await made.catch_up()
    left = {n: data for n, data in OBJECTS.items() if f"streams/{EMAIL}" not in n}
    made.archive = golden_archive(await stored(left), None)
    made.reopen()
    assert (await made.catch_up()).stopped == [f"{EMAIL}/1/0"]
    assert made.alarmed == [f"fork:{EMAIL}/0"]
    made.index.close()


def broken(**changes: object) -> dict[str, bytes]:
    return OBJECTS | {name(MESSAGES, 120): resigned(OBJECTS[name(MESSAGES, 120)], **changes)}


@pytest.mark.parametrize(
    ("objects", "says"),
    [
        (broken(prev="11" * 32), "does not continue the chain"),
        (broken(seq=9), "does not continue the chain"),
        (broken(archive="another"), "is of the archive another"),
        (broken(body="11" * 32), "does not hold the records"),
        (broken(stream="f" * 32), "belongs elsewhere"),
        (broken(void=[{"name": "x", "sha256": "00" * 32}]), "does not name the junk"),
        ({n: d for n, d in OBJECTS.items() if n != name(MESSAGES, 120)}, "no segment stands at"),
        (OBJECTS | {name(MESSAGES, 120): b"junk"}, "no segment stands at"),
        (OBJECTS | {layout.stream_name(MESSAGES, 1): b"{}\n{}\n"}, "v is not audit-stream/1"),
    ],
)
async def test_what_does_not_fit_stops_its_partition_loudly(
    tmp_path: Path, objects: dict[str, bytes], says: str
) -> None:
    made = await indexed(objects, tmp_path)
    assert len(made.alarmed) == 1
    assert made.alarmed[0].startswith("fork:")
    assert says in made.alarms.open()[0]["summary"]
    taken = await made.catch_up()
    assert len(taken.stopped) == 1
    assert taken.segments == 0
    done = {each.topic: each.link.next for each in made.index.places().values()}
    assert done.get(MESSAGES, 0) in (0, 120)
    assert done[EMAIL] == 42  # the others go on


async def test_a_line_that_is_no_record_stops_its_partition(tmp_path: Path) -> None:
    bad = resigned(OBJECTS[name(EMAIL, 0)], [b'{"pub":{}}'.ljust(100)] * 17)
    made = await indexed(relinked(only(EMAIL) | {name(EMAIL, 0): bad}), tmp_path)
    assert "no record" in made.alarms.open()[0]["summary"]


async def test_junk_at_the_tip_is_no_alarm(tmp_path: Path) -> None:
    store = MemoryWormStore()
    maker = ChainMaker(store, stream_of("t"))
    await maker.found()
    await maker.add(0)
    await store.put_if_absent(f"{layout.segment_folder('t', 1, 0)}{10:020d}.ndjson.gz", b"x", {})
    keyring = replace(KEYRING, archive=chains.NAME)
    made = Indexing(Archive(store, None, chains.TRUSTED, keyring), tmp_path)
    taken = await made.catch_up()
    assert (taken.segments, taken.stopped) == (1, [])


class Racing(MemoryWormStore):
    """Two segments are stored just before a listing of theirs."""

    maker: ChainMaker | None = None

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        if self.maker is not None and prefix.startswith("segments/"):
            maker, self.maker = self.maker, None
            await maker.add(0)
            await maker.add(0)
        return await super().names(prefix, after=after, limit=limit)


async def test_segments_that_are_stored_meanwhile_are_no_hole(tmp_path: Path) -> None:
    store = Racing()
    maker = ChainMaker(store, stream_of("t", partitions=1))
    await maker.found()
    await maker.add(0)
    keyring = replace(KEYRING, archive=chains.NAME)
    made = Indexing(Archive(store, None, chains.TRUSTED, keyring), tmp_path)
    store.maker = maker
    taken = await made.catch_up()
    assert (taken.segments, taken.stopped, store.maker) == (1, [], None)
    taken = await made.catch_up()
    assert (taken.segments, taken.stopped) == (2, [])


class TestSubjects:
    """Without subject objects everything but the way from a customer is there."""

    async def test_none_at_all(self, tmp_path: Path) -> None:
        made = Indexing(golden_archive(FileStore(golden.ARCHIVE, True), None), tmp_path)
        taken = await made.catch_up()
        assert (taken.records, taken.untagged) == (RECORDS, SEGMENTS)
        assert not any(key.startswith(TAG) for key in made.rows)
        assert {row.tags for row in made.index.segments()} == {NO_TAGS}

    async def test_one_is_away_and_one_is_damaged(self, tmp_path: Path) -> None:
        subjects = FileSubjectStore(tmp_path / "subjects")
        whole = golden_subjects()
        names = await whole.names("subjects/")
        for each in names[1:]:
            found = await whole.get(each)
            assert found is not None
            await subjects.create(each, b"\x01damaged" if each == names[1] else found.data)
        archive = golden_archive(FileStore(golden.ARCHIVE, True), subjects)
        made = Indexing(archive, tmp_path / "index")
        assert (await made.catch_up()).untagged == 2
        untagged = [row for row in made.index.segments() if row.tags == NO_TAGS]
        places = made.index.places()
        assert sorted(names[:2]) == sorted(
            subject_name(places[row.place].segment_name(row.base, 0), row.leaf) for row in untagged
        )


async def test_another_archive_keyring_or_process_is_refused(
    indexing: Indexing, tmp_path: Path
) -> None:
    with pytest.raises(StateError, match="cannot be opened"):  # it is open
        ArchiveIndex.open(tmp_path, NAME, KEYRING.index_key)
    await indexing.catch_up()
    indexing.index.close()
    for archive, key in ((NAME, golden.KEYRING.index_key), (golden.KEYRING.archive, bytes(32))):
        with pytest.raises(StateError, match="another archive"):
            ArchiveIndex.open(tmp_path, archive, key)
    with pytest.raises(StateError, match="no index"):
        ArchiveIndex.open(tmp_path / "nowhere", NAME, KEYRING.index_key, read_only=True)
    indexing.open()
    beside = ArchiveIndex.open(
        tmp_path, golden.KEYRING.archive, golden.KEYRING.index_key, read_only=True
    )
    assert dict(beside.rows()) == indexing.rows


# Waits for a word on stdin at every fifth segment, so that it never gets to the end unseen.
REBUILD = """
import asyncio, sys
from pathlib import Path
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.tail import Archive, Tail
from audit_stream.telemetry.alerts import AlarmBoard
from bench.archive import KEYRING, NAME, TRUSTED, BenchArchive
archive = BenchArchive(folder=Path(sys.argv[1]))
index = ArchiveIndex.open(Path(sys.argv[2]), NAME, KEYRING.index_key)
tail = Tail(Archive(archive.store, archive.subjects, TRUSTED, KEYRING), index, AlarmBoard(NAME))
done = 0
def told(now):
    global done
    done += 1
    if done % 5 == 0:
        print(done, flush=True)
        sys.stdin.readline()
asyncio.run(tail.catch_up(told=told))
"""


def kill_during_rebuild(folder: Path, words: int) -> None:
    """SIGKILL while it works on the segments behind so many words."""
    command = [sys.executable, "-c", REBUILD, str(folder), str(folder / "index")]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(words):
            assert process.stdout.readline()
            process.stdin.write("\n")
            process.stdin.flush()
        process.kill()
    assert process.returncode == -signal.SIGKILL


async def test_killed_in_the_middle_it_goes_on_and_equals_a_fresh_one(tmp_path: Path) -> None:
    made = BenchArchive(folder=tmp_path, segment_records=40)
    records = made.make(6_000)
    for words in (1, 3, 2):
        kill_during_rebuild(tmp_path, words)
    archive = Archive(made.store, made.subjects, TRUSTED, KEYRING)
    resumed = Indexing(archive, tmp_path / "index")
    done = sum(each.records for each in resumed.index.places().values())
    assert 0 < done < records
    taken = await resumed.catch_up()
    assert done + taken.records == records
    fresh = Indexing(archive, tmp_path / "fresh")
    assert (await fresh.catch_up()).records == records
    assert resumed.rows == fresh.rows


async def test_a_leaf_of_a_register_has_its_place_in_the_log(tmp_path: Path) -> None:
    """So that the inclusion of a certificate can be proven without reading the log."""
    log, index = WrittenLog(), ArchiveIndex.open(tmp_path, chains.NAME, bytes(32))
    first, second = await put_certificates(log.store, 2)
    head = await log.grow(1)
    async for batch in log.log.batches(0):
        index.write(log_rows(batch, head.root))
    assert [index.logged_at(each.leaf) for each in (first, second)] == [0, 1]
    index.close()
