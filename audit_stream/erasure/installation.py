"""What a keeper works on: one installation's stores, keyring and fleet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

from audit_stream.archive.fleet import newest_epoch_told
from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.barrier import Barrier
from audit_stream.erasure.counting import Counting
from audit_stream.erasure.notice import MOST_RECORDS
from audit_stream.erasure.request import Request
from audit_stream.errors import KeyringError
from audit_stream.evidence.register import Entry
from audit_stream.keys.epochs import bring_up, read_master
from audit_stream.keys.wrapping import LOCAL, CoverWrapper, Destruction
from audit_stream.ports import Alerts, Delivery, WormStore
from audit_stream.privacy.keyring import Keyring

T = TypeVar("T")
_TOGETHER = 16  # private objects written at once


class StepHook(Protocol):
    """Called around each step; does nothing in production. Tests end the process in it."""

    def __call__(self, step: str, when: str) -> None:
        """`step` of `batch.Step`, in lower case, `when` is ``before``, ``between`` or ``after``."""
        ...


def no_hook(step: str, when: str) -> None:
    """The production hook."""


#: Which holds stand against each request, by reference; those without are left out.
HoldsAgainst = Callable[[Sequence[Request]], Awaitable[Mapping[str, Sequence[str]]]]
#: What holds now, to be compared: asking against whom may read the whole archive.
Holding = Callable[[], Awaitable[frozenset[Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What a keeper works on."""

    keyring: Path
    views: Sequence[Path]  # keyring files of other roles' views, to be brought up to each epoch
    store: WormStore
    private: PrivateObjects
    counting: Counting
    barrier: Callable[[int], Barrier]  # for an epoch
    holds_against: HoldsAgainst
    holding: Holding
    destroy: Callable[[int], Destruction]  # what opens covers of up to an epoch; files are left
    #: How long topics may hold what was erased; None: for ever, as far as anybody can tell.
    longest_copy: Callable[[], Awaitable[timedelta | None]]
    publish: Callable[[Sequence[Entry]], Awaitable[None]]  # certificates, to `audit-redactions`
    alarms: Alerts
    now: Callable[[], str]
    #: Who can be told to erase, by name; each tries again by itself what may pass.
    receivers: Mapping[str, Delivery] = field(default_factory=dict)
    records_a_part: int = MOST_RECORDS  # of a notice: one post
    barrier_seconds: float = 120.0  # waited for the fleet in one run
    covers: CoverWrapper = LOCAL
    grace_seconds: float = 60.0  # for what a process that ended may still have on its way
    hook: StepHook = no_hook


async def newest_keyring(place: Installation) -> Keyring:
    """The whole keyring, if it is the newest: moving an older one on would undo what was erased.
    `KeyringError`."""
    ring, told = read_master(place.keyring), await newest_epoch_told(place.private)
    if ring.epoch < told:
        raise KeyringError(
            f"the keyring has the epoch {ring.epoch}, the archive is at {told}",
            hint="an older keyring was put in place: it can open who was erased since",
        )
    return ring


def bring_up_views(place: Installation) -> Sequence[Path]:
    """To the keyring's epoch; those that cannot be. Such a one is an alarm, and its processes hold
    the barrier up."""
    failed = list[Path]()
    for view in place.views:
        try:
            bring_up(place.keyring, view)
        except (KeyringError, OSError) as error:
            said = f"the view {view} could not be brought up: {error}"
            place.alarms.raise_alarm(f"keyring:view:{view}", said)
            failed.append(view)
        else:
            place.alarms.close_alarm(f"keyring:view:{view}", f"the view {view} is brought up")
    return failed


async def together(items: Sequence[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Do the same with each, several at once; the first failure is raised."""
    turn = asyncio.Semaphore(_TOGETHER)

    async def one(item: T) -> None:
        async with turn:
            await work(item)

    await asyncio.gather(*map(one, items))
