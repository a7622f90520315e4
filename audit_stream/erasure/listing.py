"""The list of a batch's records, kept in parts until every receiver was told: it links records, so
it is sealed, and removed with the batch's journal.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Final

from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.found import Sighting
from audit_stream.erasure.notice import Listed, decode_part, encode_part
from audit_stream.errors import Tampered
from audit_stream.privacy.private_object import FOLDER

NOTICES: Final = f"{FOLDER}notices/"
_PARTS: Final = f"{NOTICES}parts/"


class Listing:
    """Lists what a pass over the archive sees, and holds no more of it than one part and one
    segment."""

    def __init__(
        self, private: PrivateObjects, most: int, written: Callable[[], None] = lambda: None
    ) -> None:
        """`most`: records in a part; `written` is called after each."""
        self._private, self._most, self._written = private, most, written
        self._waiting: list[Listed] = []
        self.parts = 0  # written

    async def of(self, found: AsyncIterable[Sighting]) -> AsyncGenerator[Sighting, None]:
        """The same sightings; at their end all of them are listed. `StoreError`."""
        await discard_parts(self._private)  # a pass that was cut off may have left more of them
        async for sighting in found:
            if sighting.segment is not None:
                self._waiting += [
                    Listed(seen.integrity_hash.hex(), seen.message, seen.status, seen.source)
                    for records in sighting.records.values() for seen in records
                ]  # fmt: skip
            while len(self._waiting) >= self._most:
                await self._write()
            yield sighting
        if self._waiting:
            await self._write()

    async def _write(self) -> None:
        part = self._waiting[: self._most]
        del self._waiting[: self._most]
        self.parts += 1
        await self._private.create(_name(self.parts), encode_part(part))
        self._written()


async def read_part(private: PrivateObjects, number: int) -> list[Listed]:
    """By number, from 1. `Tampered` when it is gone: the tags that made it are gone, too."""
    kept = await private.get(_name(number))
    if kept is None:
        raise Tampered(
            f"{_name(number)} is gone: nobody can tell the receivers what to erase",
            hint="restore it if you can; else excuse them (docs/runbooks/erasure.md)",
        )
    return decode_part(kept.value)


async def discard_parts(private: PrivateObjects) -> None:
    """Of whatever batch."""
    for name in await private.names(_PARTS):
        await private.discard(name)


def _name(number: int) -> str:
    return f"{_PARTS}{number:08d}"
