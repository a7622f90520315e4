"""Composing a whole archive in a fresh store, from whichever of two has the good bytes.

For what nothing else mends: an object that stands with wrong bytes cannot be overwritten. It only
adds, so it may be cut off anywhere and started again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from audit_stream.ports import PutResult, WormStore
from audit_stream.redundancy.judge import Judge, is_known
from audit_stream.redundancy.pairing import Told
from audit_stream.redundancy.sides import SIDES, Side, Sides, Unreadable

_KEPT = 1000


@dataclass(slots=True, kw_only=True)
class Composed:
    """What became of the objects."""

    objects: int = 0  # good ones, which stand in the new store, or would
    taken: dict[Side, int] = field(default_factory=lambda: {"primary": 0, "secondary": 0})
    lost: list[str] = field(default_factory=list)  # the first of which neither has good bytes
    lost_count: int = 0
    occupied: list[str] = field(default_factory=list)  # other bytes stand in the new store


class Composing:
    """One run. `into` None: say what would be done."""

    def __init__(self, sides: Sides, judge: Judge, into: WormStore | None) -> None:
        self._sides, self._judge, self._into = sides, judge, into
        self.composed = Composed()

    async def run(self, told: Told = lambda _: None) -> Composed:
        """Every object that verifies, in the order of names. Raises what the stores raise."""
        async for name, _ in self._sides.pairs():
            if is_known(name):
                await self._take(name)
            told(name)
        return self.composed

    async def _take(self, name: str) -> None:
        """The first good bytes; of two that are both good, the primary's."""
        for side in SIDES:
            data = await self._read(side, name)
            if data is not None and (await self._judge.judge(name, data)).is_good:
                self.composed.objects += 1
                self.composed.taken[side] += 1
                await self._put(name, data)
                return
        if await self._judge.is_disposed(name):
            return
        self.composed.lost_count += 1
        if len(self.composed.lost) < _KEPT:
            self.composed.lost.append(name)

    async def _read(self, side: Side, name: str) -> bytes | None:
        try:
            return await self._sides.read(side, name)
        except Unreadable:
            return None

    async def _put(self, name: str, data: bytes) -> None:
        if self._into is None:
            return
        if await self._into.put_if_absent(name, data, {}) is PutResult.EXISTS:
            self.composed.occupied.append(name)
