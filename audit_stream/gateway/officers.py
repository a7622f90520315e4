"""What privacy officers and counsel do through the gateway: each act is written down.

Nothing is carried out here: the gateway files, and whoever holds the whole keyring does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import FormatError, RequestError, UnknownVersion
from audit_stream.gateway.caller import Caller
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.reads import Gateway, in_time

log = logging.getLogger(__name__)
REDACT, HOLD = "audit:redact", "audit:hold"
_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Officers:
    """What they work with."""

    gateway: Gateway
    private: PrivateObjects
    placeholders: Collection[str] = ()  # customer ids that stand for nobody

    @asynccontextmanager
    async def acting(self, caller: Caller, kind: str, act: str) -> AsyncIterator[set[str]]:
        """Something that a caller does, `kind` and `act` as the journal has them; the block puts
        the tenants into the set. How it ended is on disk before anything is told. `Problem`."""
        tenants: set[str] = set()
        try:
            async with in_time(_SECONDS), self.gateway.service.translated(), _understood():
                yield tenants
        except Problem as problem:
            await self.gateway.acted(caller, kind, act, problem.status, tenants)
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
    except FormatError as error:
        log.warning("%s", error)
        raise Problem(503, "what is kept beside the archive cannot be read") from error
