"""Segments that were disposed of: their headers, kept in the store and covered by a certificate."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from audit_stream.archive.register import RegisterReader
from audit_stream.errors import ForkAlarm, FormatError, UnknownVersion
from audit_stream.evidence import layout
from audit_stream.evidence.disposal import Disposal, covered_by, decode_kept, disposal_of
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.register import Entry, Register
from audit_stream.evidence.segment import Segment
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.ports import WormStore


class DisposedSegments:
    """What is left of an archive's segments; the register is read when first there is some."""

    def __init__(self, store: WormStore, keys: TrustedKeys, archive: str) -> None:
        self._store, self._keys = store, keys
        self._register = RegisterReader(store, keys, archive, Register.DISPOSALS)
        self._certificates: list[Disposal] = []
        self._unread: deque[Entry] = deque()  # followed, and not understood yet

    async def certificates(self) -> Sequence[Disposal]:
        """All there are, in their order. `ForkAlarm`, `FormatError`."""
        self._unread += await self._register.new_entries()
        while self._unread:  # one that is none of ours raises, now and whenever it is asked again
            self._certificates.append(disposal_of(self._unread[0]))
            self._unread.popleft()
        return self._certificates

    async def kept(self, name: SegmentName) -> Segment | None:
        """The header that is kept of a segment, disposed of or about to be; None for junk."""
        data = await self._store.get(layout.disposed_name(name))
        if data is None:
            return None
        try:
            found = decode_kept(data, name)
        except UnknownVersion:
            raise
        except FormatError:
            return None
        return found if found.is_signed(self._keys) else None

    async def at(self, name: SegmentName) -> Segment | None:
        """The header of a segment whose object is gone; None when nothing ever stood there.

        `ForkAlarm` when a header is kept and no certificate covers it: it was removed, not disposed
        of.
        """
        found = await self.kept(name)
        if found is None:
            return None
        known = covered_by(self._certificates, name)
        if known or covered_by(await self.certificates(), name):
            return found
        raise ForkAlarm(
            f"{name} is gone, and no disposal certificate covers it",
            hint="read docs/runbooks/fork.md; audit-stream verify says more",
        )

    async def names(self, folder: str, *, after: str = "") -> list[str]:
        """Names of the segments of a folder of segments of which a header is kept."""
        prefix = folder.replace("segments/", layout.DISPOSED_FOLDER, 1)
        before = layout.parse_segment_name(after)
        behind = "" if before is None else layout.disposed_name(before)
        found = await self._store.names(prefix, after=behind)
        return [str(name) for name in map(layout.parse_disposed_name, found) if name is not None]
