"""One message's records in the archive, found without an index: only its partitions are read."""

from __future__ import annotations

from dataclasses import dataclass, field

from audit_stream.archive.chain import Chain, Ended, Found, Free, check_whole
from audit_stream.archive.opening import Opener, Personal
from audit_stream.archive.streams import generations
from audit_stream.archive.tags import read_tags
from audit_stream.errors import FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.record import Record, parse_record
from audit_stream.evidence.segment import Segment
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.kafka.partitioner import partition_of
from audit_stream.ports import SubjectStore, WormStore
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.subjects import CoverOf


@dataclass(frozen=True, slots=True)
class Sighting:
    """One archived record of a message, where it lies, and what could be opened of it."""

    record: Record
    segment: Segment
    name: str
    index: int
    personal: Personal
    tag: bytes | None = field(repr=False)  # as the subject object has it


class History:
    """Finds the records of a message."""

    def __init__(
        self, store: WormStore, subjects: SubjectStore, keys: TrustedKeys, keyring: Keyring,
        cover_of: CoverOf,
    ) -> None:  # fmt: skip
        self._store, self._subjects, self._keys = store, subjects, keys
        self._index_key = keyring.index_key
        self._opener = Opener(keyring, cover_of)

    async def of(
        self, message: str, topics: list[str], tenant: str | None, customer: str | None
    ) -> list[Sighting]:
        """Every revision, by topic, generation and offset. `FormatError` and `ForkAlarm` on
        tampering."""
        needle = b'"message_uuid":' + canonical(message) + b","
        found: list[Sighting] = []
        for topic in topics:
            streams = await generations(self._store, self._keys, topic)
            for number, stream in enumerate(streams, start=1):
                # Where a topic grew, a generation begins with records spread over the old count.
                counts = {before.partitions for before in streams[:number]}
                for partition in sorted({partition_of(message.encode(), n) for n in counts}):
                    folder = layout.segment_folder(topic, stream.generation, partition)
                    chain = Chain(self._store, self._keys, stream, partition)
                    places = map(layout.parse_segment_name, await self._store.names(folder))
                    for base in sorted({place.base for place in places if place is not None}):
                        if (segment := await self._segment(chain, base)) is not None:
                            found += await self._in(segment, needle, tenant, customer)
        return found

    async def _segment(self, chain: Chain, base: int) -> Found | None:
        """What counts at a base, whole, with junk before it that it names; None for an end."""
        found = await chain.at(base)
        if isinstance(found, Free):
            raise FormatError(
                f"{found.void[-1]['name']} is no segment of a trusted key, and none stands behind",
                hint="audit-stream verify says more",
            )
        if isinstance(found, Ended):
            return None
        check_whole(found, chain.stream.archive)
        return found

    async def _in(
        self, at: Found, needle: bytes, tenant: str | None, customer: str | None
    ) -> list[Sighting]:
        segment, name = at.segment, str(at.name)
        if needle not in segment.body:
            return []
        tags = await read_tags(
            self._subjects, self._index_key, at.name, segment.leaf, segment.header.count
        )
        found = []
        for index, line in enumerate(segment.record_lines()):
            if needle not in line:
                continue
            record = parse_record(line, f"{name} line {index + 3}")
            if tenant is not None and record.pub["platform_tenant_id"] != tenant:
                continue
            tag = tags[index] if tags is not None else None
            personal = self._opener.open(segment.header, record, tag, customer)
            found.append(Sighting(record, segment, name, index, personal, tag))
        return found
