"""Stores in memory that enforce what the real ones do, and fail when told to.

They refuse what a write-once service refuses (overwriting, empty bodies, bad names, a clock that
goes back; deleting does not exist), so that code which passes on them does not break on Azure.
`Faults` makes them fail the ways a network does. State is shared by `reopen`, faults are not.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice, takewhile

from audit_stream.errors import StoreError, StoreRefused, StoreTransient
from audit_stream.ports import HoldLevel, PutResult
from audit_stream.posture import Assurance, Finding, Posture
from audit_stream.stores.names import check_body, check_name, check_prefix


class Faults:
    """What goes wrong next. Writes are attempts to change something, refused ones included.

    attempts  names of all writes begun, in order
    outage    while True every call raises `StoreTransient`
    gate      while it is an unset event, writes wait for it before they take effect
    """

    def __init__(self) -> None:
        self.attempts: list[str] = []
        self.outage = False
        self.gate: asyncio.Event | None = None
        self._failures: deque[tuple[bool, StoreError]] = deque()

    def fail_next(self, n: int, stored: bool, error: StoreError | None = None) -> None:
        """The next `n` writes raise `error`, after taking effect (`stored`) or without."""
        error = error or StoreTransient("injected fault")
        self._failures.extend((stored, error) for _ in range(n))

    async def _before(self) -> None:
        await asyncio.sleep(0)  # as a real call would, let others run
        if self.outage:
            raise StoreTransient("injected outage")

    async def _before_write(self, name: str) -> StoreError | None:
        """Wait, fail, or say with what to fail once the write has taken effect."""
        self.attempts.append(name)
        await self._before()
        if self.gate is not None:
            await self.gate.wait()
        if not self._failures:
            return None
        stored, error = self._failures.popleft()
        if not stored:
            raise error
        return error


class SortedNames:
    """Names in ascending order; none is the folder of another."""

    def __init__(self) -> None:
        self._ascending: list[str] = []

    def add(self, name: str) -> None:
        """`StoreRefused` when it would be a folder of another, or the other way round."""
        folders = [name[:at] for at, character in enumerate(name) if character == "/"]
        if self.select(name + "/", "", 1) or any(map(self._holds, folders)):
            raise StoreRefused(f"cannot store {name}: a folder and an object would share a name")
        insort(self._ascending, name)

    def remove(self, name: str) -> None:
        """One that is there."""
        del self._ascending[bisect_left(self._ascending, name)]

    def select(self, prefix: str, after: str, limit: int | None) -> list[str]:
        """As `ports.WormStore.names`."""
        start = max(bisect_left(self._ascending, prefix), bisect_right(self._ascending, after))
        rest = islice(self._ascending, start, None)
        return list(islice(takewhile(lambda name: name.startswith(prefix), rest), limit))

    def _holds(self, name: str) -> bool:
        at = bisect_left(self._ascending, name)
        return self._ascending[at : at + 1] == [name]


@dataclass(slots=True, kw_only=True)
class StoredObject:
    """One object with what a service keeps beside it. Times are Unix ms."""

    data: bytes
    metadata: Mapping[str, str]
    stored_ms: int
    retain_until_ms: int
    held: bool = False


@dataclass(slots=True)
class MemoryContainer:
    """What outlives a handle: the service's side."""

    now_ms: int
    retention_ms: int
    objects: dict[str, StoredObject] = field(default_factory=dict)
    names: SortedNames = field(default_factory=SortedNames)


class MemoryWormStore(Faults):
    """`ports.WormStore` in memory.

    The service's clock stands still until moved; retention counts from the put.
    """

    def __init__(
        self,
        *,
        assurance: Assurance = Assurance.WORM_LOCKED,
        retention_ms: int = 2557 * 86_400_000,
        now_ms: int = 0,
        read_only: bool = False,
    ) -> None:
        super().__init__()
        self.assurance = assurance
        self._read_only = read_only
        self._container = MemoryContainer(now_ms, retention_ms)
        self._closed = False

    def reopen(self, *, read_only: bool = False) -> MemoryWormStore:
        """Another handle on the same objects, without this one's faults."""
        other = MemoryWormStore(assurance=self.assurance, read_only=read_only)
        other._container = self._container
        return other

    @property
    def url(self) -> str:
        """Only a label: nothing can be opened by it."""
        return "memory:"

    @property
    def container(self) -> MemoryContainer:
        """The service's side."""
        return self._container

    @property
    def objects(self) -> Mapping[str, StoredObject]:
        """Everything stored, for tests to look at."""
        return self._container.objects

    def move_clock(self, now_ms: int) -> None:
        """Set the service's clock (Unix ms). It refuses to go back."""
        if now_ms < self._container.now_ms:
            raise StoreRefused("the store's clock cannot go back")
        self._container.now_ms = now_ms

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        """See `ports.WormStore`."""
        self._check_open()
        check_name(name)
        check_body(name, data)
        if self._read_only:
            raise StoreRefused(f"cannot store {name}: the store was opened read-only")
        late = await self._before_write(name)
        result = self._put(name, data, metadata)
        if late is not None:
            raise late
        await asyncio.sleep(0)
        return result

    def _put(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        box = self._container
        if (standing := box.objects.get(name)) is not None:
            return PutResult.STORED if standing.data == data else PutResult.EXISTS
        box.names.add(name)
        box.objects[name] = StoredObject(
            data=bytes(data),
            metadata=dict(metadata),
            stored_ms=box.now_ms,
            retain_until_ms=box.now_ms + box.retention_ms,
        )
        return PutResult.STORED

    async def get(self, name: str) -> bytes | None:
        """See `ports.WormStore`."""
        self._check_open()
        check_name(name)
        await self._before()
        found = self._container.objects.get(name)
        return None if found is None else found.data

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.WormStore`."""
        self._check_open()
        check_prefix(prefix)
        await self._before()
        return self._container.names.select(prefix, after, limit)

    async def extend_retention(self, name: str, until_ms: int) -> None:
        """See `ports.WormStore`."""
        found = await self._existing(name)
        found.retain_until_ms = max(found.retain_until_ms, until_ms)

    async def set_hold(self, name: str, held: bool) -> None:
        """See `ports.WormStore`."""
        (await self._existing(name)).held = held

    async def held(self, name: str) -> bool | None:
        """See `ports.WormStore`."""
        return (await self._existing(name)).held

    async def hold_level(self) -> HoldLevel:
        """See `ports.WormStore`."""
        self._check_open()
        return HoldLevel.OBJECT

    async def _existing(self, name: str) -> StoredObject:
        self._check_open()
        check_name(name)
        await self._before()
        if (found := self._container.objects.get(name)) is None:
            raise StoreRefused(f"there is no object {name}")
        return found

    async def posture(self) -> Posture:
        """What it was made to say."""
        self._check_open()
        await self._before()
        lost = Finding(fact="in memory", value="lost with the process", ceiling=self.assurance)
        return Posture(findings=(lost,))

    async def close(self) -> None:
        """See `ports.WormStore`."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StoreRefused("the store is closed")
