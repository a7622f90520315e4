"""Private objects in the subject store: sealed values by name, each rewrite a compare-and-swap."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from audit_stream.errors import StoreTransient
from audit_stream.ports import SubjectStore
from audit_stream.privacy.named_object import NONCE_BYTES
from audit_stream.privacy.private_object import open_private, seal_private

_TRIES = 50
_READERS = 8


@dataclass(frozen=True, slots=True)
class Kept:
    """A private object as it was read, and the tag that guards its next rewrite."""

    name: str
    value: dict[str, Any] = field(repr=False)
    etag: str


class PrivateObjects:
    """Reads and writes under ``private/``. Errors are `StoreError`; `FormatError` for bytes that
    are not what this keyring sealed under the name."""

    def __init__(self, store: SubjectStore, index_key: bytes) -> None:
        self._store, self._index_key = store, index_key

    async def get(self, name: str) -> Kept | None:
        """What stands under the name."""
        found = await self._store.get(name)
        if found is None:
            return None
        return Kept(name, open_private(self._index_key, name, found.data), found.etag)

    async def create(self, name: str, value: dict[str, Any]) -> bool:
        """Store under a free name; False when it is taken."""
        return await self._store.create(name, self._sealed(name, value))

    async def replace(self, kept: Kept, value: dict[str, Any]) -> bool:
        """Rewrite what was read; False when somebody else did meanwhile."""
        return await self._store.replace(kept.name, self._sealed(kept.name, value), kept.etag)

    async def remove(self, kept: Kept) -> bool:
        """Remove what was read; False when somebody else changed it meanwhile."""
        return await self._store.remove(kept.name, kept.etag)

    async def discard(self, name: str) -> None:
        """Remove what stands under a name, if anything does: whoever changes it meanwhile wins."""
        if (kept := await self.get(name)) is not None:
            await self.remove(kept)

    async def update(
        self, name: str, change: Callable[[dict[str, Any] | None], dict[str, Any]]
    ) -> dict[str, Any]:
        """Create or rewrite with what `change` makes of the value there, None where there is none;
        tried again when somebody else was first. What stands then."""
        for _ in range(_TRIES):
            kept = await self.get(name)
            value = change(None if kept is None else kept.value)
            if kept is not None and value == kept.value:
                return value
            if await (self.create(name, value) if kept is None else self.replace(kept, value)):
                return value
        raise StoreTransient(f"{name} was rewritten by others {_TRIES} times over")

    async def names(self, folder: str) -> list[str]:
        """Names in a folder, which ends with a slash."""
        return await self._store.names(folder)

    async def all(self, folder: str) -> list[Kept]:
        """Everything in a folder, by name; what went away meanwhile is left out."""
        turn = asyncio.Semaphore(_READERS)

        async def read(name: str) -> Kept | None:
            async with turn:
                return await self.get(name)

        found = await asyncio.gather(*map(read, await self.names(folder)))
        return [each for each in found if each is not None]

    def _sealed(self, name: str, value: dict[str, Any]) -> bytes:
        return seal_private(self._index_key, name, value, secrets.token_bytes(NONCE_BYTES))
