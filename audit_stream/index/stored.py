"""Records as they stand in the store, each proven up to its segment's signed header.

Every look-up reads the object again. What was made of its bytes is kept for those of the last
segments, and used only if the bytes are still the same.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from audit_stream.errors import FormatError, Tampered, UnknownVersion
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.record import Record, parse_record
from audit_stream.evidence.segment import Segment, decode
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.tree import leaf_hash, verify_inclusion
from audit_stream.index.database import ArchiveIndex, stale
from audit_stream.index.groups import Groups
from audit_stream.index.rows import SegmentRow
from audit_stream.ports import WormStore

_FIRST_RECORD_LINE = 3
CACHE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Proven:
    """A record line whose hash was recomputed, and its way up to the root in the signed header."""

    record: Record
    line: bytes  # without its newline
    index: int
    path: Sequence[bytes]

    @property
    def number(self) -> int:
        """Of the line in the object, from 1."""
        return self.index + _FIRST_RECORD_LINE


class StoredSegment:
    """A segment that is signed, is the one that was indexed, and holds what its header says."""

    def __init__(
        self, data: bytes, name: SegmentName, row: SegmentRow, keys: TrustedKeys,
        groups: Groups | None = None,
    ) -> None:  # fmt: skip
        """`Tampered` says what failed, `UnknownVersion` that a newer release wrote it.

        `groups` as the index has them; used if they lead to the root in the header.
        """
        self.data, self.name = data, name
        self.segment = _decoded(data, str(name))
        _need(self.segment.is_signed(keys), name, "line 2 is not a trusted key's signature")
        _need(self.segment.leaf == row.leaf, name, "line 1 is not the header that was indexed")
        header, body = self.segment.header, self.segment.body
        _need(
            sha256(body).hexdigest() == header.body, name,
            "line 1 body is not the hash of the record lines",
        )  # fmt: skip
        self._root = bytes.fromhex(header.root)
        if groups is None or groups.root != self._root:
            groups = _groups_of(self.segment, name)
            _need(groups.root == self._root, name, "line 1 root is not the root of the records")
        self.groups = groups

    @property
    def size(self) -> int:
        """About the memory it takes."""
        return len(self.data) + len(self.segment.body)

    def proven(self, index: int) -> Proven:
        """A record; `Tampered` when its hash does not fit, or it is not in the tree."""
        count, what = self.segment.header.count, f"line {index + _FIRST_RECORD_LINE}"
        _need(index < count, self.name, f"there is no {what}")
        try:
            line, path = self.groups.find(self.segment.body, index)
        except (ValueError, IndexError) as error:  # the body is what was signed
            raise stale(f"a group of {self.name}") from error
        try:
            record = parse_record(line, what)
        except UnknownVersion:
            raise
        except FormatError as error:
            raise tampered(self.name, error.message) from error
        leaf = leaf_hash(record.integrity_hash)
        _need(
            verify_inclusion(leaf, index, count, path, self._root), self.name,
            f"{what} is not in the tree of the segment",
        )  # fmt: skip
        return Proven(record, line, index, path)


def _decoded(data: bytes, name: str) -> Segment:
    try:
        return decode(data, "object")
    except UnknownVersion:
        raise
    except FormatError as error:
        raise tampered(name, error.message) from error


def _groups_of(segment: Segment, name: SegmentName) -> Groups:
    try:
        return Groups.of(segment.record_lines())
    except ValueError as error:
        raise tampered(name, "a line has no integrity hash") from error


def _need(holds: bool, name: SegmentName, failure: str) -> None:
    if not holds:
        raise tampered(name, failure)


def tampered(name: object, failure: str) -> Tampered:
    """The error that an object is not what was archived."""
    return Tampered(
        f"{name}: {failure}",
        hint="keep the bytes, run: audit-stream verify (docs/runbooks/fork.md)",
    )


class StoredSegments:
    """Reads indexed segments; keeps those read last, within a budget of memory."""

    def __init__(
        self, store: WormStore, keys: TrustedKeys, index: ArchiveIndex, *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:  # fmt: skip
        self._store, self._keys, self._index = store, keys, index
        self._budget = cache_bytes
        self._kept: OrderedDict[str, StoredSegment] = OrderedDict()
        self._size = 0

    @property
    def kept_bytes(self) -> int:
        """Memory that the kept ones take, about."""
        return self._size

    async def read(self, name: SegmentName, row: SegmentRow) -> StoredSegment:
        """The segment as it stands now; `Tampered` when it is gone or not what was indexed."""
        data = await self._store.get(str(name))
        if data is None:
            raise tampered(name, "the object is gone")
        kept = self._kept.get(str(name))
        if kept is not None and kept.data == data:
            self._kept.move_to_end(str(name))
            return kept
        groups = self._index.groups(row)
        read = await asyncio.to_thread(StoredSegment, data, name, row, self._keys, groups)
        if read.groups is not groups:
            self._index.keep_groups(row, read.groups)
        self._keep(str(name), read)
        return read

    def _keep(self, name: str, read: StoredSegment) -> None:
        replaced = self._kept.pop(name, None)
        self._kept[name] = read
        self._size += read.size - (replaced.size if replaced else 0)
        while self._size > self._budget and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._size -= dropped.size
