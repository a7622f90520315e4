"""The faults of the campaign: where each hits, and what the circuit breaker has to make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.blobs.faults import FaultKind

ARCHIVE, SUBJECTS = "archive-container", "subjects-container"
CONTAINERS = {"archive": ARCHIVE, "subjects": SUBJECTS}
#: Longer than a worker waits for an answer (`AzureAccess.read_seconds`).
_TOO_LONG = 22.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Requests that meet a fault: of one method or any, of one container or both."""

    kind: FaultKind
    method: str | None = None
    container: str = ""
    part: float = 1.0  # of the share that the campaign asks for
    hold_seconds: float | None = None

    def armed(self, share: float, seed: int, container: str = "") -> dict[str, Any]:
        """What the double is told."""
        return {
            "kind": self.kind, "method": self.method, "share": min(1.0, share * self.part),
            "path": self.container or container, "seed": seed, "hold_seconds": self.hold_seconds,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One fault, and the targets whose breaker it opens where every request meets it."""

    name: str
    hits: tuple[Hit, ...]
    opens: tuple[str, ...] = ("archive", "subjects")
    refuses: bool = False  # one is enough to open
    hint: str = ""  # in the alarm


def _one(kind: FaultKind, hit: Hit | None = None, **more: Any) -> Scenario:
    return Scenario(name=kind, hits=(hit or Hit(kind=kind),), **more)


_RIGHTS = "check the identity's role"
SCENARIOS = (
    _one("drop_before"),
    _one("drop_after"),
    _one("busy"),
    _one("timeout"),
    _one("throttle"),
    _one("twin", Hit(kind="twin", method="PUT"), opens=()),
    _one("rival", Hit(kind="rival", method="PUT", container=ARCHIVE), opens=()),
    _one("bit_flip", Hit(kind="bit_flip", method="PUT")),
    # In doubt, and the question that would settle it fails as well, half of the time.
    Scenario(
        name="head_busy",
        hits=(
            Hit(kind="drop_after", method="PUT"),
            Hit(kind="busy", method="HEAD", part=2.5),
            Hit(kind="busy", method="GET"),
        ),
    ),
    _one("forbidden", refuses=True, hint=_RIGHTS),
    _one("missing", Hit(kind="missing", method="PUT"), refuses=True, hint="check AUDIT_ARCHIVE"),
    _one("proxy_403", refuses=True, hint="a proxy or a firewall's SNI list refused"),
    _one("cut_body", Hit(kind="cut_body", method="GET"), opens=("archive",)),
    _one(
        "slow_body",
        Hit(kind="slow_body", method="GET", hold_seconds=_TOO_LONG),
        opens=("archive",),
    ),
    _one("stall", Hit(kind="stall", method="PUT", hold_seconds=_TOO_LONG)),
    # Stored, and found to be: a lost answer alone is settled at once.
    _one("stall_after", Hit(kind="stall_after", method="PUT", hold_seconds=_TOO_LONG), opens=()),
    _one("late", Hit(kind="late", method="PUT", hold_seconds=_TOO_LONG)),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
