"""Opening personal fields: by tag, by the customer's name, and each reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from audit_stream.archive.opening import Closed, Opener, Personal
from audit_stream.archive.tags import read_tags
from audit_stream.errors import FormatError
from audit_stream.evidence.layout import SegmentName, subject_name
from audit_stream.evidence.record import Record, digest, parse_record
from audit_stream.evidence.segment import Header, decode
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.subject_object import NO_TAG
from audit_stream.privacy.subjects import EXTERNAL
from audit_stream.stores.subjects import FileSubjectStore
from tests.support import golden
from tests.support.replaying import erased_cover, offset_of, person
from tests.support.resealed import MESSAGES, OBJECTS

PLACE = SegmentName(MESSAGES, 1, 0, 60)
SEGMENT = decode(OBJECTS[str(PLACE)], "x")


@dataclass(frozen=True)
class Sealed:
    header: Header
    record: Record
    tag: bytes
    subject: tuple[str, str, str]


async def every() -> list[Sealed]:
    subjects = FileSubjectStore(golden.GOLDEN)
    leaf, count = SEGMENT.leaf, SEGMENT.header.count
    tags = await read_tags(subjects, golden.KEYRING.index_key, PLACE, leaf, count)
    assert tags is not None
    return [
        Sealed(SEGMENT.header, parse_record(line, "x"), tag, person(offset_of(60, index)))
        for index, (line, tag) in enumerate(zip(SEGMENT.record_lines(), tags.values, strict=True))
    ]


@pytest.fixture
async def sealed() -> Sealed:
    """A record whose subject is a customer."""
    return next(each for each in await every() if each.subject[1] == EXTERNAL)


def opened(
    it: Sealed, tag: bytes | None, customer: str | None = None, keyring: Keyring = golden.KEYRING,
    cover: bytes = golden.COVER,
) -> Personal:  # fmt: skip
    return Opener(keyring, lambda _: cover).open(it.header, it.record, tag, customer)


async def test_a_tag_opens_what_was_sealed_and_the_disclosures_fit() -> None:
    opener = Opener(golden.KEYRING, lambda _: golden.COVER)
    for it in await every():
        personal = opener.open(it.header, it.record, it.tag, None)
        assert personal.closed is None
        if it.subject[1] == EXTERNAL:
            assert personal.fields["customer_external_id"] == it.subject[2]
        assert sorted(map(digest, personal.disclosures)) == it.record.pub["_sd"]


async def test_the_named_customer_opens_without_a_tag(sealed: Sealed) -> None:
    customer = sealed.subject[2]
    assert opened(sealed, None, customer).fields == opened(sealed, sealed.tag).fields
    assert opened(sealed, NO_TAG, customer).fields == opened(sealed, sealed.tag).fields
    assert opened(sealed, None, f"{customer}x").closed is Closed.ANOTHERS


async def test_each_reason_why_it_stays_closed(sealed: Sealed) -> None:
    erased = erased_cover(sealed.subject)
    years: Mapping[int, bytes] = {}
    shredded = replace(golden.KEYRING, years=years)
    assert opened(sealed, None).closed is Closed.UNLINKED
    assert opened(sealed, NO_TAG).closed is Closed.ERASED
    assert opened(sealed, sealed.tag, cover=erased).closed is Closed.ERASED
    assert opened(sealed, None, sealed.subject[2], cover=erased).closed is Closed.ERASED
    assert opened(sealed, sealed.tag, keyring=shredded).closed is Closed.SHREDDED
    gone = replace(sealed, record=replace(sealed.record, pub={"erased": True}))
    assert opened(gone, sealed.tag).closed is Closed.ERASED


async def test_what_a_known_subject_does_not_open_is_tampered(sealed: Sealed) -> None:
    other = next(each for each in await every() if each.tag != sealed.tag)
    with pytest.raises(FormatError, match="do not decrypt"):
        opened(sealed, other.tag)


@pytest.fixture
def folder(tmp_path: Path) -> FileSubjectStore:
    return FileSubjectStore(tmp_path)


async def test_tags_of_another_object_are_not_taken(folder: FileSubjectStore) -> None:
    key, leaf, count = golden.KEYRING.index_key, SEGMENT.leaf, SEGMENT.header.count
    assert await read_tags(None, key, PLACE, leaf, count) is None
    assert await read_tags(folder, key, PLACE, leaf, count) is None
    stored = await FileSubjectStore(golden.GOLDEN).get(subject_name(PLACE, leaf))
    assert stored is not None
    await folder.create(subject_name(PLACE, leaf), stored.data)
    with pytest.raises(FormatError, match="tags, its segment"):
        await read_tags(folder, key, PLACE, leaf, count + 1)
    with pytest.raises(FormatError, match="does not open"):
        await read_tags(folder, bytes(32), PLACE, leaf, count)
