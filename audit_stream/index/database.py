"""The index in RocksDB: reading its rows, forgetting a person's.

A cache: whatever happens to it, `audit-stream index rebuild` makes it anew from the archive, the
subject objects and the keyring. One process writes it (RocksDB's lock); others may open it
read-only beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import rocksdict

from audit_stream.index.counts import (
    DAY,
    DAY_MS,
    GROUP,
    QUARANTINE,
    RETRIED,
    TOTAL,
    Counted,
    Group,
    Run,
    day_of,
    day_prefix,
    decode_group,
    retried_in,
)
from audit_stream.index.files import open_files
from audit_stream.index.groups import Groups
from audit_stream.index.ids import TENANT_BYTES, Ids
from audit_stream.index.rows import (
    CARRIER,
    LOG_ROOT,
    LOG_SIZE,
    LOGGED,
    MESSAGE,
    PLACE,
    PLACE_BYTES,
    SEGMENT,
    TAG,
    TO_COMPACT,
    Indexed,
    Pair,
    Position,
    SegmentRow,
    Tagged,
    number_of,
    segment_key,
)
from audit_stream.privacy.keytree import TAG_BYTES
from audit_stream.rocks import batch_of, new_cache

_VERSION = b"audit-index/3"
_BEHIND_GROUPS = b"\xff" * 32  # of one tenant on one day
_BEHIND_TAGS = bytes([TAG[0] + 1])


class ArchiveIndex:
    """The database, opened with `ArchiveIndex.open`; all calls block for microseconds."""

    def __init__(
        self, database: rocksdict.Rdict, cache: rocksdict.Cache, ids: Ids, *, read_only: bool
    ) -> None:
        self._db, self._cache, self._read_only = database, cache, read_only
        self.ids = ids

    @classmethod
    def open(cls, path: Path, archive: str, index_key: bytes, *, read_only: bool = False) -> Self:
        """The index in the folder `path`, made if need be unless `read_only`.

        `StateError` when another process writes it, there is none to read, or it is of another
        archive, key or release.
        """
        ids = Ids(index_key)
        meta = _VERSION + b"\n" + ids.id(archive)
        cache = new_cache()
        database = open_files(path, meta, cache, read_only=read_only)
        return cls(database, cache, ids, read_only=read_only)

    @property
    def cache_bytes(self) -> int:
        """What its block cache holds."""
        return int(self._cache.get_usage())

    def close(self) -> None:
        """Close the database; it stays where it is."""
        self._db.close()

    def write(self, pairs: Iterable[Pair]) -> None:
        """Apply the pairs in order, all or none; None deletes a row."""
        self._db.write(batch_of(pairs))

    def get(self, key: bytes) -> bytes | None:
        """One row's value."""
        found: bytes | None = self._db.get(key)
        return found

    def places(self) -> dict[bytes, Indexed]:
        """Every stream and partition that was met."""
        return {key[1:]: Indexed.decode(value) for key, value in self._scan(PLACE)}

    def place(self, place: bytes) -> Indexed | None:
        """One stream and partition."""
        value = self._db.get(PLACE + place)
        return None if value is None else Indexed.decode(value)

    def segments(self) -> Iterator[SegmentRow]:
        """Every segment, by place and base."""
        return (SegmentRow.decode(key, value) for key, value in self._scan(SEGMENT))

    def segment(self, place: bytes, base: int) -> SegmentRow | None:
        """The segment that begins at `base`."""
        key = segment_key(place, base)
        value = self._db.get(key)
        return None if value is None else SegmentRow.decode(key, value)

    def first_day(self, place: bytes) -> int | None:
        """The day of the first segment there."""
        row = next(self._scan(SEGMENT + place), None)
        return None if row is None else SegmentRow.decode(*row).time // DAY_MS

    def segment_at(self, place: bytes, offset: int) -> SegmentRow | None:
        """The segment that covers `offset`."""
        rows = self._db.iter()
        rows.seek_for_prev(segment_key(place, offset))
        if not rows.valid() or not rows.key().startswith(SEGMENT + place):
            return None
        row = SegmentRow.decode(rows.key(), rows.value())
        return row if offset < row.next else None

    def groups(self, row: SegmentRow) -> Groups | None:
        """The groups of a segment that was looked into before."""
        value = self._db.get(row.groups_key)
        return None if value is None else Groups.decode(value)

    def keep_groups(self, row: SegmentRow, groups: Groups) -> None:
        """Keep them for the next look, if this process writes the index."""
        if not self._read_only:
            self._db.put(row.groups_key, groups.encode())

    def log_size(self) -> int:
        """Leaves of the archive log that have their rows."""
        return number_of(self._db.get(LOG_SIZE)) or 0

    def log_root(self) -> bytes | None:
        """The log's root at that size; None of what an earlier release has followed."""
        value: bytes | None = self._db.get(LOG_ROOT)
        return value

    def logged_at(self, leaf: bytes) -> int | None:
        """Where a header's leaf stands in the archive log, as far as that was followed."""
        return number_of(self._db.get(LOGGED + leaf))

    def messages(self, message_id: str) -> list[bytes]:
        """The messages with this id: one a tenant."""
        skip, size = len(MESSAGE), len(self.ids.message("", ""))
        rows = self._scan(MESSAGE + self.ids.id(message_id))
        return list(dict.fromkeys(key[skip : skip + size] for key, _ in rows))

    def has_message(self, message: bytes) -> bool:
        """Whether a record of it is indexed."""
        return next(self._scan(MESSAGE + message), None) is not None

    def carried(self, carrier_message_id: str) -> list[bytes]:
        """The messages with this carrier message id."""
        prefix = CARRIER + self.ids.id(carrier_message_id)
        return [key[len(prefix) :] for key, _ in self._scan(prefix)]

    def positions(self, message: bytes) -> list[Position]:
        """Where the records of a message lie, by place and offset."""
        return [Position.decode(key, value) for key, value in self._scan(MESSAGE + message)]

    def tagged(self, tag: bytes, after: Tagged | None) -> Iterator[tuple[Tagged, bytes]]:
        """A person's records behind `after`, each with its message."""
        prefix = TAG + tag
        start = prefix if after is None else prefix + after.encode() + b"\x00"
        for key, value in self._scan(prefix, start):
            yield Tagged.decode(key[len(prefix) :]), value

    def is_tagged(self, tag: bytes, tagged: Tagged) -> bool:
        """Whether the row of this record is there."""
        return self._db.get(TAG + tag + tagged.encode()) is not None

    def totals(self) -> dict[bytes, Counted]:
        """What was counted of every stream and partition, by its place."""
        return {key[1:]: Counted.decode(value) for key, value in self._scan(TOTAL)}

    def days(self, first: int, last: int) -> Iterator[tuple[int, bytes, Counted]]:
        """What was counted on the days `first` to `last`: day, place, counts."""
        for key, value in self._days(DAY, first, last):
            yield day_of(key), key[-PLACE_BYTES:], Counted.decode(value)

    def grouped(
        self, first: int, last: int, tenants: Iterable[str] | None = None
    ) -> Iterator[tuple[int, Group, int]]:  # fmt: skip
        """Messages by what is common to them, of the days `first` to `last`; with `tenants`, of
        these alone, and no other's row is read."""
        if tenants is None:
            yield from (decode_group(*row) for row in self._days(GROUP, first, last))
            return
        theirs = sorted({self.ids.tenant(tenant) for tenant in tenants})
        for day in range(first, last + 1):
            for tenant in theirs:
                for row in self._scan(day_prefix(GROUP, day) + tenant):
                    yield decode_group(*row)

    def tenants(self) -> list[str]:
        """Every tenant of whom a message is archived, sorted; a seek for each tenant of a day."""
        found: dict[bytes, str] = {}
        rows, skip = self._db.iter(), len(day_prefix(GROUP, 0))
        rows.seek(GROUP)
        while rows.valid() and (key := rows.key()).startswith(GROUP):
            named = key[: skip + TENANT_BYTES]
            if named[skip:] not in found:
                found[named[skip:]] = decode_group(key, rows.value())[1].tenant
            rows.seek(named + _BEHIND_GROUPS)
        return sorted(found.values())

    def quarantined(self) -> Iterator[Run]:
        """Runs of quarantined offsets, those of the newest day first."""
        behind = bytes([QUARANTINE[0] + 1])
        rows: Iterator[Any] = iter(self._db.items(backwards=True, from_key=behind))
        for key, value in rows:
            if key.startswith(QUARANTINE):
                yield Run.decode(key, value)
            elif key < QUARANTINE:
                return

    def is_retried(self, position: str, generation: int) -> bool:
        """Whether the event that was quarantined at ``topic/partition/offset`` of that generation
        was archived, in it or a later one. An older one's retry is of another event."""
        return retried_in(self.get(RETRIED + position.encode())) >= generation

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Every row, in the order of the keys."""
        return self._scan(b"")

    def rows_of(self, kind: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Every row of one kind, in the order of the keys."""
        return self._scan(kind)

    def all_tagged(self) -> Iterator[tuple[bytes, Tagged]]:
        """Every tag row: its key, and where its record lies."""
        for key, _ in self._scan(TAG):
            yield key, Tagged.decode(key[len(TAG) + TAG_BYTES :])

    def forget(self, tags: Iterable[bytes]) -> int:
        """Remove all rows of these tags, from the files on disk too; how many there were.

        The redaction of a person calls it in the gateway once the subject objects are rewritten,
        with the person's tag under each tree of the keyring: `TagMaker(tree.pepper).tag(subject)`.
        A gateway that was not told finds out by `sweep`, and does not answer with these rows until
        then: a look-up compares each with the subject object.
        """
        keys = [key for tag in tags for key, _ in self._scan(TAG + tag)]
        if keys:
            self.write([(TO_COMPACT, b"tags"), *((key, None) for key in keys)])
            self.compact_tags()
        return len(keys)

    def compact_tags(self) -> None:
        """Write the files of the tag rows anew, without those that were deleted: what RocksDB
        deletes stays in its files until then. Not by a tag's own range, for its log would name it.
        `TO_COMPACT` is there from the deletion on until it is done, whatever ends the process.
        """
        options = rocksdict.CompactOptions()
        options.set_bottommost_level_compaction(rocksdict.BottommostLevelCompaction.force())
        self._db.compact_range(TAG, _BEHIND_TAGS, options)
        self.write([(TO_COMPACT, None)])

    def _days(self, kind: bytes, first: int, last: int) -> Iterator[tuple[bytes, bytes]]:
        rows: Iterator[Any] = iter(self._db.items(from_key=day_prefix(kind, first)))
        for key, value in rows:
            if not key.startswith(kind) or day_of(key) > last:
                return
            yield key, value

    def _scan(self, prefix: bytes, start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        rows: Iterator[Any] = iter(self._db.items(from_key=prefix if start is None else start))
        for key, value in rows:
            if not key.startswith(prefix):
                return
            yield key, value
