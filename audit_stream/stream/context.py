"""What every lane of a worker shares: ports, keys, limits, and the hooks of the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.flatten.status_map import StatusMap
from audit_stream.ports import Alerts, SubjectStore, WormStore
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.keytree import Buffer
from audit_stream.seal.builder import Limits, Origin, Sealed
from audit_stream.telemetry.metrics import Metrics

#: The sink agent's steps in their order; tests end a worker before or after each.
STEPS = ("seal", "subject", "quarantine", "put", "read-back", "changelog", "table", "ack")


class StepHook(Protocol):
    """Called around each of `STEPS`; does nothing in production."""

    def __call__(self, step: str, when: str) -> None:
        """`step` of `STEPS`, `when` is ``before`` or ``after``."""
        ...


def no_hook(step: str, when: str) -> None:
    """The production hook."""


class Held(Protocol):
    """Which legal holds hold a sealed segment; blocking. `body` gives its record lines."""

    def __call__(self, sealed: Sealed, body: Callable[[], bytes]) -> Sequence[str]:
        """Their ids."""
        ...


def no_holds(sealed: Sealed, body: Callable[[], bytes]) -> Sequence[str]:
    """Nothing is held."""
    return ()


def _nobody(_: Sealed) -> None:
    """Nobody is told."""


async def _stay() -> None:
    """A dynamic member, or none: nothing is kept for it."""


async def _none_told() -> int:
    """Nobody was ever erased."""
    return 0


def _unheard() -> None:
    """Nobody watches the keyring."""


@dataclass(frozen=True, slots=True)
class Brake:
    """When a flood of quarantine stops a partition: share of the window, or a run in a row."""

    share: float
    run: int
    window: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Shared by all lanes; built once by `app`."""

    store: WormStore
    subjects: SubjectStore
    signer: LineSigner
    trusted: TrustedKeys
    keyring: Keyring = field(repr=False)
    cover: Buffer = field(repr=False)
    status_map: StatusMap
    origin: Origin
    limits: Limits
    brake: Brake
    memory_budget: int  # bytes
    regulatory_tags: Mapping[str, str]
    placeholders: tuple[str, ...]
    metrics: Metrics
    alerts: Alerts
    monotonic_ms: Callable[[], int]
    wall_ms: Callable[[], int]
    nonce: Callable[[int], bytes]  # fresh random bytes, for subject objects only
    die: Callable[[int, str], None]  # ends the process before any offset moves
    leave: Callable[[], Awaitable[None]] = _stay  # the group: its partitions are others' at once
    hook: StepHook = no_hook
    held: Held = no_holds
    stored: Callable[[Sealed], None] = _nobody  # told of each segment that stands
    newest_epoch: Callable[[], Awaitable[int]] = _none_told  # below which a keyring is refused
    outdated: Callable[[], None] = _unheard  # told that there is a newer one than this keyring's

    def without_keys(self) -> Context:
        """The same, unable to derive any person's key."""
        return replace(self, keyring=replace(self.keyring, years={}), cover=b"")
