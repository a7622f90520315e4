"""The one way to what is archived, for the API and the pages: look up, write down, then tell."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from audit_stream.errors import StateError
from audit_stream.evidence.access import ENTRY
from audit_stream.gateway.auth import Door
from audit_stream.gateway.caller import Caller
from audit_stream.gateway.journal import Journal
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.query import Query
from audit_stream.gateway.service import Service
from audit_stream.gateway.signing import AnswerSigner

log = logging.getLogger(__name__)
LOOK_UP_SECONDS, _BUNDLE_SECONDS = 30.0, 120.0
_Answers = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What answers are made with. Every method that tells something has it in the journal first."""

    service: Service
    signer: AnswerSigner
    door: Door
    journal: Journal
    now: Callable[[], str]

    async def look_up(self, query: Query, caller: Caller) -> dict[str, Any]:
        """The answer, unsigned; `Problem` as `Service.look_up`."""
        async with self._recorded(query, caller, "read", LOOK_UP_SECONDS) as seen:
            document = await self.service.look_up(query, caller)
            seen.extend(document.get("messages", [document]))
        return document

    async def disclosed(
        self, query: Query, caller: Caller
    ) -> tuple[dict[str, Any], Sequence[str]]:  # fmt: skip
        """The payload of an SD-JWT and its disclosures."""
        async with self._recorded(query, caller, "read", LOOK_UP_SECONDS) as seen:
            said, document, disclosures = await self.service.disclosed(query, caller)
            seen.append(said)
        return document, disclosures

    async def bundle(self, query: Query, caller: Caller) -> bytes:
        """An evidence bundle, the signed answer in it."""
        async with self._recorded(query, caller, "export", _BUNDLE_SECONDS) as seen:
            data, answers = await self.service.evidence(query, caller, self.signer)
            seen.extend(answers)
        return data

    async def view(self, page: str, caller: Caller) -> None:
        """Write down that a page was looked at which shows no single message."""
        await self._write_down(caller, {"kind": "view", "query": page, "status": 200}, [], [])

    async def acted(
        self, caller: Caller, kind: str, act: str, status: int, tenants: Iterable[str]
    ) -> None:
        """Write down what an officer did, and how it ended; whom it was about, nobody does."""
        said = {"kind": kind, "query": act, "status": status}
        await self._write_down(caller, said, [], [], tenants)

    @asynccontextmanager
    async def _recorded(
        self, query: Query, caller: Caller, kind: str, seconds: float
    ) -> AsyncIterator[_Answers]:
        """The block puts what it found into the list; how it ended is on disk behind it. By
        customer alone no message: a list of them would link a person's. Until then the keys are not
        let go of: what is opened with them is told before a newer epoch counts as loaded."""
        said = {"kind": kind, "query": query.kind}
        seen: _Answers = []
        with self.service.turns.working():
            try:
                async with in_time(seconds):
                    yield seen
            except Problem as problem:
                await self._write_down(caller, {**said, "status": problem.status}, [], [])
                raise
            records = [each["audit_record"] for each in seen]
            messages = [] if query.is_page else sorted(each["message_uuid"] for each in records)
            await self._write_down(caller, {**said, "status": 200}, messages, records)

    async def _write_down(
        self, caller: Caller, said: dict[str, Any], messages: list[str], records: _Answers,
        tenants: Iterable[str] = (),
    ) -> None:  # fmt: skip
        seen = {each["platform_tenant_id"] for each in records}
        entry = {
            **said, "caller": caller.id, "found": len(records), "messages": messages,
            "tenants": sorted(seen.union(tenants)),
            "time": self.now(), "v": ENTRY,
        }  # fmt: skip
        try:
            await self.journal.record(entry)
        except StateError as error:
            log.warning("%s", error)
            raise Problem(503, "the access could not be recorded, so it is not answered") from error


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """`Problem` 503 when the block takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Problem(503, "the archive did not answer in time", headers={"Retry-After": "5"}
                      ) from None  # fmt: skip
