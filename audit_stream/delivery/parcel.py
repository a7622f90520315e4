"""Records on their way out: read from a segment whose signature and place were checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from audit_stream.archive.chain import Found
from audit_stream.archive.tags import Tags
from audit_stream.delivery.body import KeyForm, key_of
from audit_stream.errors import ForkAlarm
from audit_stream.evidence.record import Record, parse_record
from audit_stream.evidence.segment import Header

_FIRST_RECORD = 3  # lines of a segment are counted from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One record to deliver. `tag`: its subject's, None where the subject object is away or no
    personal field is sent."""

    record: Record
    header: Header
    segment: str
    offset: int
    key: str
    tag: bytes | None = field(default=None, repr=False)

    @property
    def message(self) -> tuple[object, ...]:
        """Stream, partition, tenant and message: what belongs to one goes out in order."""
        pub, header = self.record.pub, self.header
        return header.stream, header.partition, pub["platform_tenant_id"], pub["message_uuid"]


def parcels(found: Found, tags: Tags | None, form: KeyForm) -> Iterator[Parcel]:
    """The records of a segment in their order, each hash recomputed; `FormatError`, `ForkAlarm`."""
    if found.disposed:
        return
    header, name, last = found.segment.header, str(found.name), found.segment.header.base - 1
    place = f"{header.topic}/{header.generation}/{header.partition}/"
    for index, line in enumerate(found.segment.record_lines()):
        record = parse_record(line, f"{name} line {index + _FIRST_RECORD}")
        source = record.pub["source"]
        digits = source.removeprefix(place)
        if not source.startswith(place) or not digits.isdecimal():
            raise ForkAlarm(f"{name} holds a record of another place")
        if not last < (offset := int(digits)) < header.next:
            raise ForkAlarm(f"{name} holds records out of order")
        last = offset
        yield Parcel(
            record=record, header=header, segment=name, offset=offset,
            key=key_of(record.pub, form), tag=None if tags is None else tags[index],
        )  # fmt: skip
