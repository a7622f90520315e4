"""The comparison of archived segments with what the raw log gives again, on the golden archive."""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_stream.archive.range import Bound, Range
from audit_stream.errors import FormatError
from audit_stream.evidence import layout, ledger
from audit_stream.evidence.segment import decode, encode
from audit_stream.flatten.status_map import StatusMap
from audit_stream.replay.resume import resume
from audit_stream.replay.states import States
from audit_stream.replay.tally import ANOTHER_LOG, LOG_ENDS, NO_MAP, RETENTION, Tally
from tests.support import golden
from tests.support.replaying import (
    END,
    OBJECTS,
    RECORDS,
    ListLog,
    Replay,
    erased_cover,
    letters,
    offset_of,
    person,
)
from tests.support.resealed import MESSAGES, SIGNER, edited, name, relinked, resigned

RECORD_COUNT = sum(
    decode(data, n).header.count for n, data in OBJECTS.items() if n.startswith("segments/")
)


def tampered(base: int, data: bytes) -> dict[str, bytes]:
    maps = {n: d for n, d in OBJECTS.items() if n.startswith("maps/")}
    rest = {n: d for n, d in OBJECTS.items() if not n.startswith("maps/")}
    return relinked(rest | {name(MESSAGES, base): data}) | maps


def recoded(base: int, **changes: object) -> bytes:
    return resigned(OBJECTS[name(MESSAGES, base)], **changes)


@pytest.mark.parametrize("size", [1, 7, 60, 1000])
async def test_the_golden_archive_is_what_its_raw_log_gives(tmp_path: Path, size: int) -> None:
    tally = await Replay(OBJECTS, tmp_path / "s", ListLog(size=size)).run()
    assert tally.differences == []
    assert (tally.compared, tally.in_range, tally.events) == (END, END, END)
    assert tally.records == RECORD_COUNT
    assert tally.segments == 5
    assert tally.independent


def changed_status() -> tuple[dict[str, bytes], int, str]:
    data = OBJECTS[name(MESSAGES, 120)]
    line = decode(data, "x").record_lines()[3]
    old = json.loads(line)["pub"]["delivery_status"]
    new = "EXPIRED" if old != "EXPIRED" else "FAILED"
    swap = (f'"delivery_status":"{old}"'.encode(), f'"delivery_status":"{new}"'.encode())
    return tampered(120, edited(data, 3, swap)), offset_of(120, 3), "delivery_status"


def dropped_record() -> tuple[dict[str, bytes], int, str]:
    lines = decode(OBJECTS[name(MESSAGES, 60)], "x").record_lines()
    at = offset_of(60, 5) - 60
    coded = ledger.encode(ledger.runs_of(letters(60)[:at] + "d" + letters(60)[at + 1 :]))
    kept = [*lines[:5], *lines[6:]]
    data = resigned(OBJECTS[name(MESSAGES, 60)], kept, ledger=coded, count=len(kept))
    return tampered(60, data), 60 + at, "disposition"


def other_letter() -> tuple[dict[str, bytes], int, str]:
    at = letters(180).index("i")
    coded = ledger.encode(ledger.runs_of(letters(180)[:at] + "q" + letters(180)[at + 1 :]))
    return tampered(180, recoded(180, ledger=coded)), 180 + at, "disposition"


def other_raw() -> tuple[dict[str, bytes], int, str]:
    return tampered(60, recoded(60, raw="ab" * 32)), 60, "raw"


def other_pii() -> tuple[dict[str, bytes], int, str]:
    data = OBJECTS[name(MESSAGES, 180)]
    pii = json.loads(decode(data, "x").record_lines()[7])["pii"]
    swapped = pii[:10] + ("A" if pii[10] != "A" else "B") + pii[11:]
    return (
        tampered(180, edited(data, 7, (pii.encode(), swapped.encode()))),
        offset_of(180, 7),
        "pii",
    )


def other_digest() -> tuple[dict[str, bytes], int, str]:
    data = OBJECTS[name(MESSAGES, 180)]
    digest = json.loads(decode(data, "x").record_lines()[0])["pub"]["_sd"][1]
    swapped = digest[:10] + ("A" if digest[10] != "A" else "B") + digest[11:]
    swap = (digest.encode(), swapped.encode())
    return tampered(180, edited(data, 0, swap)), offset_of(180, 0), "_sd"


