"""What waits to be copied: a queue that is bounded in objects, bytes and age.

Whoever would make it longer than that waits, so the second store is never further behind than the
bound, but for what was under way when it was reached.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from audit_stream.errors import StoreError
from audit_stream.ports import Clock

log = logging.getLogger(__name__)
_COPIES_AT_A_TIME = 8
_AGAIN_SECONDS = 8.0  # a store's own last delay


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How much may wait."""

    seconds: float
    objects: int = 4096
    bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Waiting:
    """An object to be copied; `data` None: it is to be read when its turn comes."""

    name: str
    data: bytes | None
    metadata: Mapping[str, str]
    since: float  # seconds of the clock

    @property
    def size(self) -> int:
        """Bytes that are held for it."""
        return len(self.data or b"")


Copy = Callable[[str, bytes | None, Mapping[str, str]], Awaitable[None]]


class Backlog:
    """Copies in the order of each lane, of some lanes at a time.

    What a store gives up on is copied again later, for reads give up that writes wait for. What
    else `copy` raises ends the queue, and is raised to whoever adds to it from then on. Belongs to
    one event loop; `lag` and `objects` may be read from any thread.
    """

    def __init__(
        self, copy: Copy, lane: Callable[[str], str], bound: Bound, *, clock: Clock
    ) -> None:
        self._copy, self._lane, self._bound, self._clock = copy, lane, bound, clock
        self._lanes: dict[str, deque[Waiting]] = {}
        self._waiting: dict[int, Waiting] = {}  # by identity, oldest first
        self._bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_COPIES_AT_A_TIME)
        self._news = asyncio.Event()  # set, and replaced, when something was copied or all ended
        self._error: BaseException | None = None

    @property
    def objects(self) -> int:
        """How many wait or are being copied."""
        return len(self._waiting)

    @property
    def lag(self) -> float:
        """Seconds since the oldest of them was stored on the primary; 0 when there is none."""
        with contextlib.suppress(StopIteration, RuntimeError):  # it changed while it was read
            return self._clock.monotonic() - next(iter(self._waiting.values())).since
        return 0.0

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be added."""
        bound = self._bound
        full = self.objects >= bound.objects or self._bytes >= bound.bytes
        return full or self.lag > bound.seconds

    async def room(self) -> None:
        """Return when there is room; raises what ended the queue."""
        while self._error is None and self.is_full:
            await self._news.wait()
        if self._error is not None:
            raise self._error

    def add(self, name: str, data: bytes | None, metadata: Mapping[str, str]) -> None:
        """Copy it when its turn comes."""
        item = Waiting(name, data, metadata, self._clock.monotonic())
        self._waiting[id(item)] = item
        self._bytes += item.size
        lane = self._lane(name)
        if lane in self._lanes:
            self._lanes[lane].append(item)
            return
        self._lanes[lane] = deque((item,))
        task = asyncio.ensure_future(self._run(lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, lane: str) -> None:
        items = self._lanes[lane]
        try:
            while items and self._error is None:
                try:
                    async with self._slots:
                        await self._copy(items[0].name, items[0].data, items[0].metadata)
                except StoreError as error:
                    log.warning("%s is not on the second store yet: %s", items[0].name, error)
                    await self._clock.sleep(_AGAIN_SECONDS)
                else:
                    self._forget(items.popleft())
            del self._lanes[lane]
        except Exception as error:
            self._error = error
            self._tell()

    def _forget(self, item: Waiting) -> None:
        del self._waiting[id(item)]
        self._bytes -= item.size
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def drain(self, seconds: float) -> int:
        """Wait for what waits, so long at most; how many are left. Then copy no more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._waiting and self._error is None:
                    await self._news.wait()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return self.objects
