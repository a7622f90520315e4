"""The key epoch an archive has reached: a keyring below it could open who was erased since."""

from __future__ import annotations

from dataclasses import dataclass

from audit_stream.archive.certificates import newest_first
from audit_stream.archive.chain import Chain
from audit_stream.archive.newest import newest_number
from audit_stream.archive.streams import generations
from audit_stream.errors import FormatError, KeyringError, UnknownVersion
from audit_stream.evidence import layout
from audit_stream.evidence.ending import decode_link
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import Segment
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.ports import WormStore


@dataclass(frozen=True, slots=True)
class ArchiveEpoch:
    """What the ends of an archive's chains say, and its newest redaction certificate."""

    proven: int  # by what a trusted key signed; 0 where there is nothing
    claimed: int  # by anything there, whoever signed it: a successor of the keys trusted, or junk


async def archive_epoch(store: WormStore, keys: TrustedKeys, archive: str) -> ArchiveEpoch:
    """Over all topics of the archive. `KeyringError` when its streams were founded under other
    keys."""
    places = map(layout.parse_stream_name, await store.names("streams/"))
    certified = await certified_epoch(store, keys, archive)
    proven, claimed = certified.proven, certified.claimed
    for topic in sorted({place[0] for place in places if place is not None}):
        try:
            proven = max(proven, await newest_epoch(store, keys, topic))
            claimed = max(claimed, await _claimed(store, keys, topic))
        except UnknownVersion:
            raise
        except FormatError as error:
            raise KeyringError(
                f"the archive's streams were not founded under this keyring: {error.message}",
                hint="is it this archive's (AUDIT_ARCHIVE)? else its signing key was followed by "
                "another after this keyring: put the newest public.txt beside it",
            ) from error
    return ArchiveEpoch(proven, max(proven, claimed))


async def certified_epoch(store: WormStore, keys: TrustedKeys, archive: str) -> ArchiveEpoch:
    """What the newest redaction certificate says: with their numbers, epochs rise."""
    claimed = 0
    async for found in newest_first(store):
        claimed = max(claimed, found.epoch)
        if found.entry.archive == archive and found.entry.is_signed(keys):
            return ArchiveEpoch(found.epoch, claimed)
    return ArchiveEpoch(0, claimed)


async def newest_epoch(store: WormStore, keys: TrustedKeys, topic: str) -> int:
    """The highest key epoch at the chains' ends, of the newest generation that has a segment."""
    for stream in reversed(await generations(store, keys, topic)):
        chains = (Chain(store, keys, stream, p) for p in range(stream.partitions))
        ends = [last for chain in chains if (last := await chain.last()) is not None]
        if ends:
            return max(last.segment.header.key_epoch for last in ends)
    return 0


async def _claimed(store: WormStore, keys: TrustedKeys, topic: str) -> int:
    """As `newest_epoch`, by all that stands under the highest names, trusted or not."""
    for stream in reversed(await generations(store, keys, topic)):
        said = [epoch for p in range(stream.partitions) for epoch in await _said(store, stream, p)]
        if said:
            return max(said)
    return 0


async def _said(store: WormStore, stream: StreamObject, partition: int) -> list[int]:
    folder = layout.segment_folder(stream.topic, stream.generation, partition)
    base = await newest_number(store, folder, layout.BASE_DIGITS)
    if base is None:
        return []
    said, attempt = list[int](), 0
    while True:
        name = str(SegmentName(stream.topic, stream.generation, partition, base, attempt))
        if (data := await store.get(name)) is None:
            return said
        attempt += 1
        try:
            found = decode_link(data, name)
        except FormatError:
            continue
        if isinstance(found, Segment):
            said.append(found.header.key_epoch)
