"""What every store over a network is told, whatever its kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

#: Reads a secret where it lies, again at each call: files rotate.
Secret = Callable[[], str]
#: Returns when a request may leave.
Turn = Callable[[], Awaitable[None]]
#: Seven years are 2555 to 2557 days.
RETENTION_DAYS = 2557


async def at_once() -> None:
    """The turn of who need not wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One container or bucket, to its client."""

    turn: Turn = field(default=at_once, repr=False, compare=False)  # awaited before each request
    retention_days: int = field(default=RETENTION_DAYS, compare=False)  # to keep what is archived
