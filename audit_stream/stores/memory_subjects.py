"""Subject objects in memory: what `stores.memory` is to the archive."""

from __future__ import annotations

from collections.abc import Sequence

from audit_stream.errors import StoreError, StoreRefused
from audit_stream.ports import Versioned
from audit_stream.posture import Finding
from audit_stream.stores.memory import Faults, SortedNames
from audit_stream.stores.names import check_body, check_name, check_prefix
from audit_stream.stores.subjects import entity_tag


class MemorySubjectStore(Faults):
    """`ports.SubjectStore` in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._objects: dict[str, bytes] = {}
        self._names = SortedNames()
        self._closed = False

    def reopen(self) -> MemorySubjectStore:
        """Another handle on the same objects, without this one's faults."""
        other = MemorySubjectStore()
        other._objects, other._names = self._objects, self._names
        return other

    async def create(self, name: str, data: bytes) -> bool:
        """See `ports.SubjectStore`."""
        self._check(name)
        check_body(name, data)
        late = await self._before_write(name)
        free = name not in self._objects
        if free:
            self._names.add(name)
            self._objects[name] = bytes(data)
        return _done(free, late)

    async def get(self, name: str) -> Versioned | None:
        """See `ports.SubjectStore`."""
        self._check(name)
        await self._before()
        data = self._objects.get(name)
        return None if data is None else Versioned(data, entity_tag(data))

    async def replace(self, name: str, data: bytes, etag: str) -> bool:
        """See `ports.SubjectStore`."""
        self._check(name)
        check_body(name, data)
        late = await self._before_write(name)
        if matches := self._matches(name, etag):
            self._objects[name] = bytes(data)
        return _done(matches, late)

    async def remove(self, name: str, etag: str) -> bool:
        """See `ports.SubjectStore`."""
        self._check(name)
        late = await self._before_write(name)
        if matches := self._matches(name, etag):
            del self._objects[name]
            self._names.remove(name)
        return _done(matches, late)

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.SubjectStore`."""
        self._check_open()
        check_prefix(prefix)
        await self._before()
        return self._names.select(prefix, after, limit)

    async def findings(self) -> Sequence[Finding]:
        """See `ports.SubjectStore`."""
        return (Finding(fact="subjects: copies of what was rewritten", value="none"),)

    async def close(self) -> None:
        """See `ports.SubjectStore`."""
        self._closed = True

    def _check(self, name: str) -> None:
        self._check_open()
        check_name(name)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreRefused("the store is closed")

    def _matches(self, name: str, etag: str) -> bool:
        data = self._objects.get(name)
        return data is not None and entity_tag(data) == etag


def _done(outcome: bool, late: StoreError | None) -> bool:
    if late is not None:
        raise late
    return outcome
