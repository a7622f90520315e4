"""The archive as a folder tree: the store that is always there, and vouches for nothing.

Complete and durable, but whoever may write to the folder can rewrite it unseen by the store, so
its assurance is `mutable`; that it was not rewritten is for the hashes and checkpoints to show.
Metadata is not kept (formats.md section 3): all of it can be read off the objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from audit_stream.errors import StoreRefused
from audit_stream.ports import HoldLevel, PutResult
from audit_stream.posture import Assurance, Finding, Posture, Standing
from audit_stream.stores.disk import Tree, store_errors
from audit_stream.stores.names import check_body, check_name, check_prefix
from audit_stream.stores.offload import TIME_LIMIT, Offload

_MODE = 0o444  # before the umask: an object is never written again


class FileStore:
    """`ports.WormStore` on a local folder, made if need be unless `read_only`.

    The ``_sync`` methods are the same calls without an event loop, for offline use; they may be
    called from any thread.
    """

    def __init__(
        self, root: Path, read_only: bool = False, *, time_limit: float = TIME_LIMIT
    ) -> None:
        self._root = root.absolute()
        self._read_only = read_only
        if read_only and not self._root.is_dir():
            raise StoreRefused(f"there is no folder {self._root}", hint="check AUDIT_ARCHIVE")
        with store_errors(f"opening the archive folder {self._root}"):
            self._tree = Tree(self._root, mode=_MODE, writable=not read_only)
        self._offload = Offload("archive folder", time_limit=time_limit)

    @property
    def url(self) -> str:
        """``file:///path``."""
        return self._root.as_uri()

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        """See `ports.WormStore`. One sync of the file, one of its folder."""
        return await self._offload.run(self.put_sync, name, data)

    def put_sync(self, name: str, data: bytes) -> PutResult:
        """`put_if_absent`, blocking."""
        check_name(name)
        check_body(name, data)
        if self._read_only:
            raise StoreRefused(f"cannot store {name}: the archive was opened read-only")
        with store_errors(f"storing {name}"):
            if self._tree.link_new(name, data):
                return PutResult.STORED
            stored = self._tree.read(name)
        if stored is None:
            raise StoreRefused(f"cannot store {name}: a folder has this name")
        return PutResult.STORED if stored == data else PutResult.EXISTS

    async def get(self, name: str) -> bytes | None:
        """See `ports.WormStore`."""
        return await self._offload.run(self.get_sync, name)

    def get_sync(self, name: str) -> bytes | None:
        """`get`, blocking."""
        check_name(name)
        with store_errors(f"reading {name}"):
            return self._tree.read(name)

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.WormStore`."""
        return await self._offload.run(self.names_sync, prefix, after=after, limit=limit)

    def names_sync(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """`names`, blocking."""
        return list(islice(self.walk_sync(prefix, after=after), limit))

    def walk_sync(self, prefix: str = "", *, after: str = "") -> Iterator[str]:
        """`names` one by one: an archive's names need not fit into memory."""
        check_prefix(prefix)
        with store_errors(f"listing {prefix or 'the archive'}"):
            yield from self._tree.walk(prefix, after)

    async def extend_retention(self, name: str, until_ms: int) -> None:
        """Always refused: a folder has no retention."""
        raise StoreRefused(f"cannot retain {name}: the file store has no retention", hint=_HINT)

    async def set_hold(self, name: str, held: bool) -> None:
        """Always refused: a folder has no holds."""
        raise StoreRefused(f"cannot hold {name}: the file store has no holds", hint=_HINT)

    async def held(self, name: str) -> bool | None:
        """None: a folder has no holds."""
        check_name(name)
        return None

    async def hold_level(self) -> HoldLevel:
        """None at all."""
        return HoldLevel.NONE

    async def posture(self) -> Posture:
        """`mutable`, whatever the permissions: the owner can change them."""
        access = "read-only" if self._read_only else "for writing"
        return Posture(
            findings=(
                Finding(
                    fact="store", value=f"the folder {self._root}, opened {access}",
                    standing=Standing.BAD, ceiling=Assurance.MUTABLE,
                    advice="its owner can change and remove objects: use a write-once store, or "
                    "keep checkpoints elsewhere",
                ),
                Finding(fact="retention and holds", value="none"),
            )
        )  # fmt: skip

    async def close(self) -> None:
        """See `ports.WormStore`."""
        await self._offload.close()


_HINT = "use a write-once store"
