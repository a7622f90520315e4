"""A stored object that is not what was archived: each look-up says which, and what failed."""

from __future__ import annotations

import gc
import shutil
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_stream.errors import StateError, StoreError, Tampered, UnknownVersion
from audit_stream.evidence.layout import SegmentName, parse_segment_name
from audit_stream.evidence.segment import decode, encode, inflate
from audit_stream.evidence.signing import LineSigner
from audit_stream.index.groups import Groups
from audit_stream.index.lookup import Lookup
from audit_stream.index.rows import GROUPS, MESSAGE, segment_key
from audit_stream.index.stored import StoredSegment, StoredSegments
from audit_stream.stores.file import FileStore
from tests.support import golden
from tests.support.indexing import PUBS, Asking, golden_archive, golden_subjects
from tests.support.resealed import MESSAGES, OBJECTS, edited, name, resigned

NAME = name(MESSAGES, 60)
GOOD = OBJECTS[NAME]
PUB = next(
    pub for pub in PUBS
    if pub["source"].startswith(MESSAGES) and 60 <= int(pub["source"].split("/")[3]) < 120
)  # fmt: skip
ASKED = (PUB["platform_tenant_id"], PUB["message_uuid"])


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Asking]:
    """An index of an archive whose folder may be written to."""
    shutil.copytree(golden.ARCHIVE, tmp_path / "archive")
    store = FileStore(tmp_path / "archive", True)
    made = Asking(golden_archive(store, golden_subjects()), tmp_path / "index")
    await made.catch_up()
    yield made
    made.index.close()


def parsed(text: str) -> SegmentName:
    found = parse_segment_name(text)
    assert found is not None
    return found


def put(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "archive" / NAME
    path.unlink(missing_ok=True)
    if data is not None:
        path.write_bytes(data)


def rewritten(old: bytes, new: bytes) -> bytes:
    """The segment with its header and signature as they were, and other record lines."""
    line, signature, body = inflate(GOOD, "x").split(b"\n", 2)
    assert old in body
    return encode(line, signature, body.replace(old, new, 1))


MALLORY = LineSigner(b"\x66" * 32)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "the object is gone"),
        (b"junk", "gzip header"),
        (GOOD[:-3], "cut short"),
        (rewritten(b"READ", b"SENT"), "body is not the hash of the record lines"),
        (resigned(GOOD, signer=MALLORY, kid=MALLORY.kid), "not a trusted key's signature"),
        (resigned(GOOD, sealed_at="2027-01-01T00:00:00.000Z"), "not the header that was indexed"),
        (edited(GOOD, 0, (b'"legal_hold":true', b'"legal_hold":true')), None),
        (OBJECTS[name(MESSAGES, 120)], "not the header that was indexed"),
    ],
)
async def test_what_failed_is_said(
    asking: Asking, tmp_path: Path, data: bytes | None, says: str | None
) -> None:
    lookup = asking.lookup
    assert await lookup.by_message(*ASKED)  # it is in the cache, which must not matter
    put(tmp_path, data)
    if says is None:  # nothing was changed
        assert await lookup.by_message(*ASKED)
        return
    for ask in (lookup.by_message(*ASKED), lookup.by_source(PUB["source"])):
        with pytest.raises(Tampered, match=says) as raised:
            await ask
        assert raised.value.message.startswith(f"{NAME}: ")
        assert PUB["message_uuid"] not in raised.value.message
    put(tmp_path, GOOD)
    assert await lookup.by_message(*ASKED)


async def test_other_segments_are_answered_from(asking: Asking, tmp_path: Path) -> None:
    put(tmp_path, b"junk")
    others = [
        pub for pub in PUBS
        if not pub["source"].startswith(MESSAGES) and pub["revision"] == 1
    ]  # fmt: skip
    for pub in others:
        assert await asking.lookup.by_source(pub["source"]) is not None


async def test_a_newer_releases_object_is_not_called_tampered(
    asking: Asking, tmp_path: Path
) -> None:
    put(tmp_path, resigned(GOOD, v="audit-segment/2"))
    with pytest.raises(UnknownVersion):
        await asking.lookup.by_message(*ASKED)


async def test_a_store_that_cannot_be_read_is_not_called_tampered(
    asking: Asking, tmp_path: Path
) -> None:
    path = tmp_path / "archive" / NAME
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(StoreError):
        await asking.lookup.by_message(*ASKED)


@settings(
    max_examples=60, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(at=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7))
async def test_no_flipped_bit_passes(asking: Asking, tmp_path: Path, at: int, bit: int) -> None:
    flipped = bytearray(GOOD)
    flipped[at] ^= 1 << bit
    put(tmp_path, bytes(flipped))
    with pytest.raises(Tampered):
        await asking.lookup.by_message(*ASKED)
    put(tmp_path, GOOD)


