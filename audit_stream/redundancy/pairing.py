"""Walking through two stores of one archive, name by name: what is the same, what is not and which
one is right, and adding to one what only the other has and the evidence bears out.

Nothing is ever overwritten, and nothing copied that does not verify. Names of each store are held a
page at a time, objects a few at a time, differences up to a number; the rest is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from audit_stream.archive.ahead import in_flight
from audit_stream.ports import PutResult
from audit_stream.redundancy.judge import Judge, is_known
from audit_stream.redundancy.sides import SIDES, Side, Sides, Unreadable, other
from audit_stream.redundancy.word import Judgement, unproven

_KEPT = 1000  # differences
_AHEAD = 9  # names whose objects are being read; a segment is some megabytes at most
#: Told each name behind which everything was looked at.
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A name under which the two do not have the same."""

    name: str
    judged: Mapping[Side, Judgement]  # of the bytes on each side that has some

    @property
    def alone_on(self) -> Side | None:
        """The one store that has it, if it is one."""
        return next(iter(self.judged)) if len(self.judged) == 1 else None

    @property
    def good(self) -> list[Side]:
        """Where the bytes are good."""
        return [side for side, judgement in self.judged.items() if judgement.is_good]

    def __str__(self) -> str:
        said = (
            f"{side} {judgement.word.value}" + (f" ({judgement.why})" if judgement.why else "")
            for side, judgement in self.judged.items()
        )
        missing = "" if self.alone_on is None else f"; {other(self.alone_on)} has none"
        return f"{self.name}: {', '.join(said)}{missing}"


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a walk found, and did."""

    objects: int = 0  # names that both should have
    strangers: int = 0  # names that the format does not know, and each store's own
    disposed: int = 0  # alone on one, and disposed of
    added: list[str] = field(default_factory=list)  # the first ones
    differences: list[Difference] = field(default_factory=list)  # the first ones
    added_count: int = 0
    alone: int = 0  # objects on one store alone that were not added
    differing: int = 0
    lost: int = 0  # of these: no good copy on either
    last: str = ""  # the walk got behind this name

    @property
    def is_equal(self) -> bool:
        """Whether the two have the same, as far as the walk read them."""
        return not self.alone and not self.differing

    def note(self, found: Difference) -> None:
        """Count a difference, and keep it if it is one of the first."""
        if found.alone_on is None:
            self.differing += 1
        else:
            self.alone += 1
        self.lost += not found.good
        if len(self.differences) < _KEPT:
            self.differences.append(found)

    def note_added(self, name: str) -> None:
        """Count an object that is on both by now."""
        self.added_count += 1
        if len(self.added) < _KEPT:
            self.added.append(name)


@dataclass(frozen=True, slots=True)
class _Read:
    """A name, where it stands, and the bytes there; None of those that were not read."""

    name: str
    data: Mapping[Side, bytes | None]
    unreadable: Mapping[Side, Judgement] = field(default_factory=dict)


class Pairing:
    """One walk. `add_to`: the store that gets what it lacks; `dry`: only say so.

    `whole`: read what stands on both, too, and compare it byte by byte.
    """

    def __init__(
        self, sides: Sides, judge: Judge, *, add_to: Side | None = None, dry: bool = False,
        whole: bool = True,
    ) -> None:  # fmt: skip
        self._sides, self._judge = sides, judge
        self._add_to, self._dry, self._whole = add_to, dry, whole
        self.outcome = Outcome()

    async def run(self, told: Told = lambda _: None, *, after: str = "") -> Outcome:
        """Walk through every name behind `after`. Raises what the stores raise; `outcome` then has
        what was found so far."""
        pairs = self._sides.pairs(after=after)
        async with aclosing(in_flight(pairs, self._read, _AHEAD)) as reads:
            async for read in reads:
                await self._take(read)
                self.outcome.last = read.name
                told(read.name)
        return self.outcome

    async def _read(self, pair: tuple[str, Sequence[Side]]) -> _Read:
        """A name with its bytes, on each side where it stands."""
        name, standing = pair
        if not is_known(name) or (len(standing) > 1 and not self._whole):
            return _Read(name, dict.fromkeys(standing))
        data: dict[Side, bytes | None] = {}
        unreadable: dict[Side, Judgement] = {}
        for side in SIDES:  # both are asked: they were listed apart, one may be newer
            try:
                found = await self._sides.read(side, name)
            except Unreadable as error:
                unreadable[side] = unproven(f"cannot be read: {error.message}")
            else:
                data |= {} if found is None else {side: found}
        return _Read(name, data, unreadable)

    async def _take(self, read: _Read) -> None:
        if not is_known(read.name):
            self.outcome.strangers += 1
            return
        self.outcome.objects += 1
        if read.unreadable:
            await self._settle(read)
            return
        if len(read.data) == len(SIDES) and len(set(read.data.values())) == 1:
            return
        if len(read.data) == 1 and await self._judge.is_disposed(read.name):
            self.outcome.disposed += 1
            return
        if read.data:  # else it was disposed of since it was listed
            await self._settle(read)

    async def _settle(self, read: _Read) -> None:
        judged = {
            side: await self._judge.judge(read.name, data)
            for side, data in read.data.items() if data is not None
        }  # fmt: skip
        found = Difference(name=read.name, judged={**judged, **read.unreadable})
        wanted = found.alone_on is not None and other(found.alone_on) == self._add_to
        if wanted and found.good and await self._add(read.name, found.good[0], read.data):
            self.outcome.note_added(read.name)
        else:
            self.outcome.note(found)

    async def _add(self, name: str, source: Side, data: Mapping[Side, bytes | None]) -> bool:
        """Whether it is there, or would be; in order, so a chain is never there with a hole."""
        if self._dry:
            return True
        good = data[source]
        assert good is not None
        put = await self._sides.of(other(source)).put_if_absent(name, good, {})
        return put is PutResult.STORED
