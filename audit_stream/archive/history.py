"""One message's records in the archive, found without an index: only its partitions are read."""

from __future__ import annotations

from dataclasses import dataclass, field

from audit_stream.archive.opening import Opener, Personal
from audit_stream.archive.streams import generations
from audit_stream.archive.tags import read_tags
from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence import layout
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.ending import End, decode_link
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
        """Every revision, by topic, generation and offset. Raises FormatError on tampering."""
        needle = b'"message_uuid":' + canonical(message) + b","
        found: list[Sighting] = []
        for topic in topics:
            streams = await generations(self._store, self._keys, topic)
            for number, stream in enumerate(streams, start=1):
                # Where a topic grew, a generation begins with records spread over the old count.
                counts = {before.partitions for before in streams[:number]}
                for partition in sorted({partition_of(message.encode(), n) for n in counts}):
                    folder = layout.segment_folder(topic, stream.generation, partition)
                    for name in await self._store.names(folder):
                        found += await self._in(name, needle, tenant, customer)
        return found

    async def _segment(self, name: str, needle: bytes) -> Segment | None:
        """The segment under a name, if it holds the message; junk that was passed over does not."""
        try:
            found = decode_link(await self._store.get(name) or b"", name)
            if isinstance(found, End) or needle not in found.body:
                return None
            if not found.is_signed(self._keys):
                raise FormatError(f"{name} is not signed by the archive's key")
        except UnknownVersion:
            raise
        except FormatError:
            if not await self._was_passed_over(name):
                raise
            return None
        return found

    async def _was_passed_over(self, name: str) -> bool:
        following = layout.after_junk(name)
        return following is not None and await self._store.get(following) is not None

    async def _in(
        self, name: str, needle: bytes, tenant: str | None, customer: str | None
    ) -> list[Sighting]:
        segment = await self._segment(name, needle)
        if segment is None:
            return []
        place = layout.parse_segment_name(name)
        assert place is not None
        tags = await read_tags(
            self._subjects, self._index_key, place, segment.leaf, segment.header.count
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
