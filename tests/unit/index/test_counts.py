"""What the index counts, against a count of its own: offsets by day, quarantine, messages."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from audit_stream.evidence import ledger
from audit_stream.evidence.segment import decode
from audit_stream.index.counts import Counted, Group, date_of, number_of_day
from audit_stream.precedence.matrix import RANK
from audit_stream.stores.memory import MemoryWormStore
from tests.support import chains
from tests.support.indexing import PUBS, Indexing, golden_archive
from tests.support.resealed import (
    EMAIL,
    MESSAGES,
    OBJECTS,
    edited,
    name,
    relinked,
    resigned,
    second_generation,
)

ALL = (0, 10**6)
HEADERS = [decode(data, n).header for n, data in OBJECTS.items() if n.startswith("segments/")]


async def indexed(objects: dict[str, bytes], folder: Path) -> Indexing:
    store = MemoryWormStore()
    for each, data in objects.items():
        await store.put_if_absent(each, data, {})
    made = Indexing(golden_archive(store, None), folder)
    await made.catch_up()
    return made


def effective() -> Counter[tuple[str, Group]]:
    """Day and group of each message's highest record in its topic."""
    last = {}
    for pub in PUBS:
        key = (pub["source"].partition("/")[0], pub["platform_tenant_id"], pub["message_uuid"])
        if key not in last or pub["revision"] > last[key]["revision"]:
            last[key] = pub
    assert all(pub["delivery_status"] in RANK for pub in last.values())
    return Counter(
        (pub["ingestion_timestamp"][:10], Group(
            pub["platform_tenant_id"], pub["originating_workflow_id"], pub["communication_type"],
            pub["delivery_status"], pub["carrier_error_code"],
        ))
        for pub in last.values()
    )  # fmt: skip


def counted(made: Indexing) -> dict[tuple[str, Group], int]:
    return {
        (date_of(day).isoformat(), group): count for day, group, count in made.index.grouped(*ALL)
    }


async def test_a_message_counts_once_with_its_effective_status(indexing: Indexing) -> None:
    await indexing.catch_up()
    wanted = effective()
    assert len(PUBS) > sum(wanted.values()) > 50  # some were superseded
    assert counted(indexing) == wanted


@pytest.mark.parametrize("limit", [1, 2])
async def test_however_it_gets_there(indexing: Indexing, limit: int) -> None:
    while (await indexing.catch_up(limit)).segments:
        indexing.reopen()
    assert counted(indexing) == effective()


async def test_every_offset_is_counted_once(indexing: Indexing) -> None:
    await indexing.catch_up()
    places = indexing.index.places()
    days = Counter({place: Counted() for place in places})
    for _, place, each in indexing.index.days(*ALL):
        days[place] = days[place].plus(each)
    assert dict(days) == indexing.index.totals()
    for place, total in indexing.index.totals().items():
        headers = [each for each in HEADERS if each.topic == places[place].topic]
        wanted: Counter[str] = Counter()
        for each in headers:
            wanted.update(ledger.totals(each.ledger, each.next - each.base))
        assert {letter: total[letter] for letter in ledger.MEANING} == wanted
        assert total.offsets == places[place].link.next
        assert total.last_ts == max(each.last_ts or 0 for each in headers)
        assert total.assurance == min(each.assurance for each in headers)


async def test_a_range_of_days_is_what_it_says(tmp_path: Path) -> None:
    store = MemoryWormStore()
    maker = chains.ChainMaker(store, chains.stream_of("t", partitions=1))
    await maker.found()
    day = number_of_day("2026-03-01")
    for number in range(4):
        first = (day + number) * 86_400_000 + 5
        sealed = f"2026-03-{number + 1:02d}T00:01:00.005Z"
        await maker.add(0, 7, first_ts=first, last_ts=first + 9, sealed_at=sealed, ledger="5iqx")
    await maker.add(0, 3, first_ts=None, last_ts=None, sealed_at="2026-05-01T00:00:00.000Z",
                    ledger="2xl")  # fmt: skip
    for odd in (2**52, -1):
        await maker.add(0, 1, first_ts=odd, last_ts=-1, sealed_at="2026-05-01T00:00:00.000Z")
    archive = golden_archive(store, None)
    keyring = replace(archive.keyring, archive=chains.NAME)
    made = Indexing(replace(archive, keys=chains.TRUSTED, keyring=keyring), tmp_path / "index")
    assert (await made.catch_up()).stopped == []
    found = {day: each for day, _, each in made.index.days(day + 1, day + 3)}
    assert [found[day + n].offsets for n in (1, 2, 3)] == [7, 7, 12]
    assert found[day + 1].delay == 60_000
    assert (found[day + 3]["l"], found[day + 3]["x"], found[day + 3]["q"]) == (1, 3, 1)
    runs = [(run.day - day, run.offset, run.length) for run in made.index.quarantined()]
    assert runs == [(3, 26, 1), (2, 19, 1), (1, 12, 1), (0, 5, 1)]
    made.index.close()


