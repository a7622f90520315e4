"""One message's records in the archive, found without an index: only its partitions are read."""

from __future__ import annotations

from dataclasses import dataclass

from audit_stream.archive.streams import generations
from audit_stream.errors import FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.ending import End, decode_link
from audit_stream.evidence.record import Record, parse_record
from audit_stream.evidence.segment import Segment
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.kafka.partitioner import partition_of
from audit_stream.ports import SubjectStore, WormStore
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.keytree import Buffer
from audit_stream.privacy.sealer import open_personal
from audit_stream.privacy.subject_object import NO_TAG, open_tags
from audit_stream.privacy.subjects import EXTERNAL, KeyDeriver, SubjectKeys


@dataclass(frozen=True, slots=True)
class Sighting:
    """One archived record of a message, where it lies, and what could be opened of it."""

    record: Record
    segment: Segment
    name: str
    index: int
    personal: dict[str, str]
    closed: str | None  # why the personal fields are not shown


class History:
    """Finds the records of a message."""

    def __init__(
        self, store: WormStore, subjects: SubjectStore, keys: TrustedKeys, keyring: Keyring,
        cover: Buffer,
    ) -> None:  # fmt: skip
        self._store, self._subjects, self._keys = store, subjects, keys
        self._keyring, self._cover = keyring, cover

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
        """The segment under a name, if it holds the message."""
        found = decode_link(await self._store.get(name) or b"", name)
        if isinstance(found, End) or needle not in found.body:
            return None
        if not found.is_signed(self._keys):
            raise FormatError(f"{name} is not signed by the archive's key")
        return found

    async def _in(
        self, name: str, needle: bytes, tenant: str | None, customer: str | None
    ) -> list[Sighting]:
        segment = await self._segment(name, needle)
        if segment is None:
            return []
        tags = await self._tags(segment, name)
        found = []
        for index, line in enumerate(segment.record_lines()):
            if needle not in line:
                continue
            record = parse_record(line, f"{name} line {index + 3}")
            if tenant is not None and record.pub["platform_tenant_id"] != tenant:
                continue
            tag = tags[index] if tags is not None else None
            personal, closed = self._open(segment, record, tag, customer)
            found.append(Sighting(record, segment, name, index, personal, closed))
        return found

    async def _tags(self, segment: Segment, name: str) -> list[bytes] | None:
        place = layout.parse_segment_name(name)
        assert place is not None
        subject = layout.subject_name(place, segment.leaf)
        stored = await self._subjects.get(subject)
        if stored is None:
            return None
        return open_tags(self._keyring.index_key, subject, stored.data)

    def _open(
        self, segment: Segment, record: Record, tag: bytes | None, customer: str | None
    ) -> tuple[dict[str, str], str | None]:
        if record.erased:
            return {}, "erased"
        keys = self._subject_keys(segment, record, tag, customer)
        if keys is None:
            return {}, "needs the customer's id (--customer), or was erased"
        offset = int(record.pub["source"].rpartition("/")[2])
        try:
            return open_personal(record, keys, segment.header.partition, offset), None
        except FormatError:
            if tag is None:  # the customer was named by hand
                return {}, "is not this customer's"
            raise

    def _subject_keys(
        self, segment: Segment, record: Record, tag: bytes | None, customer: str | None
    ) -> SubjectKeys | None:
        header, year = segment.header, int(record.pub["ingestion_timestamp"][:4])
        deriver = KeyDeriver(
            self._keyring, self._cover, bytes.fromhex(header.stream), header.key_epoch
        )
        if tag is not None and tag != NO_TAG:
            return deriver.keys_of_tag(tag, year)
        if customer is None:
            return None
        return deriver.keys((record.pub["platform_tenant_id"], EXTERNAL, customer), year)
