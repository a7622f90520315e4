"""Disposal from an archive in a folder: nothing but our own rules keeps its objects."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, takewhile
from pathlib import Path

from audit_stream.ports import Kept
from audit_stream.stores.disk import Tree, store_errors
from audit_stream.stores.disposal.versions import is_before
from audit_stream.stores.names import check_name, check_prefix
from audit_stream.stores.offload import Offload

_MODE = 0o444  # of new files: there are none


class FileDisposer:
    """`ports.Disposer` of a `FileStore`'s folder."""

    def __init__(self, root: Path) -> None:
        with store_errors(f"opening {root}"):
            self._tree = Tree(root, mode=_MODE, writable=False)
        self._offload = Offload(f"disposal from {root}")

    @property
    def url(self) -> str:
        """``file:///path``."""
        return self._tree.root.as_uri()

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.Inventory`."""
        check_prefix(prefix)
        return await self._offload.run(self._names, prefix, after, limit)

    def _names(self, prefix: str, after: str, limit: int | None) -> list[str]:
        with store_errors(f"listing {prefix or 'the archive'}"):
            return list(islice(self._tree.walk(prefix, after), limit))

    async def kept(self, prefix: str, *, after: str = "", before: str = "") -> Sequence[Kept]:
        """See `ports.Inventory`."""
        check_prefix(prefix)
        return await self._offload.run(self._kept, prefix, after, before)

    def _kept(self, prefix: str, after: str, before: str) -> list[Kept]:
        with store_errors(f"listing {prefix or 'the archive'}"):
            names = takewhile(is_before(before), self._tree.walk(prefix, after))
            return [
                Kept(name=name, size=self._tree.path(name).stat().st_size, stored_ms=None,
                     until_ms=None, held=False, oldest_stored_ms=None, oldest_until_ms=None)
                for name in names
            ]  # fmt: skip

    async def remove_expired(self, name: str) -> bool:
        """See `ports.Disposer`. A folder refuses nothing."""
        check_name(name)
        return await self._offload.run(self._remove, name)

    def _remove(self, name: str) -> bool:
        with store_errors(f"removing {name}"):
            try:
                self._tree.unlink(name)
            except FileNotFoundError:
                self._tree.check_root()
        return True

    async def close(self) -> None:
        """See `ports.Inventory`."""
        await self._offload.close()
