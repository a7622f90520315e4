"""How far a target is served: one small rewritable object per partition of a stream.

Everything below `settled` is stored by the receiver or stands in ``audit-undeliverable``. Each
rewrite is a compare-and-swap, so that of two deliverers of one target the one that comes second
stops, and no position moves backwards. It names the segments it stands between: another archive
behind the same position is found out.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from audit_stream.errors import DeliveryConflict, FormatError
from audit_stream.evidence.canonical import canonical, check_members, parse_line
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.ports import SubjectStore
from audit_stream.seal.builder import Link

VERSION = "audit-delivery-position/1"
FOLDER = "positions/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Of one target in one partition of one stream."""

    target: str
    topic: str
    generation: int
    partition: int
    stream: str  # the stream's random id
    next: int  # the base of the segment at work; all segments below it are settled
    seq: int  # its number
    leaf: str | None  # of the segment before it; None at the beginning
    settled: int  # first offset that is not settled; at `next` or within the segment at work
    within: str | None = None  # leaf of the segment at work, once a record of it is settled

    @classmethod
    def begin(cls, target: str, stream: StreamObject, partition: int) -> Position:
        """Before the first segment."""
        base = stream.genesis[partition]
        return cls(
            target=target, topic=stream.topic, generation=stream.generation, partition=partition,
            stream=stream.stream, next=base, seq=0, leaf=None, settled=base,
        )  # fmt: skip

    @property
    def link(self) -> Link:
        """What the segment at work continues."""
        return Link(next=self.next, seq=self.seq, leaf=self.leaf)

    @property
    def name(self) -> str:
        """The object's."""
        place = f"{self.topic}/{self.generation:05d}/{self.partition:05d}"
        return f"{FOLDER}{self.target}/{place}.json"

    def __str__(self) -> str:
        return f"{self.topic}/{self.generation}/{self.partition}"

    def inside(self, leaf: str, settled: int) -> Position:
        """Within the segment at work, whose leaf this is."""
        return replace(self, within=leaf, settled=settled)

    def behind(self, link: Link) -> Position:
        """All of the segment at work is settled."""
        return replace(
            self, next=link.next, seq=link.seq, leaf=link.leaf, settled=link.next, within=None
        )


_MEMBERS = frozenset(Position.__dataclass_fields__) | {"at", "v", "writer"}
_INTEGERS = frozenset({"generation", "next", "partition", "seq", "settled"})


def parse_position(data: bytes, what: str) -> Position:
    """`FormatError` for anything but a position."""
    value = parse_line(data, what)
    check_members(value, VERSION, _MEMBERS, what)
    for name in _MEMBERS - {"at", "leaf", "v", "within", "writer"}:
        if type(value[name]) is not (int if name in _INTEGERS else str):
            raise FormatError(f"{what} {name} is not what it should be")
    for name in ("leaf", "within"):
        if type(value[name]) not in (str, type(None)):
            raise FormatError(f"{what} {name} is not what it should be")
    return Position(**{name: value[name] for name in _MEMBERS - {"at", "v", "writer"}})


class Positions:
    """A deliverer's positions; `now` says RFC 3339. Errors are `StoreError` and `FormatError`."""

    def __init__(self, store: SubjectStore, now: Callable[[], str]) -> None:
        self._store, self._now = store, now
        self._writer = secrets.token_hex(8)
        self._tags: dict[str, tuple[Position, str | None]] = {}

    async def open(self, begin: Position) -> Position:
        """Where to go on: what is kept, else the beginning. `FormatError` when another stream is
        there by now."""
        found = await self._store.get(begin.name)
        position = begin if found is None else parse_position(found.data, begin.name)
        if position.stream != begin.stream or position.name != begin.name:
            raise FormatError(
                f"{begin.name} is a position in another archive",
                hint="give each archive its own AUDIT_DELIVERY_POSITIONS or AUDIT_DELIVERY_NAME",
            )
        self._tags[begin.name] = (position, None if found is None else found.etag)
        return position

    async def move(self, position: Position) -> None:
        """Durable on return. `DeliveryConflict` when somebody else moved it meanwhile."""
        name = position.name
        before, etag = self._tags[name]
        assert (position.next, position.settled) >= (before.next, before.settled)
        data = canonical(
            asdict(position) | {"at": self._now(), "v": VERSION, "writer": self._writer}
        )
        after = await written(self._store, name, data, etag)
        if after is None and (mine := await self._own_tag(name)) != etag:
            # An earlier write of ours stands there, whose outcome was never heard.
            after = await written(self._store, name, data, mine)
        if after is None:
            raise DeliveryConflict(
                f"another process delivers to {position.target}: it has moved {name}",
                hint="run one `deliver siem` for each AUDIT_DELIVERY_NAME, and stop the other",
            )
        self._tags[name] = (position, after)

    async def _own_tag(self, name: str) -> str | None:
        """Of what stands there if this process wrote it; else the tag it knew."""
        found = await self._store.get(name)
        if found is not None and parse_line(found.data, name)["writer"] == self._writer:
            return found.etag
        return self._tags[name][1]


async def written(store: SubjectStore, name: str, data: bytes, etag: str | None) -> str | None:
    """Compare and swap, `etag` None for a free name: the new entity tag, None when somebody else
    was first. It is read back whatever the store said: an attempt that was made again is told that
    its first was in time."""
    if etag is None:
        await store.create(name, data)
    else:
        await store.replace(name, data, etag)
    found = await store.get(name)
    return None if found is None or found.data != data else found.etag


async def all_positions(store: SubjectStore, target: str) -> list[Position]:
    """Every position that is kept of a target, by name."""
    names = await store.names(f"{FOLDER}{target}/")
    found = [(name, await store.get(name)) for name in names]
    return [parse_position(each.data, name) for name, each in found if each is not None]
