"""One archive in two stores: what is put goes to a second one, too.

The primary decides races and answers reads. `Mirroring.BEFORE`: a put returns when its object
stands on both, and what a writer reads and goes on from stands on both. `Mirroring.BEHIND`: copies
follow, bounded in time; what a crash leaves uncopied, the next put of its chain or a sweep copies.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum

from audit_stream.errors import StoreError
from audit_stream.ports import Clock, HoldLevel, PutResult
from audit_stream.posture import Assurance, Finding, Posture, Standing
from audit_stream.stores.backlog import Backlog, Bound
from audit_stream.stores.copying import Copier, Order, Told
from audit_stream.stores.retry import ResilientStore

log = logging.getLogger(__name__)


class Mirroring(Enum):
    """When the second store has what the first one has."""

    BEFORE = "before"
    BEHIND = "behind"


class MirroredStore:
    """`ports.WormStore` over two others, which try again by themselves what may pass.

    Raises `errors.Diverged`, which ends a process, besides what the port says: the two stores do
    not have the same, and nothing may be built on either before an operator has looked.
    """

    def __init__(
        self, primary: ResilientStore, secondary: ResilientStore, order: Order, mode: Mirroring,
        bound: Bound, *, clock: Clock, told: Told, drain_seconds: float = 10.0,
    ) -> None:  # fmt: skip
        self._primary, self._secondary, self._mode = primary, secondary, mode
        self._copier = Copier(primary, secondary, order, told)
        self.backlog = Backlog(self._copier.bring, self._copier.lane, bound, clock=clock)
        self._drain_seconds = drain_seconds
        self._closed = False

    @property
    def url(self) -> str:
        """Of the primary."""
        return self._primary.url

    @property
    def is_strict(self) -> bool:
        """Whether nothing counts as stored that is not on both."""
        return self._mode is Mirroring.BEFORE

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        """See `ports.WormStore`. Where another writer won, it is the winner's bytes that are
        copied."""
        if not self.is_strict:
            await self.backlog.room()
        put = await self._primary.put_if_absent(name, data, metadata)
        ours = data if put is PutResult.STORED else None
        if self.is_strict:
            await self._copier.bring(name, ours, metadata)
        else:
            self.backlog.add(name, ours, metadata)
        return put

    async def get(self, name: str) -> bytes | None:
        """See `ports.WormStore`."""
        data = await self._primary.get(name)
        if self.is_strict and data is not None:
            await self._copier.reach(name)
        return data

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.WormStore`."""
        return await self._primary.names(prefix, after=after, limit=limit)

    async def extend_retention(self, name: str, until_ms: int) -> None:
        """See `ports.WormStore`; on the second store where it keeps objects one by one."""
        await self._primary.extend_retention(name, until_ms)
        if await self._keeps(name):
            await self._secondary.extend_retention(name, until_ms)

    async def set_hold(self, name: str, held: bool) -> None:
        """See `ports.WormStore`; on the second store where objects have holds."""
        await self._primary.set_hold(name, held)
        if await self._keeps(name):
            await self._secondary.set_hold(name, held)

    async def held(self, name: str) -> bool | None:
        """See `ports.WormStore`: on both, where both have holds. None where they differ: a hold is
        neither set nor lifted as long as one store has it."""
        held = await self._primary.held(name)
        if held is None or await self._secondary.hold_level() is not HoldLevel.OBJECT:
            return held
        theirs = await self._is_there(name) and await self._secondary.held(name)
        return held if theirs is held else None

    async def _keeps(self, name: str) -> bool:
        """Whether the second store has the object and keeps objects one by one. What is not
        copied yet gets its hold from the next look at what is declared."""
        keeps = await self._secondary.hold_level() is HoldLevel.OBJECT
        return keeps and await self._is_there(name)

    async def _is_there(self, name: str) -> bool:
        if self.is_strict:
            await self._copier.reach(name)
            return True
        return await self._secondary.names(name, limit=1) == [name]

    async def hold_level(self) -> HoldLevel:
        """Of the primary."""
        return await self._primary.hold_level()

    async def posture(self) -> Posture:
        """See `ports.WormStore`. The assurance is the primary's: a copy takes nothing from it."""
        mine = await self._primary.posture()
        return Posture(findings=[*mine.findings, *await self._second(mine.assurance)])

    async def _second(self, level: Assurance) -> list[Finding]:
        try:
            posture = await self._secondary.posture()
        except StoreError as error:
            return [Finding(
                fact="second store", value=f"could not be asked: {error.message}",
                standing=Standing.UNKNOWN, advice="look at AUDIT_ARCHIVE_SECONDARY",
            )]  # fmt: skip
        found = [
            replace(each, fact=f"second store: {each.fact}", ceiling=Assurance.WORM_LOCKED,
                    standing=Standing.WEAK if each.standing is Standing.BAD else each.standing)
            for each in posture.findings
        ]  # fmt: skip
        if posture.assurance < level:
            found.append(Finding(
                fact="second store", value=f"is {posture.assurance.label}, the archive is "
                f"{level.label}", standing=Standing.WEAK,
                advice="protect both alike, or a copy can be rewritten unseen by its store",
            ))  # fmt: skip
        return found

    def be_patient(self) -> None:
        """From now on reads wait, too, on both."""
        self._primary.be_patient()
        self._secondary.be_patient()

    async def close(self) -> None:
        """See `ports.WormStore`. What waits is copied first, within a time limit."""
        if not self._closed:
            self._closed = True
            left = await self.backlog.drain(self._drain_seconds)
            if left:
                log.warning(
                    "%d objects are not on the second store yet: audit-stream archive mirror copies"
                    " them", left,
                )  # fmt: skip
        await self._primary.close()
        await self._secondary.close()
