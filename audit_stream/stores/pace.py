"""How fast a failing store may be asked: a probe is one attempt, and an attempt several requests.

An attempt that was under way when the breaker opened goes on to settle what it left in doubt, and
two targets can be probed in the same moment. Whoever runs a store that is down should not have to
find our requests among the reasons.
"""

from __future__ import annotations

from collections.abc import Collection

from audit_stream.ports import Clock
from audit_stream.stores.breaker import BreakerState, CircuitBreaker

_SPACING_SECONDS = 0.6  # never more than two requests in a second, even if one is a little late
_SILENCE_SECONDS = 1.0  # after an opening: what was sent just before it is not to be added to


class Pace:
    """Spaces a worker's requests while one of its targets fails; none waits while all work."""

    def __init__(self, breakers: Collection[CircuitBreaker], *, clock: Clock) -> None:
        self._breakers = breakers
        self._clock = clock
        self._next = 0.0  # when the next request may leave
        for breaker in breakers:
            breaker.add_listener(self._on_change)

    async def turn(self) -> None:
        """Return when a request may leave."""
        while any(not breaker.is_closed for breaker in self._breakers):
            now = self._clock.monotonic()
            if now >= self._next:
                self._next = now + _SPACING_SECONDS
                return
            await self._clock.sleep(self._next - now)

    def _on_change(self, old: BreakerState, new: BreakerState, reason: str) -> None:
        if old is BreakerState.CLOSED:
            self._next = max(self._next, self._clock.monotonic() + _SILENCE_SECONDS)
