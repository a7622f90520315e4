"""Records as they stand in the store, each proven up to its segment's signed header.

Every look-up reads the object again. A segment is checked as a whole once; as long as its bytes are
still those, a look-up inflates no more of them than reaches its record.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from audit_stream.archive.disposed import DisposedSegments
from audit_stream.errors import ForkAlarm, FormatError, Tampered, UnknownVersion
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.record import Record, parse_record
from audit_stream.evidence.segment import Header, Segment, decode_plain, inflate, inflate_start
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.tree import leaf_hash, verify_inclusion
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.files import stale
from audit_stream.index.groups import Groups
from audit_stream.index.rows import SegmentRow
from audit_stream.ports import WormStore

_FIRST_RECORD_LINE = 3
CACHE_BYTES = 64 << 20  # some thousand full segments
_SEGMENT_BYTES, _GROUP_BYTES = 2_300, 210  # as CPython's objects take them


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSegment:
    """A segment that is signed, is the one that was indexed, and holds what its header says."""

    name: SegmentName
    digest: bytes  # SHA-256 of the stored bytes of which this holds
    leaf: bytes
    header: Header
    header_line: bytes
    groups: Groups
    preamble: int  # bytes of lines 1 and 2

    @classmethod
    def check(
        cls, data: bytes, name: SegmentName, row: SegmentRow, keys: TrustedKeys,
        groups: Groups | None = None,
    ) -> tuple[Self, Segment]:  # fmt: skip
        """`Tampered` says what failed, `UnknownVersion` that a newer release wrote it.

        `groups` as the index has them; used if they lead to the root in the header.
        """
        segment, size = _decoded(data, str(name))
        _need(segment.is_signed(keys), name, "line 2 is not a trusted key's signature")
        _need(segment.leaf == row.leaf, name, "line 1 is not the header that was indexed")
        header, body = segment.header, segment.body
        _need(
            sha256(body).hexdigest() == header.body, name,
            "line 1 body is not the hash of the record lines",
        )  # fmt: skip
        root = bytes.fromhex(header.root)
        if groups is None or groups.root != root:
            groups = _groups_of(segment, name)
            _need(groups.root == root, name, "line 1 root is not the root of the records")
        found = cls(
            name=name, digest=sha256(data).digest(), leaf=row.leaf, header=header,
            header_line=segment.header_line, groups=groups, preamble=size - len(body),
        )  # fmt: skip
        return found, segment

    @property
    def size(self) -> int:
        """About the memory it takes."""
        groups = _GROUP_BYTES * len(self.groups.ends)
        return _SEGMENT_BYTES + 2 * len(self.header_line) + groups

    def proven(self, data: bytes, index: int) -> Proven:
        """A record of the stored bytes with this digest; `Tampered` when its hash does not fit, or
        it is not in the tree."""
        count, what = self.header.count, f"line {index + _FIRST_RECORD_LINE}"
        _need(index < count, self.name, f"there is no {what}")
        try:
            begin, end = self.groups.range_of(index)
            text = inflate_start(data, self.preamble + end)
            line, path = self.groups.find(text[self.preamble + begin :], index)
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
            verify_inclusion(leaf, index, count, path, bytes.fromhex(self.header.root)), self.name,
            f"{what} is not in the tree of the segment",
        )  # fmt: skip
        return Proven(record, line, index, path)


def _decoded(data: bytes, name: str) -> tuple[Segment, int]:
    """And how many bytes it has uncompressed."""
    try:
        plain = inflate(data, "object")
        return decode_plain(plain, "object"), len(plain)
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


class Gone(Exception):
    """A segment was disposed of after its retention: there is a certificate, and no record."""


class StoredSegments:
    """Reads indexed segments; remembers those checked last, within a budget of memory."""

    def __init__(
        self, store: WormStore, keys: TrustedKeys, index: ArchiveIndex, archive: str, *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:  # fmt: skip
        self._store, self._keys, self._index = store, keys, index
        self._budget = cache_bytes
        self._disposed = DisposedSegments(store, keys, archive)
        self._checked: OrderedDict[SegmentName, StoredSegment] = OrderedDict()
        self._size = 0

    @property
    def kept_bytes(self) -> int:
        """Memory that the remembered ones take, about."""
        return self._size

    async def read(self, name: SegmentName, row: SegmentRow) -> StoredSegment:
        """The segment as it stands now; `Gone` when it was disposed of, `Tampered` when it is gone
        otherwise, or not what was indexed."""
        return (await self._read(name, row, None))[0]

    async def prove(
        self, name: SegmentName, row: SegmentRow, index: int
    ) -> tuple[StoredSegment, Proven]:
        """A record as it stands now, and its segment; raises as `read` and `proven`."""
        stored, proven = await self._read(name, row, index)
        assert proven is not None
        return stored, proven

    async def _read(
        self, name: SegmentName, row: SegmentRow, index: int | None
    ) -> tuple[StoredSegment, Proven | None]:
        data = await self._store.get(str(name))
        if data is None:
            await self._check_disposed(name, row)
            raise Gone(str(name))
        known = self._checked.get(name)
        if known is not None and known.leaf != row.leaf:
            known = None
        groups = None if known else self._index.groups(row)
        stored, proven = await asyncio.to_thread(self._judge, data, name, row, known, groups, index)
        if stored is not known and stored.groups is not groups:
            self._index.keep_groups(row, stored.groups)
        self._keep(stored)
        return stored, proven

    async def _check_disposed(self, name: SegmentName, row: SegmentRow) -> None:
        try:
            kept = await self._disposed.at(name)
        except ForkAlarm as error:
            raise tampered(name, error.message) from error
        if kept is None or kept.leaf != row.leaf:
            raise tampered(name, "the object is gone")

    def _judge(
        self, data: bytes, name: SegmentName, row: SegmentRow, known: StoredSegment | None,
        groups: Groups | None, index: int | None,
    ) -> tuple[StoredSegment, Proven | None]:  # fmt: skip
        if known is None or known.digest != sha256(data).digest():
            known, _ = StoredSegment.check(data, name, row, self._keys, groups)
        return known, None if index is None else known.proven(data, index)

    def _keep(self, stored: StoredSegment) -> None:
        replaced = self._checked.pop(stored.name, None)
        self._checked[stored.name] = stored
        self._size += stored.size - (replaced.size if replaced else 0)
        while self._size > self._budget and len(self._checked) > 1:
            _, dropped = self._checked.popitem(last=False)
            self._size -= dropped.size
