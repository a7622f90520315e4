"""What privacy officers and counsel do through the gateway: each act is written down.

Nothing is carried out here: the gateway files, and whoever holds the whole keyring does the rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import ForkAlarm, FormatError, RequestError, UnknownVersion
from audit_stream.evidence.hold import HoldEntry
from audit_stream.gateway.around import INTERNAL
from audit_stream.gateway.caller import EVERY_TENANT, Caller
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.reads import Gateway, in_time
from audit_stream.holds.active import ActiveHolds, HoldsReader

log = logging.getLogger(__name__)
REDACT, HOLD = "audit:redact", "audit:hold"
_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Officers:
    """What they work with."""

    gateway: Gateway
    private: PrivateObjects
    holds: HoldsReader
    placeholders: Collection[str] = ()  # customer ids that stand for nobody
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def active_holds(self) -> ActiveHolds:
        """All holds that hold now. `Problem` 503 inside `acting` when that cannot be told."""
        async with self._reading:
            return await self.holds.now()

    async def standing_holds(self) -> Mapping[str, HoldEntry]:
        """By id, the newest entry of the register."""
        async with self._reading:
            await self.holds.entries()
            return dict(self.holds.standing)

    def tenants_of(self, caller: Caller) -> list[str]:
        """Every tenant that the caller sees and the archive has."""
        if EVERY_TENANT in caller.tenants:
            return self.gateway.service.index.tenants()
        return list(caller.tenants)

    @asynccontextmanager
    async def acting(self, caller: Caller, kind: str, act: str) -> AsyncIterator[set[str]]:
        """Something that a caller does, `kind` and `act` as the journal has them; the block puts
        the tenants into the set. How it ended is on disk before anything is told. Until then the
        keys are not let go of. `Problem`."""
        with self.gateway.service.turns.working():
            async with self._acting(caller, kind, act) as tenants:
                yield tenants

    @asynccontextmanager
    async def _acting(self, caller: Caller, kind: str, act: str) -> AsyncIterator[set[str]]:
        tenants: set[str] = set()
        try:
            async with in_time(_SECONDS), self.gateway.service.translated(), _understood():
                yield tenants
        except Exception as error:  # what nobody thought of may have been done, too
            status = error.status if isinstance(error, Problem) else INTERNAL.status
            await self.gateway.acted(caller, kind, act, status, tenants)
            raise
        await self.gateway.acted(caller, kind, act, 200, tenants)


@asynccontextmanager
async def _understood() -> AsyncIterator[None]:
    """What cannot be done, and what cannot be read, as the API's errors."""
    try:
        yield
    except RequestError as error:
        raise Problem(422, error.message) from error
    except UnknownVersion:
        raise
    except (FormatError, ForkAlarm) as error:
        log.warning("%s", error)
        raise Problem(503, "what is kept beside the archive cannot be read") from error
