"""Disposal from a store in memory, which enforces retention and holds as the real ones do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from audit_stream.ports import Kept
from audit_stream.stores.disposal.versions import is_before
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.names import check_name, check_prefix


class MemoryDisposer:
    """`ports.Disposer` of a `MemoryWormStore`."""

    def __init__(self, store: MemoryWormStore) -> None:
        self._container = store.container

    @property
    def url(self) -> str:
        """Only a label."""
        return "memory:"

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.Inventory`."""
        check_prefix(prefix)
        return self._container.names.select(prefix, after, limit)

    async def kept(self, prefix: str, *, after: str = "", before: str = "") -> Sequence[Kept]:
        """See `ports.Inventory`."""
        check_prefix(prefix)
        box = self._container
        names = takewhile(is_before(before), box.names.select(prefix, after, None))
        found = ((name, box.objects[name]) for name in names)
        return [
            Kept(name=name, size=len(each.data), stored_ms=each.stored_ms,
                 until_ms=each.retain_until_ms, held=each.held,
                 oldest_stored_ms=each.stored_ms, oldest_until_ms=each.retain_until_ms)
            for name, each in found
        ]  # fmt: skip

    async def remove_expired(self, name: str) -> bool:
        """See `ports.Disposer`."""
        check_name(name)
        box = self._container
        found = box.objects.get(name)
        if found is None:
            return True
        if found.held or box.now_ms < found.retain_until_ms:
            return False
        box.names.remove(name)
        del box.objects[name]
        return True

    async def close(self) -> None:
        """Nothing is open."""
