"""The list of a batch's records: whole, in parts, and nothing of an earlier pass in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from audit_stream.archive.private import PrivateObjects
from audit_stream.archive.receivers import Receiver
from audit_stream.erasure.found import Seen, Sighting
from audit_stream.erasure.listing import Listing, discard_parts, read_part
from audit_stream.erasure.notice import (
    MOST_RECORDS,
    Listed,
    Notice,
    encode_part,
    notice_body,
    notice_key,
)
from audit_stream.erasure.scan import Hit
from audit_stream.errors import FormatError, Tampered
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.record import PERSONAL_FIELDS
from audit_stream.stores.subjects import FileSubjectStore
from tests.support.erasing import INDEX_KEY

PLACE = SegmentName("topic", 1, 0, 0)
HIT = Hit(name="x", place=PLACE, leaf="0" * 16, etag="", joined=b"", found={})
RECEIVER = Receiver(
    name="siem", fields=PERSONAL_FIELDS, keys=("message_uuid", "message_uuid:delivery_status"),
    since="2026-11-26T08:00:00.000Z",
)  # fmt: skip


@pytest.fixture
def private(tmp_path: Path) -> PrivateObjects:
    return PrivateObjects(FileSubjectStore(tmp_path), INDEX_KEY)


def seen(number: int) -> Seen:
    digest = (number * 2_654_435_761 % 2**32).to_bytes(32)
    return Seen(digest, "t1", f"m-{number}", "w", f"topic/1/0/{number}", "", "DELIVERED")


async def sightings(*counts: int) -> AsyncIterator[Sighting]:
    """Segments of so many records; of two persons in turns."""
    number = 0
    for count in counts:
        records: dict[bytes, list[Seen]] = {bytes(16): [], bytes(range(16)): []}
        for _ in range(count):
            records[bytes(range(16)) if number % 2 else bytes(16)].append(seen(number))
            number += 1
        yield Sighting(HIT, PLACE, records)
    yield Sighting(HIT, None, {})  # an orphan


async def listed(private: PrivateObjects, parts: int) -> list[list[Listed]]:
    return [await read_part(private, number) for number in range(1, parts + 1)]


@pytest.mark.parametrize(("counts", "sizes"), [
    ((), []), ((1,), [1]), ((3,), [3]), ((4,), [3, 1]), ((1, 1, 1), [3]), ((10, 1), [3, 3, 3, 2]),
])  # fmt: skip
async def test_every_record_is_listed_once_in_parts_of_bounded_size(
    private: PrivateObjects, counts: tuple[int, ...], sizes: list[int]
) -> None:
    listing = Listing(private, 3)
    passed = [each async for each in listing.of(sightings(*counts))]
    assert len(passed) == len(counts) + 1
    parts = await listed(private, listing.parts)
    assert [len(part) for part in parts] == sizes
    assert {each.message_uuid for part in parts for each in part} == {
        f"m-{number}" for number in range(sum(counts))
    }
    assert all(part == sorted(part) for part in parts)


async def test_parts_are_written_while_the_archive_is_read(private: PrivateObjects) -> None:
    """A million records are never held at once: a segment's at most, and a part's."""
    listing, most = Listing(private, 100), 0
    async for _ in listing.of(sightings(*[250] * 40)):
        most = max(most, len(listing._waiting))
    assert listing.parts == 100
    assert most < 100


async def test_what_an_earlier_pass_listed_is_not_taken_for_this_ones(
    private: PrivateObjects,
) -> None:
    async for _ in Listing(private, 3).of(sightings(10)):
        pass
    stale = [Listed("ff", "m-stale", "READ", "topic/1/0/99")]
    for number in (1, 5):
        await private.update(f"private/notices/parts/{number:08d}", lambda _: encode_part(stale))
    listing = Listing(private, 3)
    async for _ in listing.of(sightings(4)):
        pass
    parts = await listed(private, listing.parts)
    assert [len(part) for part in parts] == [3, 1]
    assert not any(each.message_uuid == "m-stale" for part in parts for each in part)
    assert len(await private.names("private/notices/parts/")) == 2


async def test_a_part_that_is_gone_is_said(private: PrivateObjects) -> None:
    listing = Listing(private, 3)
    async for _ in listing.of(sightings(4)):
        pass
    await private.discard("private/notices/parts/00000002")
    with pytest.raises(Tampered, match="00000002 is gone"):
        await read_part(private, 2)
    await discard_parts(private)
    assert await private.names("private/") == []


def test_the_largest_notice_stays_below_a_mebibyte() -> None:
    records = [Listed("a" * 64, "m" * 256, "DELIVERED", "s")] * MOST_RECORDS
    notice = Notice(notice_id="en-0123456789abcdef", parts=1, receivers=[RECEIVER])
    body = notice_body("a" * 100, notice, 1, RECEIVER, records)
    assert len(body) < 1 << 20


def test_each_part_has_a_key_of_its_own() -> None:
    notice = Notice(notice_id="en-0123456789abcdef", parts=2, receivers=[RECEIVER])
    assert {notice_key(notice, part) for part in (1, 2)} == {
        "erasure-notice:en-0123456789abcdef:1", "erasure-notice:en-0123456789abcdef:2",
    }  # fmt: skip


def test_a_form_of_keys_that_nobody_knows_is_said() -> None:
    with pytest.raises(FormatError, match="cannot be made"):
        Listed("a", "m", "READ", "s").key("carrier_message_id")
