"""A fault of the campaign: where it hits, and what the circuit breaker has to make of it.

Those that every store has are here, its own are said in `stores`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ARCHIVE, SUBJECTS = "archive-container", "subjects-container"
CONTAINERS = {"archive": ARCHIVE, "subjects": SUBJECTS}
#: Longer than a worker waits for an answer (`read_seconds` of a store's access).
TOO_LONG = 22.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Requests that meet a fault: of one method or any, of one container or both."""

    kind: str
    method: str | None = None
    container: str = ""
    part: float = 1.0  # of the share that the campaign asks for
    hold_seconds: float | None = None
    retry_after: int | None = None

    def armed(self, share: float, seed: int, container: str = "") -> dict[str, Any]:
        """What the server is told."""
        return {
            "kind": self.kind, "method": self.method, "share": min(1.0, share * self.part),
            "path": self.container or container, "seed": seed, "hold_seconds": self.hold_seconds,
            "retry_after": self.retry_after,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One fault, and the targets whose breaker it opens where every request meets it."""

    name: str
    hits: tuple[Hit, ...]
    opens: tuple[str, ...] = ("archive", "subjects")
    whole: bool = False  # nothing opens, and all is stored though every request meets it
    refuses: bool = False  # one is enough to open
    hint: str = ""  # in the alarm


def one(kind: str, hit: Hit | None = None, **more: Any) -> Scenario:
    """A scenario of one fault, named after it."""
    return Scenario(name=kind, hits=(hit or Hit(kind=kind),), **more)


def everywhere(*, rights: str, stranger: str) -> tuple[Scenario, ...]:
    """What any store does at times. Hints of the alarms: `rights` when the service refuses,
    `stranger` when an answer is not the service's own."""
    return (
        one("drop_before"),
        one("drop_after"),
        one("busy"),
        one("timeout"),
        one("throttle"),
        one("twin", Hit(kind="twin", method="PUT"), opens=(), whole=True),
        one("rival", Hit(kind="rival", method="PUT", container=ARCHIVE), opens=()),
        one("bit_flip", Hit(kind="bit_flip", method="PUT")),
        # In doubt, and the question that would settle it fails as well, half of the time.
        Scenario(
            name="head_busy",
            hits=(
                Hit(kind="drop_after", method="PUT"),
                Hit(kind="busy", method="HEAD", part=2.5),
                Hit(kind="busy", method="GET"),
            ),
        ),
        one("forbidden", refuses=True, hint=rights),
        one("missing", Hit(kind="missing", method="PUT"), refuses=True, hint="check AUDIT_ARCHIVE"),
        one("proxy_403", refuses=True, hint=stranger),
        one("cut_body", Hit(kind="cut_body", method="GET"), opens=("archive",)),
        one(
            "slow_body",
            Hit(kind="slow_body", method="GET", hold_seconds=TOO_LONG),
            opens=("archive",),
        ),
        one("stall", Hit(kind="stall", method="PUT", hold_seconds=TOO_LONG)),
        # Stored, and found to be: a lost answer alone is settled at once.
        one("stall_after", Hit(kind="stall_after", method="PUT", hold_seconds=TOO_LONG), opens=()),
        one("late", Hit(kind="late", method="PUT", hold_seconds=TOO_LONG)),
    )