def other_times() -> tuple[dict[str, bytes], int, str]:
    return tampered(0, recoded(0, last_ts=golden.FIRST_MS)), 0, "last_ts"


@pytest.mark.parametrize(
    "tamper",
    [changed_status, dropped_record, other_letter, other_raw, other_pii, other_digest, other_times],
)
async def test_what_was_changed_and_signed_again_is_named(tmp_path: Path, tamper) -> None:
    objects, offset, field = tamper()
    tally = await Replay(objects, tmp_path / "s", keep_going=True).run()
    assert tally.differing == 1  # the segments behind it are what the raw log gives
    (found,) = tally.differences
    assert (found.offset, found.field) == (offset, field)
    assert (found.topic, found.generation, found.partition) == (MESSAGES, 1, 0)
    assert found.segment == name(MESSAGES, offset // 60 * 60)
    assert tally.compared == END


async def test_a_line_too_many_under_the_same_header_is_named(tmp_path: Path) -> None:
    segment = decode(OBJECTS[name(MESSAGES, 60)], "x")
    more = segment.body + segment.record_lines()[0] + b"\n"
    data = encode(segment.header_line, SIGNER.signature_line(segment.header_line), more)
    tally = await Replay(OBJECTS | {name(MESSAGES, 60): data}, tmp_path / "s").run()
    assert (tally.differences[0].offset, tally.differences[0].field) == (60, "body")


async def test_it_stops_at_the_first_difference_unless_told_otherwise(tmp_path: Path) -> None:
    objects, offset, _ = dropped_record()
    tally = await Replay(objects, tmp_path / "s").run()
    assert tally.differences[0].offset == offset
    assert tally.compared == 120


async def test_no_other_value_than_a_closed_one_is_told(tmp_path: Path) -> None:
    """A tampered line may hold anything, a person's number too."""
    data = OBJECTS[name(MESSAGES, 60)]
    line = json.loads(decode(data, "x").record_lines()[0])
    workflow = line["pub"]["originating_workflow_id"]
    swap = (f'"originating_workflow_id":"{workflow}"'.encode(),
            b'"originating_workflow_id":"+4915112345678"')  # fmt: skip
    tally = await Replay(tampered(60, edited(data, 0, swap)), tmp_path / "s").run()
    assert tally.differences[0].field == "originating_workflow_id"
    assert "49151" not in str(tally.differences[0])


async def test_another_setting_is_a_difference(tmp_path: Path) -> None:
    tally = await Replay(OBJECTS, tmp_path / "s", tag="ANOTHER").run()
    assert tally.differences[0].field == "regulatory_tag"


@pytest.mark.parametrize("start", [1, 59, 60, 61, 100, 240, 250])
async def test_below_the_log_start_nothing_is_compared(tmp_path: Path, start: int) -> None:
    log = ListLog(start=start, records=[r for r in RECORDS if r.offset >= start])
    tally = await Replay(OBJECTS, tmp_path / "s", log).run()
    assert tally.differences == []
    assert tally.not_comparable == {RETENTION: start}
    assert (tally.compared, tally.in_range) == (END - start, END)
    assert not tally.independent


async def test_in_a_segment_without_its_head_the_rest_is_compared(tmp_path: Path) -> None:
    objects, offset, field = changed_status()
    log = ListLog(start=offset)
    tally = await Replay(objects, tmp_path / "s", log).run()
    assert (tally.differences[0].offset, tally.differences[0].field) == (offset, field)
    beyond = await Replay(objects, tmp_path / "t", ListLog(start=offset + 1), keep_going=True).run()
    # What the archive says of the message by then is taken for its state.
    assert all(found.offset > offset for found in beyond.differences)


async def test_retention_that_overtakes_the_comparison_is_not_comparable(tmp_path: Path) -> None:
    log = ListLog(size=20, loses={80: 130})
    tally = await Replay(OBJECTS, tmp_path / "s", log).run()
    assert tally.differences == []
    assert tally.not_comparable == {RETENTION: 70}  # 60 to 129
    assert tally.compared == END - 70


async def test_a_range_takes_whole_segments_and_the_archive_for_what_is_before(
    tmp_path: Path,
) -> None:
    wanted = Range(start=Bound(100, is_time=False), stop=Bound(181, is_time=False))
    tally = await Replay(OBJECTS, tmp_path / "s", wanted=wanted).run()
    assert tally.differences == []
    assert (tally.compared, tally.segments, tally.folded) == (180, 3, 60)
    assert not tally.independent


async def test_a_range_of_times(tmp_path: Path) -> None:
    at = [Bound(golden.FIRST_MS + golden.STEP_MS * n, is_time=True) for n in (60, 120)]
    tally = await Replay(OBJECTS, tmp_path / "s", wanted=Range(start=at[0], stop=at[1])).run()
    assert tally.differences == []
    assert (tally.compared, tally.folded) == (60, 60)


async def test_another_or_a_shorter_log_is_not_comparable(tmp_path: Path) -> None:
    tally = await Replay(OBJECTS, tmp_path / "s", None).run()
    assert tally.not_comparable == {ANOTHER_LOG: END}
    short = await Replay(OBJECTS, tmp_path / "t", ListLog(records=RECORDS[:200])).run()
    assert short.not_comparable == {LOG_ENDS: END - 180}
    assert short.compared == 180


async def test_a_dry_run_says_what_would_be_compared(tmp_path: Path) -> None:
    objects, *_ = dropped_record()
    log = ListLog(start=60, loses={60: END})  # would be noticed if it read
    tally = await Replay(objects, tmp_path / "s", log, dry_run=True).run()
    assert (tally.compared, tally.events) == (END - 60, 0)
    assert tally.not_comparable == {RETENTION: 60}
    assert tally.differences == []


def other_map() -> StatusMap:
    """Another map that reads every word the golden input has the same way."""
    return StatusMap(json.loads(golden.STATUS_MAP.canonical_bytes) | {"description": "another"})


async def test_each_segment_is_judged_by_the_map_it_names(tmp_path: Path) -> None:
    second = other_map()
    objects = tampered(120, recoded(120, status_map=second.hash))
    missing = await Replay(objects, tmp_path / "s").run()
    assert missing.not_comparable == {NO_MAP: 60}
    assert missing.compared == END - 60
    objects |= {layout.map_name(second.hash): second.canonical_bytes}
    tally = await Replay(objects, tmp_path / "t").run()
    assert tally.differences == []
    assert tally.compared == END


async def test_a_map_that_is_not_what_its_name_says_is_missing(tmp_path: Path) -> None:
    objects = OBJECTS | {layout.map_name(golden.STATUS_MAP.hash): other_map().canonical_bytes}
    tally = await Replay(objects, tmp_path / "s").run()
    assert tally.not_comparable == {NO_MAP: END}


async def test_of_an_erased_person_all_but_the_sealed_fields_is_compared(tmp_path: Path) -> None:
    offset = offset_of(120, 3)
    cover = erased_cover(person(offset))
    tally = await Replay(OBJECTS, tmp_path / "s", cover=cover).run()
    assert tally.differences == []
    assert tally.erased >= 1
    assert tally.only_archived_erased == 0
    assert tally.compared == END
    objects, offset, field = changed_status()
    found = await Replay(objects, tmp_path / "t", cover=cover).run()
    assert (found.differences[0].offset, found.differences[0].field) == (offset, field)


async def test_an_erased_line_with_a_wrong_hash_or_root_is_named(tmp_path: Path) -> None:
    cover = erased_cover(person(offset_of(120, 3)))
    objects = tampered(120, recoded(120, root="cd" * 32))
    tally = await Replay(objects, tmp_path / "s", cover=cover).run()
    assert tally.differences[0].field == "root"
    data = OBJECTS[name(MESSAGES, 120)]
    lines = decode(data, "x").record_lines()
    lines[3] = lines[3][:30] + bytes([lines[3][30] ^ 1]) + lines[3][31:]
    wrong = await Replay(tampered(120, resigned(data, lines)), tmp_path / "t", cover=cover).run()
    assert wrong.differences[0].field == "integrity_hash"


async def test_a_record_erased_before_it_was_sealed_is_compared(tmp_path: Path) -> None:
    """Sealed as erased; the keyring in use has not heard of it, or has."""
    offset = offset_of(120, 3)
    cover = erased_cover(person(offset))
    objects = await sealed_again(cover)
    heard = await Replay(objects, tmp_path / "s", cover=cover).run()
    assert (heard.differences, heard.erased) == ([], 0)  # the same bytes
    unheard = await Replay(objects, tmp_path / "t").run()
    assert unheard.differences == []
    assert unheard.only_archived_erased == unheard.erased >= 1


async def sealed_again(cover: bytes) -> dict[str, bytes]:
    """The archive as it were had the cover been in force from the start."""
    keys = golden.KeyDeriver(golden.KEYRING, cover, golden.stream_id(MESSAGES))
    sealer = golden.RecordSealer(
        keys, topic=MESSAGES, generation=1, partition=0, regulatory_tag="COMPLIANCE_ARCHIVE_V1"
    )
    states: dict = {}
    judge = golden.Judge(MESSAGES, golden.STATUS_MAP, sealer, states.get)
    objects = OBJECTS
    for base in range(0, END, 60):
        part = RECORDS[base : base + 60]
        chunk, _ = judge.judge(part, base, base + len(part), 10**6)
        states.update(chunk.states)
        lines = [line[:-1] for line in chunk.lines]
        objects = objects | {name(MESSAGES, base): resigned(objects[name(MESSAGES, base)], lines)}
    maps = {n: d for n, d in objects.items() if n.startswith("maps/")}
    return relinked({n: d for n, d in objects.items() if n not in maps}) | maps


async def test_of_a_shredded_year_all_but_the_sealed_fields_is_compared(tmp_path: Path) -> None:
    years = {year: key for year, key in golden.KEYRING.years.items() if year != 2026}
    keyring = replace(golden.KEYRING, years=years)
    tally = await Replay(OBJECTS, tmp_path / "s", keyring=keyring).run()
    assert tally.differences == []
    assert tally.erased == RECORD_COUNT
    objects, offset, field = dropped_record()
    found = await Replay(objects, tmp_path / "t", keyring=keyring).run()
    assert (found.differences[0].offset, found.differences[0].field) == (offset, field)


async def test_a_chain_that_breaks_off_is_no_shorter_archive(tmp_path: Path) -> None:
    objects = {n: d for n, d in OBJECTS.items() if n != name(MESSAGES, 120)}
    with pytest.raises(FormatError, match="no segment stands at offset 120"):
        await Replay(objects, tmp_path / "s").run()


async def test_a_stopped_comparison_goes_on_where_it_was(tmp_path: Path) -> None:
    first = Replay(OBJECTS, tmp_path / "s", wanted=Range(stop=Bound(120, is_time=False)))
    await first.run()
    chain = await first.chain()
    states = States(tmp_path / "s", keep=True)
    try:
        assert await resume(chain, states, "something else") is None
        found = await resume(chain, states, "test")
    finally:
        states.close()
    assert found is not None
    link, tally = found
    assert (link.next, tally.compared) == (120, 120)
    again = Replay(OBJECTS, tmp_path / "s", tally=tally, link=link)
    assert (await again.run()).differences == []
    assert (tally.compared, tally.events, tally.records) == (END, END, RECORD_COUNT)
    assert again.done[0] == 180


async def test_it_does_not_go_on_in_another_archive(tmp_path: Path) -> None:
    await Replay(OBJECTS, tmp_path / "s").run()
    other, *_ = dropped_record()
    states = States(tmp_path / "s", keep=True)
    try:
        assert await resume(await Replay(other, tmp_path).chain(), states, "test") is None
    finally:
        states.close()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, END - 1), st.integers(1, 300), st.integers(0, END), st.integers(0, END))
def test_each_offset_is_compared_or_not_comparable(
    log_start: int, size: int, start: int, stop: int
) -> None:
    wanted = Range(start=Bound(start, is_time=False), stop=Bound(stop, is_time=False))
    with tempfile.TemporaryDirectory() as folder:
        log = ListLog(size=size, start=log_start)
        tally = asyncio.run(Replay(OBJECTS, Path(folder) / "s", log, wanted=wanted).run())
    assert tally.differences == []
    assert tally.compared + tally.missed == tally.in_range
    inside = [base for base in range(0, END, 60) if base < stop and min(base + 60, END) > start]
    assert tally.in_range == sum(min(base + 60, END) - base for base in inside)


def test_a_tally_is_what_it_was_after_it_was_noted() -> None:
    objects, *_ = dropped_record()
    with tempfile.TemporaryDirectory() as folder:
        tally = asyncio.run(Replay(objects, Path(folder) / "s", ListLog(start=30)).run())
    assert tally.differences
    assert Tally.decode(tally.encode()) == tally
