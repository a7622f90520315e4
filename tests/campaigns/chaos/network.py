"""A network of TCP proxies that can be slow, cut in either direction, or reset."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from tests.campaigns.chaos.relay import Relay, Way

Direction = Literal["both", "requests", "answers"]
#: A server as its clients reach it, or the way from one server to another.
Name = int | str | tuple[int, int]
_HOST = "127.0.0.1"
_LIMIT_SECONDS = 10.0
_WAYS: dict[Direction, tuple[Way, ...]] = {
    "both": ("requests", "answers"), "requests": ("requests",), "answers": ("answers",),
}  # fmt: skip
_T = TypeVar("_T")


class Network:
    """Proxies by the name of what stands behind them.

    They run in a thread of their own, so that whoever is busy does not slow the network down
    unasked. Methods may be called from any thread and hold when they return.
    """

    #: What a campaign prints. Proxies need no privilege and no kernel module (netem is one that
    #: small kernels lack), and act alike on every machine.
    means = "TCP proxies of our own on loopback"

    def __init__(self) -> None:
        self._relays: dict[Name, list[Relay]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for relay in self._every():
            self._await(relay.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def add(self, name: Name, upstream: int, *, host: str = _HOST, port: int = 0) -> int:
        """Put a proxy before what listens on the loopback port `upstream`; the proxy's port.

        A name may have several: what is done to it is done to all of them.
        """

        async def begin() -> int:
            relay = Relay((_HOST, upstream))
            bound = await relay.listen(host, port)
            self._relays.setdefault(name, []).append(relay)
            return bound

        return self._await(begin())

    def delay(self, n: Name, seconds: float) -> None:
        """Let every byte to and from it arrive `seconds` later."""
        self._each(self._relays[n], lambda relay: relay.delay(seconds))

    def partition(self, n: Name, direction: Direction = "both") -> None:
        """Hold the bytes to it, from it, or both: connections stay open, new ones hang."""
        self._each(self._relays[n], lambda relay: relay.hold(_WAYS[direction]))

    def isolate(self, n: int) -> None:
        """Cut it off from the other servers, both ways; its clients still reach it."""
        ways = [name for name in self._relays if isinstance(name, tuple) and n in name]
        assert ways, f"no proxies between {n} and other servers"
        for way in ways:
            self.partition(way)

    def reset(self, n: Name) -> None:
        """Break its connections with RST; new ones are served."""
        self._each(self._relays[n], lambda relay: relay.reset())

    def heal(self) -> None:
        """Let everything flow, what was held first."""
        self._each(self._every(), lambda relay: relay.hold(()))
        self._each(self._every(), lambda relay: relay.delay(0.0))

    def _every(self) -> list[Relay]:
        return [relay for relays in self._relays.values() for relay in relays]

    def _each(self, relays: list[Relay], do: Callable[[Relay], None]) -> None:
        async def all_of_them() -> None:
            for relay in relays:
                do(relay)

        self._await(all_of_them())

    def _await(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_LIMIT_SECONDS)
