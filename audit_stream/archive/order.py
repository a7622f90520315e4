"""Which objects of an archive are chains, for whoever copies it (`stores.copying.Order`)."""

from __future__ import annotations

from audit_stream.archive.newest import newest_number
from audit_stream.evidence import layout
from audit_stream.evidence.log_names import LOG_FOLDER, SIZE_DIGITS, parse_batch_name
from audit_stream.evidence.register import parse_entry_name
from audit_stream.ports import WormStore


class ArchiveOrder:
    """Segments of a partition, entries of a register, batches of the log: each 20 digits."""

    def folder(self, name: str) -> str | None:
        """See `stores.copying.Order`."""
        segment = layout.parse_segment_name(name)
        if segment is not None:
            return layout.segment_folder(segment.topic, segment.generation, segment.partition)
        if (entry := parse_entry_name(name)) is not None:
            return entry[0].folder
        return LOG_FOLDER if parse_batch_name(name) is not None else None

    async def newest(self, store: WormStore, folder: str) -> str | None:
        """See `stores.copying.Order`."""
        number = await newest_number(store, folder, SIZE_DIGITS)
        if number is None:
            return None
        return (await store.names(f"{folder}{number:0{SIZE_DIGITS}d}"))[-1]

    def stand_in(self, name: str) -> str | None:
        """See `stores.copying.Order`."""
        segment = layout.parse_segment_name(name)
        return None if segment is None else layout.disposed_name(segment)