async def test_a_retry_is_counted_once_and_found(tmp_path: Path) -> None:
    base, origin = name(EMAIL, 0), f"{EMAIL}/0/9999"
    for given, wanted in ((origin, 1), ("other-topic/0/1", 0)):
        swap = (b'"origin":null', b'"origin":"%b"' % given.encode())
        data = edited(edited(OBJECTS[base], 0, swap), 1, swap)
        stream = {n: d for n, d in OBJECTS.items() if n.startswith("streams/") and EMAIL in n}
        made = await indexed(relinked(stream | {base: data}), tmp_path / str(wanted))
        assert sum(each.retried for each in made.index.totals().values()) == wanted
        assert made.index.is_retried(origin, 1) is bool(wanted)
        assert not made.index.is_retried(f"{EMAIL}/0/999", 1)
        assert not made.index.is_retried(origin, 2)  # that one is another event
        made.index.close()


async def test_two_retries_of_one_event_are_one(tmp_path: Path) -> None:
    swap = (b'"origin":null', b'"origin":"%b/0/9999"' % MESSAGES.encode())
    names = [name(MESSAGES, base) for base in (60, 120)]
    made = await indexed(
        relinked(OBJECTS | {each: edited(OBJECTS[each], 0, swap) for each in names}), tmp_path
    )
    assert made.tail.stopped == []
    assert sum(each.retried for each in made.index.totals().values()) == 1
    made.index.close()


async def test_a_later_generation_s_retry_is_of_either(tmp_path: Path) -> None:
    swap = (b'"origin":null', b'"origin":"%b/0/9999"' % EMAIL.encode())
    objects = second_generation(EMAIL, closed=False)
    first, second = name(EMAIL, 0), name(EMAIL, 0, generation=2)
    for changed in ((first, second), (second,)):
        edits = {each: edited(objects[each], 0, swap) for each in changed}
        folder = tmp_path / str(len(changed))
        made = await indexed(relinked(objects | edits), folder)
        assert made.tail.stopped == []
        assert sum(each.retried for each in made.index.totals().values()) == 1
        assert made.index.is_retried(f"{EMAIL}/0/9999", 1)
        assert made.index.is_retried(f"{EMAIL}/0/9999", 2)
        made.index.close()


async def test_each_generation_counts_for_itself(tmp_path: Path) -> None:
    made = await indexed(second_generation(EMAIL), tmp_path)
    once = {key: n for key, n in effective().items() if key[1].channel == EMAIL}
    assert counted(made) == {key: 2 * n for key, n in once.items()} != {}
    made.index.close()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"ingestion_timestamp":"2026-11-25', b'"ingestion_timestamp":"yesterday!'),
        (b'"ingestion_timestamp":"2026-11-25', b'"ingestion_timestamp":"1926-11-25'),
        (b'"supersedes":null', b'"supersedes":"x"'),
        (b'"supersedes":null', b'"supersedes":"t/1/0/99999999999999999999"'),
    ],
)
async def test_what_cannot_be_counted_stops_its_partition_alone(
    tmp_path: Path, old: bytes, new: bytes
) -> None:
    base = name(EMAIL, 0)
    made = await indexed(relinked(OBJECTS | {base: edited(OBJECTS[base], 0, (old, new))}), tmp_path)
    assert made.tail.stopped == [f"{EMAIL}/1/0"]
    assert len(made.alarmed) == 1
    assert not any(group.channel == EMAIL for _, group, _ in made.index.grouped(*ALL))
    assert any(made.index.grouped(*ALL))  # the others go on
    made.index.close()


async def test_a_superseded_record_that_is_not_there_takes_nothing_away(tmp_path: Path) -> None:
    base = name(EMAIL, 0)
    swap = (b'"supersedes":null', b'"supersedes":"%b/1/0/999"' % EMAIL.encode())
    stream = {n: d for n, d in OBJECTS.items() if n.startswith("streams/") and EMAIL in n}
    changed = relinked(stream | {base: edited(OBJECTS[base], 0, swap)})
    made = await indexed(changed, tmp_path / "a")
    plain = await indexed(stream | {base: OBJECTS[base]}, tmp_path / "b")
    assert counted(made) == counted(plain)
    made.index.close()
    plain.index.close()


@pytest.mark.parametrize("sealed_at", ["noon", "2026-11-25T00:00:00", "1812-01-01T00:00:00Z"])
async def test_a_segment_sealed_at_no_time_stops_its_partition(
    tmp_path: Path, sealed_at: str
) -> None:
    base = name(EMAIL, 0)
    made = await indexed(
        relinked(OBJECTS | {base: resigned(OBJECTS[base], sealed_at=sealed_at)}), tmp_path
    )
    assert made.tail.stopped == [f"{EMAIL}/1/0"]
    made.index.close()
