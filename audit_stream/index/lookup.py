"""Looking messages up: by message id, carrier's id, customer or source position.

The index only says where to look. What is answered stands in the stored object, is proven up to the
segment's signed header, and is opened through the subject object or for the customer who was named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from audit_stream.archive.opening import Closed, Opener, Personal
from audit_stream.archive.tags import Tags
from audit_stream.errors import FormatError
from audit_stream.evidence import ledger
from audit_stream.evidence.encoding import b64u, b64u_decode
from audit_stream.evidence.record import Record
from audit_stream.evidence.segment import Header
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.files import stale
from audit_stream.index.rows import TAGGED_BYTES, Indexed, Position, SegmentRow, Tagged
from audit_stream.index.stored import (
    CACHE_BYTES,
    Gone,
    Proven,
    StoredSegment,
    StoredSegments,
    tampered,
)
from audit_stream.index.tail import Archive
from audit_stream.precedence.matrix import DELIVERED, EXPIRED, FAILED, RANK, READ
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.subjects import EXTERNAL, CoverOf, tags_of

_OFFSET = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII).fullmatch
_PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One archived record of a message, proven, and what could be opened of it."""

    record: Record
    line: bytes = field(repr=False)
    header: Header = field(repr=False)
    header_line: bytes = field(repr=False)
    segment: str  # object name
    index: int  # of the record in its segment
    path: Sequence[bytes] = field(repr=False)  # from the record's leaf to the header's root
    personal: Personal
    tagged: Tagged = field(repr=False)
    tag: bytes | None = field(repr=False)  # as the subject object has it

    @property
    def status(self) -> str:
        """The delivery status."""
        return str(self.record.pub["delivery_status"])

    @property
    def closed(self) -> Closed | None:
        """Why the personal fields are not shown."""
        return self.personal.closed


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A tenant's message: its revisions by topic, generation, partition and offset."""

    tenant: str
    message_uuid: str
    revisions: tuple[Revision, ...]

    @property
    def effective(self) -> Revision:
        """The highest revision; of several streams', the highest status reached."""
        return max(
            self.revisions, key=lambda each: (RANK[each.status], each.record.pub["revision"])
        )  # fmt: skip

    @property
    def conflict(self) -> bool:
        """Whether delivered or read, and failed or expired, both stand."""
        statuses = {each.status for each in self.revisions}
        return bool(statuses & {DELIVERED, READ}) and bool(statuses & {FAILED, EXPIRED})

    @property
    def erased(self) -> bool:
        """Whether a subject of it was erased."""
        return any(each.closed is Closed.ERASED for each in self.revisions)

    def is_of(self, customer: str) -> bool:
        """Whether an opened revision names this customer. Of an erased one nobody can tell."""
        return any(
            each.personal.fields.get("customer_external_id") == customer
            for each in self.revisions
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of a customer's messages, by the time of their first record in the archive."""

    messages: tuple[Message, ...]
    cursor: str | None  # for the next page; None: this is the last. Holds no id.


class Lookup:
    """Answers from one archive and its index. When the keyring changes, `with_keys` has its keys.

    Every method raises `Tampered` for an object that is not what was archived, `UnknownVersion` for
    a newer release's, `StoreError` when a store cannot be read, and `StateError` when the index
    does not fit the archive.
    """

    def __init__(
        self, index: ArchiveIndex, archive: Archive, cover_of: CoverOf, *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:  # fmt: skip
        self._index, self._archive = index, archive
        self._segments = StoredSegments(
            archive.store, archive.keys, index, archive.keyring.archive, cache_bytes=cache_bytes
        )
        self._use(archive.keyring, cover_of)

    def _use(self, keyring: Keyring, cover_of: CoverOf) -> None:
        self._opener = Opener(keyring, cover_of)

    def wipe(self) -> None:
        """Overwrite the keys it holds: another one answers, and nobody is at work with it."""
        self._opener.wipe()

    def with_keys(self, keyring: Keyring, cover_of: CoverOf) -> Lookup:
        """One with these keys and no others; what was checked of segments is shared."""
        other = copy(self)
        other._archive = replace(self._archive, keyring=keyring)
        other._use(keyring, cover_of)
        return other

    async def by_message(
        self, tenant: str | None, message_id: str, customer: str | None = None
    ) -> list[Message]:
        """A tenant's message, or each tenant's with this id; none if it is unknown.

        `customer` opens what the subject object does not; whether the message is theirs,
        `Message.is_of` says.
        """
        if tenant is not None:
            messages = [self._index.ids.message(tenant, message_id)]
        else:
            messages = self._index.messages(message_id)
        found = [await self._message(message, customer) for message in messages]
        return [each for each in found if each is not None]

    async def by_carrier(
        self, tenant: str | None, carrier_message_id: str, customer: str | None = None
    ) -> list[Message]:
        """The messages of which a record has this carrier message id."""
        messages = self._index.carried(carrier_message_id)
        if tenant is not None:
            messages = [each for each in messages if self._index.ids.is_of(each, tenant)]
        found = [await self._message(message, customer) for message in messages]
        return [each for each in found if each is not None]

    async def by_source(self, position: str, customer: str | None = None) -> Message | None:
        """The message whose record stands at ``topic/generation/partition/offset``."""
        place, _, offset = position.rpartition("/")
        if not _OFFSET(offset):
            return None
        for indexed in self._index.places().values():
            if str(indexed) == place:
                return await self._at(indexed, int(offset), customer)
        return None

    async def by_customer(
        self, tenant: str, customer: str, *, cursor: str | None = None, limit: int = _PAGE
    ) -> Page:
        """At most `limit` of a customer's messages, in the order in which they came to be archived.

        A message stands where its first record of this customer does. Records of segments whose
        subject object is away are not found. `FormatError` for a cursor that is none of ours.
        """
        tags = tags_of(self._archive.keyring, (tenant, EXTERNAL, customer))
        begin, after = (0, None) if cursor is None else _parse_cursor(cursor, len(tags))
        messages: list[Message] = []
        read: dict[bytes, Message | None] = {}  # it is met again by each of its records
        for number, tag in enumerate(tags[begin:], begin):
            for tagged, message in self._index.tagged(tag, after):
                if len(messages) == limit:
                    return Page(messages=tuple(messages), cursor=_cursor(number, after))
                after = tagged
                if message not in read:
                    read[message] = await self._message(message, customer)
                if (found := read[message]) is None:
                    self._check_gone(tag, tagged, message)
                elif _is_first(found, tag, tagged):
                    messages.append(found)
            after = None
        return Page(messages=tuple(messages), cursor=None)

    async def clear(self, tagged: Tagged) -> Mapping[str, Any] | None:
        """What a person's record says in clear: `pub`, proven as the others are. None: it was
        disposed of, and the index has not heard yet."""
        indexed = self._index.place(tagged.place)
        row = self._index.segment(tagged.place, tagged.base)
        if indexed is None or row is None:
            raise stale("a person's record")
        name = indexed.segment_name(row.base, row.attempt)
        try:
            _, proven = await self._segments.prove(name, row, tagged.index)
        except Gone:
            return None
        return proven.record.pub

    def _check_gone(self, tag: bytes, tagged: Tagged, message: bytes) -> None:
        """That a message without records has none because all of them were disposed of. Once the
        index forgets them, a person's rows go first."""
        if not self._index.positions(message) and self._index.is_tagged(tag, tagged):
            raise stale("a person's record")

    async def _at(self, indexed: Indexed, offset: int, customer: str | None) -> Message | None:
        row = self._index.segment_at(indexed.place, offset)
        if row is None:
            return None
        name = indexed.segment_name(row.base, row.attempt)
        try:
            header = (await self._segments.read(name, row)).header
        except Gone:
            return None
        runs = ledger.decode(header.ledger, header.next - header.base)
        offsets = ledger.archived_offsets(runs, header.base)
        index = next((i for i, archived in enumerate(offsets) if archived == offset), None)
        if index is None:
            return None
        pub = (await self._segments.prove(name, row, index))[1].record.pub
        message = self._index.ids.message(pub["platform_tenant_id"], pub["message_uuid"])
        return await self._message(message, customer)

    async def _message(self, message: bytes, customer: str | None) -> Message | None:
        positions = self._index.positions(message)
        revisions = []
        for each in positions:
            try:
                revisions.append(await self._revision(each, message, customer))
            except Gone:  # disposed of, and the index has not heard yet
                continue
        if not revisions:
            return None
        revisions.sort(key=_order)
        pub = revisions[0].record.pub
        return Message(
            tenant=pub["platform_tenant_id"], message_uuid=pub["message_uuid"],
            revisions=tuple(revisions),
        )  # fmt: skip

    async def _revision(self, position: Position, message: bytes, customer: str | None) -> Revision:
        indexed = self._index.place(position.place)
        row = self._index.segment(position.place, position.base)
        if indexed is None or row is None:
            raise stale("a record's segment")
        name = indexed.segment_name(row.base, row.attempt)
        stored, proven = await self._segments.prove(name, row, position.index)
        pub = proven.record.pub
        ids = self._index.ids
        if (
            ids.message(pub["platform_tenant_id"], pub["message_uuid"]) != message
            or pub["source"] != f"{indexed}/{position.offset}"
        ):
            raise stale(f"record {position.index} of {name}")
        tags = await self._archive.tags(name, row.leaf, row.count)
        return self._revealed(stored, str(name), proven, row, tags, customer)

    def _revealed(
        self, segment: StoredSegment, name: str, proven: Proven, row: SegmentRow, tags: Tags | None,
        customer: str | None,
    ) -> Revision:  # fmt: skip
        tag = None if tags is None else tags[proven.index]
        try:
            personal = self._opener.open(segment.header, proven.record, tag, customer)
        except FormatError as error:
            raise tampered(name, f"line {proven.number}: {error.message}") from error
        return Revision(
            record=proven.record, line=proven.line, header=segment.header,
            header_line=segment.header_line, segment=name, index=proven.index, path=proven.path,
            personal=personal, tag=tag,
            tagged=Tagged(time=row.time, place=row.place, base=row.base, index=proven.index),
        )  # fmt: skip


def _is_first(message: Message, tag: bytes, tagged: Tagged) -> bool:
    """Whether this is its first record of the tag, as the subject object has it."""
    theirs = [each.tagged for each in message.revisions if each.tag == tag]
    return bool(theirs) and min(theirs) == tagged


def _order(revision: Revision) -> tuple[str, int, int, int]:
    header, offset = revision.header, int(revision.record.pub["source"].rpartition("/")[2])
    return header.topic, header.generation, header.partition, offset


def _cursor(number: int, after: Tagged | None) -> str:
    """Which of the customer's tags, and the row behind which the next page begins."""
    return b64u(bytes([number]) + (b"" if after is None else after.encode()))


def _parse_cursor(cursor: str, tags: int) -> tuple[int, Tagged | None]:
    data = b64u_decode(cursor, "the cursor")
    if len(data) not in (1, 1 + TAGGED_BYTES) or data[0] >= tags:
        raise FormatError("the cursor is none that a page was given with")
    return data[0], Tagged.decode(data[1:]) if len(data) > 1 else None
