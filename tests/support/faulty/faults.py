"""What goes wrong, and when: a fault waits for the next request that it matches, or hits a share of
all of them. What its kind means is up to the server that it is armed in.

Where one holds a request up, the test ends that with `release`, or `hold_seconds` do; `hit` tells
the test that a request has met the fault.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Fault:
    """One fault, armed."""

    kind: str
    method: str | None = None  # None: any
    path: str = ""  # part of the path
    times: int | None = 1  # None: until disarmed
    retry_after: int | None = None
    body: bytes | None = None  # the rival's; None: something other than the request's
    metadata: dict[str, str] | None = None  # the rival's; None: the request's
    share: float | None = None  # of the requests that match; None: each
    draws: random.Random = field(default_factory=lambda: random.Random(0))
    hold_seconds: float | None = None  # None: until `release`
    hit: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    landed: asyncio.Event = field(default_factory=asyncio.Event)  # `late` has committed

    def release(self) -> None:
        """Let what waits go on."""
        self.released.set()

    async def held(self) -> None:
        """Return when what waits may go on."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.released.wait(), self.hold_seconds)

    def matches(self, method: str, path: str) -> bool:
        """Whether a request meets this fault. With a `share`, each one that could draws a lot."""
        if self.times == 0 or self.method not in (None, method) or self.path not in path:
            return False
        return self.share is None or self.draws.random() < self.share


class Faults:
    """The faults of one double, first armed first met; a request meets at most one."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []

    def inject(
        self,
        kind: str,
        *,
        method: str | None = "PUT",
        path: str = "",
        times: int | None = 1,
        retry_after: int | None = None,
        body: bytes | None = None,
        metadata: dict[str, str] | None = None,
        share: float | None = None,
        seed: int = 0,
        hold_seconds: float | None = None,
    ) -> Fault:
        """Arm a fault for the next `times` requests of that method whose path contains `path`;
        with a `share`, for that part of them all, drawn from the `seed`."""
        fault = Fault(
            kind, method, path, times if share is None else None, retry_after, body, metadata,
            share, random.Random(seed), hold_seconds,
        )  # fmt: skip
        self._armed.append(fault)
        return fault

    def clear(self) -> None:
        """Disarm all, and let go what they hold up."""
        for fault in self._armed:
            fault.times = 0
            fault.release()
        self._armed.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets."""
        for fault in self._armed:
            if fault.matches(method, path):
                if fault.times is not None:
                    fault.times -= 1
                fault.hit.set()
                return fault
        return None

    def give_back(self, fault: Fault) -> None:
        """Leave a fault armed whose moment has not come."""
        if fault.times is not None:
            fault.times += 1


def flipped(body: bytes) -> bytes:
    """The body with one bit wrong, in its middle."""
    if not body:
        return body
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
