"""What was seen of a store by asking and by trying, whichever service it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Unread:
    """A fact that could not be read, and why."""

    reason: str


class Outcome(Enum):
    """How an attack on the canary ended."""

    REFUSED = "refused"
    SHADOWED = "shadowed"  # accepted, and the oldest version stands as it was
    ACCEPTED = "accepted"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attack on the canary, and the service's code."""

    attack: str
    outcome: Outcome
    code: str = ""
