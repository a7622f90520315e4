"""Subject objects as files: rewritable, each rewrite a compare-and-swap between processes.

A new object is linked into place, which decides a race by itself. A rewrite compares and renames
under the folder's lock file, which excludes other rewriters on this machine; readers need no lock.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from audit_stream.durable import locked
from audit_stream.errors import StoreTransient
from audit_stream.ports import Versioned
from audit_stream.posture import Finding, Standing
from audit_stream.stores.disk import Tree, store_errors
from audit_stream.stores.names import check_body, check_name, check_prefix
from audit_stream.stores.offload import TIME_LIMIT, Offload

LOCK_FILE = ".lock"  # one a folder; never removed, or two processes could hold two of them

_MODE = 0o600
_LOCK_WAIT = 10.0  # seconds; a holder needs milliseconds, unless it was stopped
_LOCK_POLL = 0.01  # seconds


def entity_tag(data: bytes) -> str:
    """What guards the next rewrite: the first 32 hex digits of the SHA-256 of the bytes."""
    return hashlib.sha256(data).hexdigest()[:32]


class FileSubjectStore:
    """`ports.SubjectStore` on a local folder, made if need be.

    The ``_sync`` methods are the same calls without an event loop, for offline use.
    """

    def __init__(
        self, root: Path, *, time_limit: float = TIME_LIMIT, lock_wait: float = _LOCK_WAIT
    ) -> None:
        self._lock_wait = lock_wait
        root = root.absolute()
        with store_errors(f"opening the subjects folder {root}"):
            self._tree = Tree(root, mode=_MODE, writable=True)
        self._offload = Offload("subjects folder", time_limit=time_limit)

    async def create(self, name: str, data: bytes) -> bool:
        """See `ports.SubjectStore`."""
        return await self._offload.run(self.create_sync, name, data)

    def create_sync(self, name: str, data: bytes) -> bool:
        """`create`, blocking."""
        check_name(name)
        check_body(name, data)
        with store_errors(f"storing {name}"):
            return self._tree.link_new(name, data)

    async def get(self, name: str) -> Versioned | None:
        """See `ports.SubjectStore`."""
        return await self._offload.run(self.get_sync, name)

    def get_sync(self, name: str) -> Versioned | None:
        """`get`, blocking."""
        check_name(name)
        with store_errors(f"reading {name}"):
            data = self._tree.read(name)
        return None if data is None else Versioned(data, entity_tag(data))

    async def replace(self, name: str, data: bytes, etag: str) -> bool:
        """See `ports.SubjectStore`."""
        return await self._offload.run(self.replace_sync, name, data, etag)

    def replace_sync(self, name: str, data: bytes, etag: str) -> bool:
        """`replace`, blocking."""
        check_name(name)
        check_body(name, data)
        with store_errors(f"rewriting {name}"), self._if_match(name, etag) as matches:
            if matches:
                self._tree.rename_over(name, data)
            return matches

    async def remove(self, name: str, etag: str) -> bool:
        """See `ports.SubjectStore`."""
        return await self._offload.run(self.remove_sync, name, etag)

    def remove_sync(self, name: str, etag: str) -> bool:
        """`remove`, blocking."""
        check_name(name)
        with store_errors(f"removing {name}"), self._if_match(name, etag) as matches:
            if matches:
                self._tree.unlink(name)
            return matches

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.SubjectStore`."""
        return await self._offload.run(self.names_sync, prefix, after=after, limit=limit)

    def names_sync(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """`names`, blocking."""
        check_prefix(prefix)
        with store_errors(f"listing {prefix or 'the subjects'}"):
            return list(islice(self._tree.walk(prefix, after), limit))

    async def findings(self) -> Sequence[Finding]:
        """See `ports.SubjectStore`."""
        return (
            Finding(
                fact="subjects: copies of what was rewritten", value="unknown to a folder",
                standing=Standing.UNKNOWN,
                advice="no snapshots and no backups of it, or what was zeroed can be brought back",
            ),
        )  # fmt: skip

    async def close(self) -> None:
        """See `ports.SubjectStore`."""
        await self._offload.close()

    @contextlib.contextmanager
    def _if_match(self, name: str, etag: str) -> Iterator[bool]:
        """Whether the object still has this tag, which stays so during the block."""
        if self._tree.read(name) is None:  # there may not even be a folder for the lock
            yield False
            return
        with self._lock(self._tree.path(name).parent / LOCK_FILE):
            data = self._tree.read(name)
            yield data is not None and entity_tag(data) == etag

    @contextlib.contextmanager
    def _lock(self, path: Path) -> Iterator[None]:
        """Hold the lock file. Waiting is limited: its holder may be a process that was stopped."""
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked(path, self._lock_wait, _LOCK_POLL))
            except TimeoutError:
                raise StoreTransient(
                    f"another process has held {path} for {self._lock_wait:g} s",
                    hint="is a worker or a redaction stopped or hanging?",
                ) from None
            yield