async def test_an_index_that_does_not_fit_says_so(asking: Asking) -> None:
    index = asking.index
    message = index.ids.message(*ASKED)
    (position, *_) = index.positions(message)
    rows = dict(index.rows())
    key = next(key for key in rows if key.startswith(MESSAGE + message))
    wrong = rows[key][:8] + bytes([rows[key][8], rows[key][9], rows[key][10], rows[key][11] ^ 1])
    index.write([(key, wrong + rows[key][12:])])
    with pytest.raises(StateError, match="does not fit the archive"):
        await asking.lookup.by_message(*ASKED)
    index.write([(key, rows[key]), (segment_key(position.place, position.base), None)])
    with pytest.raises(StateError, match="rebuild --fresh"):
        await asking.lookup.by_message(*ASKED)


async def test_a_row_under_another_offset_does_not_fit_either(asking: Asking) -> None:
    index, message = asking.index, asking.index.ids.message(*ASKED)
    key = next(key for key in dict(index.rows()) if key.startswith(MESSAGE + message))
    moved = key[:-1] + bytes([key[-1] ^ 1])
    index.write([(moved, dict(index.rows())[key]), (key, None)])
    with pytest.raises(StateError, match="does not fit the archive"):
        await asking.lookup.by_message(*ASKED)


async def test_kept_groups_that_lead_elsewhere_are_made_anew(asking: Asking) -> None:
    assert await asking.lookup.by_message(*ASKED)
    kept = {key: value for key, value in asking.rows.items() if key.startswith(GROUPS)}
    assert kept
    asking.index.write((key, value[:-1] + b"x") for key, value in kept.items())
    assert await asking.lookup.by_message(*ASKED)
    assert {key: asking.rows[key] for key in kept} == kept
    asking.index.write((key, b"\0\0\0\1" + value[4:]) for key, value in kept.items())
    with pytest.raises(StateError, match="does not fit the archive"):
        await asking.lookup.by_message(*ASKED)


@pytest.mark.parametrize("groups", [None, 157])
async def test_what_is_kept_takes_what_it_is_counted_as(asking: Asking, groups: int | None) -> None:
    """One of golden's segments, and with the groups of one of ten thousand records."""
    row = next(row for row in asking.index.segments() if row.base == 60)
    kept, times = list[StoredSegment](), 50

    def checked() -> StoredSegment:
        found, _ = StoredSegment.check(GOOD, parsed(NAME), row, asking.archive.keys)
        if groups is not None:
            nodes = [bytes([each]) * 32 for each in range(groups)]
            ends = range(10_000, 10_000 * groups + 1, 10_000)
            found = replace(found, groups=Groups.decode(Groups(ends, nodes).encode()))
        assert found.groups.root
        return found

    checked()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept += [checked() for _ in range(times)]
    taken = (tracemalloc.get_traced_memory()[0] - before) / times
    tracemalloc.stop()
    assert 0.9 < kept[0].size / taken < 1.25


@pytest.mark.parametrize("cache_bytes", [0, 10_000, 1 << 30])
async def test_what_is_kept_keeps_to_its_budget_and_changes_no_answer(
    asking: Asking, cache_bytes: int
) -> None:
    ring = asking.archive.keys
    segments = StoredSegments(
        asking.archive.store, ring, asking.index, golden.KEYRING.archive, cache_bytes=cache_bytes
    )
    rows, places = list(asking.index.segments()), asking.index.places()
    whole = 0
    for row in (*rows, *reversed(rows)):
        each = places[row.place].segment_name(row.base, row.attempt)
        read = await segments.read(each, row)
        assert read.header == decode(OBJECTS[str(each)], "x").header
        assert segments.kept_bytes <= max(cache_bytes, read.size)
        whole = max(whole, segments.kept_bytes)
    assert whole > 0
    lookup = Lookup(asking.index, asking.archive, lambda _: golden.COVER, cache_bytes=cache_bytes)
    for pub in (*PUBS, *reversed(PUBS)):
        found = await lookup.by_source(pub["source"])
        assert found is not None
        assert pub in [each.record.pub for each in found.revisions]


async def test_fields_that_a_known_subject_does_not_open_are_tampering(asking: Asking) -> None:
    ring = golden.KEYRING
    other = replace(ring, years=dict.fromkeys(ring.years, bytes(32)))
    lookup = Lookup(asking.index, replace(asking.archive, keyring=other), lambda _: golden.COVER)
    with pytest.raises(Tampered, match="do not decrypt"):
        await lookup.by_message(*ASKED)
