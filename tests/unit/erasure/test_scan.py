"""A scan finds every record of a person wherever it lies, and says where it could not look."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.erasure.scan import Hit, Looked, Unreadable, scan
from audit_stream.erasure.wanted import Wanted
from audit_stream.errors import StoreRefused
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import decode
from audit_stream.privacy.subject_object import NO_TAG
from audit_stream.stores.memory_subjects import MemorySubjectStore
from tests.support.erasing import INDEX_KEY, RECORDS, SOMEBODY, Erasing, listed, sealed
from tests.support.resealed import OBJECTS

EMPTY = "subjects/t/00001/00000/00000000000000000000-0123456789abcdef.bin"
# Few tags, and ones that share the half by which they are looked for.
_tags = st.sampled_from([bytes([a]) * 8 + bytes([b]) * 8 for a in range(3) for b in range(3)][1:])


def sources(hits: list[Hit]) -> dict[bytes, list[str]]:
    """By tag, the sources of the record lines that the hits point to."""
    found = defaultdict(list)
    for hit in hits:
        lines = decode(OBJECTS[str(hit.place)], hit.name).record_lines()
        for tag, indexes in hit.found.items():
            for index in indexes:
                source = lines[index].partition(b'"source":"')[2].partition(b'"')[0]
                found[tag].append(source.decode())
    return found


async def test_everybody_is_found_where_the_raw_topics_say(erasing: Erasing) -> None:
    looked = Looked()
    hits = await listed(scan(erasing.subjects, INDEX_KEY, RECORDS, erasing.alarms, looked))
    assert sources(hits) == {tag: [pub["source"] for pub in pubs] for tag, pubs in RECORDS.items()}
    assert [hit.name for hit in hits] == erasing.names
    assert (looked.objects, looked.unreadable) == (len(erasing.names), 0)
    assert looked.tags == sum(map(len, RECORDS.values())) == sum(hit.count for hit in hits)


async def test_a_listing_of_many_pages_is_read_to_its_end(
    erasing: Erasing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (1, 2, len(erasing.names)):
        monkeypatch.setattr("audit_stream.erasure.scan._PAGE", size)
        assert [hit.name for hit in await erasing.hits(*RECORDS)] == erasing.names


async def test_one_person_is_found_and_nobody_else(erasing: Erasing) -> None:
    hits = await erasing.hits(SOMEBODY)
    assert sources(hits) == {SOMEBODY: [pub["source"] for pub in RECORDS[SOMEBODY]]}
    assert await erasing.hits(bytes(15) + b"\x01") == []
    assert await erasing.hits() == []


async def test_an_orphan_is_found_as_well(erasing: Erasing) -> None:
    orphan = erasing.orphan(erasing.names[0], "0" * 16, [NO_TAG, SOMEBODY, NO_TAG, SOMEBODY])
    [hit] = [hit for hit in await erasing.hits(SOMEBODY) if hit.name == orphan]
    assert hit.found == {SOMEBODY: [1, 3]}
    assert hit.leaf == "0" * 16
    assert hit.place == SegmentName("outbound_email_status_update", 1, 0, 0)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[:20],
        lambda data: b"\x02" + data[1:],
        lambda _: b"x",
    ],
)
async def test_what_cannot_be_looked_into_is_told_and_the_rest_is_found(
    erasing: Erasing, spoilt: object
) -> None:
    name = (await erasing.hits(SOMEBODY))[0].name
    whole = erasing.subjects.get_sync(name)
    assert whole is not None
    assert erasing.subjects.replace_sync(name, spoilt(whole.data), whole.etag)  # type: ignore[operator]
    looked = Looked()
    found = await listed(scan(erasing.subjects, INDEX_KEY, RECORDS, erasing.alarms, looked))
    [unreadable] = [each for each in found if isinstance(each, Unreadable)]
    assert unreadable.name == name
    assert name in unreadable.reason
    assert {each.name for each in found} == set(erasing.names)
    assert looked.unreadable == 1
    assert erasing.alarmed == ["unreadable:subjects"]
    now = erasing.subjects.get_sync(name)
    assert now is not None
    erasing.subjects.replace_sync(name, whole.data, now.etag)
    await erasing.hits(SOMEBODY)
    assert erasing.alarmed == []


async def test_an_object_under_another_ones_name_does_not_open(erasing: Erasing) -> None:
    first = erasing.subjects.get_sync(erasing.names[0])
    assert first is not None
    moved = erasing.names[0].replace("00000-", "00007-")
    erasing.subjects.create_sync(moved, first.data)
    found = await listed(scan(erasing.subjects, INDEX_KEY, [SOMEBODY], erasing.alarms))
    assert [each.name for each in found if isinstance(each, Unreadable)] == [moved]


@pytest.mark.parametrize(
    "name", ["subjects/readme", "subjects/t/00001/00000/0-0123456789abcdef.bin", f"{EMPTY}.old"]
)
async def test_a_stranger_among_the_objects_is_told(erasing: Erasing, name: str) -> None:
    erasing.subjects.create_sync(name, sealed(name, [SOMEBODY]))
    found = await listed(scan(erasing.subjects, INDEX_KEY, [SOMEBODY], erasing.alarms))
    assert [each.name for each in found if isinstance(each, Unreadable)] == [name]


async def test_what_is_no_subject_object_by_folder_is_not_looked_at(erasing: Erasing) -> None:
    erasing.subjects.create_sync("private/epoch", b"sealed otherwise")
    looked = Looked()
    await listed(scan(erasing.subjects, INDEX_KEY, [SOMEBODY], erasing.alarms, looked))
    assert looked.objects == len(erasing.names)


async def test_a_segment_without_records_has_an_object_without_tags(erasing: Erasing) -> None:
    erasing.subjects.create_sync(EMPTY, sealed(EMPTY, []))
    looked = Looked()
    assert await listed(scan(erasing.subjects, INDEX_KEY, [SOMEBODY], erasing.alarms, looked))
    assert (looked.objects, looked.unreadable) == (len(erasing.names), 0)


async def test_what_is_removed_after_it_was_listed_is_passed_over(erasing: Erasing) -> None:
    class Slow(MemorySubjectStore):
        async def names(self, prefix: str, **kwargs: object) -> list[str]:
            found = await super().names(prefix, **kwargs)
            return [*found, f"{EMPTY}"] if found else []

    store = Slow()
    name = erasing.names[0]
    await store.create(name, sealed(name, [SOMEBODY]))
    looked = Looked()
    found = await listed(scan(store, INDEX_KEY, [SOMEBODY], erasing.alarms, looked))
    assert [each.name for each in found] == [name]
    assert looked.unreadable == 0


async def test_a_store_that_cannot_be_read_ends_the_scan(erasing: Erasing) -> None:
    store = FailingAtThird()
    for name in erasing.names:
        await store.create(name, sealed(name, [SOMEBODY]))
    with pytest.raises(StoreRefused):
        await listed(scan(store, INDEX_KEY, [SOMEBODY], erasing.alarms))


class FailingAtThird(MemorySubjectStore):
    reads = 0

    async def get(self, name: str) -> object:
        self.reads += 1
        if self.reads == 3:
            raise StoreRefused("no")
        return await super().get(name)


@given(wanted=st.sets(_tags, max_size=4), tags=st.lists(_tags | st.just(NO_TAG), max_size=30))
def test_tags_are_found_as_by_looking_at_each(wanted: set[bytes], tags: list[bytes]) -> None:
    naive = {
        tag: [index for index, each in enumerate(tags) if each == tag]
        for tag in wanted if tag in tags
    }  # fmt: skip
    assert Wanted(wanted).find(b"".join(tags)) == naive


@pytest.mark.parametrize("tag", [NO_TAG, b"", bytes(range(15)), bytes(range(17))])
def test_nobodys_tag_is_not_looked_for(tag: bytes) -> None:
    with pytest.raises(ValueError, match="tag"):
        Wanted([SOMEBODY, tag])


async def test_no_repr_shows_a_tag(erasing: Erasing) -> None:
    [hit, *_] = await erasing.hits(SOMEBODY)
    for text in (repr(hit), repr(Wanted([SOMEBODY]))):
        assert repr(SOMEBODY) not in text
        assert SOMEBODY.hex() not in text
