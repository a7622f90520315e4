"""Answers about one archive, for a caller: found, proven, opened; its errors as the API's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from audit_stream import __version__
from audit_stream.bundle.build import attached, build_bundle
from audit_stream.bundle.facts import Custody
from audit_stream.bundle.messages import Collector
from audit_stream.errors import (
    FormatError,
    StateError,
    StoreError,
    Tampered,
    UnknownVersion,
)
from audit_stream.evidence.disposal import Disposal
from audit_stream.evidence.record import PERSONAL_FIELDS
from audit_stream.evidence.tree import leaf_hash
from audit_stream.gateway.answer import RECORD, Known, answer, described, disclosable
from audit_stream.gateway.caller import EVERY_TENANT, Caller
from audit_stream.gateway.followed import Followed
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.query import Query
from audit_stream.gateway.signing import AnswerSigner
from audit_stream.gateway.turns import Turns
from audit_stream.index.lookup import Lookup, Message, Page
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.subjects import CoverOf

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Service(Followed):
    """One archive's answers, unsigned."""

    lookup: Lookup
    collector: Collector
    now: Callable[[], str]
    turns: Turns = field(default_factory=Turns)
    outdated: bool = False  # its keys may open who was erased since: it answers nothing

    async def adopt(self, keyring: Keyring, cover_of: CoverOf) -> None:
        """Answer with these keys; return when nobody is at work with the ones before any more."""
        before, self.lookup = self.lookup, self.lookup.with_keys(keyring, cover_of)
        self.use_keys(keyring)
        await self.turns.over()
        before.wipe()

    async def look_up(self, query: Query, caller: Caller) -> dict[str, Any]:
        """The answer to a query, for this caller. `Problem` 404 and 409 among others."""
        async with self.translated():
            if query.is_page:
                return await self._page(query, caller)
            return (await self._one(query, caller))[1]

    async def disclosed(
        self, query: Query, caller: Caller
    ) -> tuple[dict[str, Any], dict[str, Any], Sequence[str]]:
        """As `look_up` of one message: the answer, the same as an SD-JWT's payload, and the
        disclosures of what could be opened; of the address, which no other answer shows, only
        to who may have bundles."""
        async with self.translated():
            if query.is_page:
                raise Problem(400, "an SD-JWT is of one message: name it")
            message, said = await self._one(query, caller)
            effective = message.effective
        may = PERSONAL_FIELDS if "audit:export" in caller.scopes else RECORD
        opened = zip(PERSONAL_FIELDS, effective.personal.disclosures, strict=False)  # or none is
        shown = [each for name, each in opened if name in may]
        return said, disclosable(said, effective), shown

    @asynccontextmanager
    async def translated(self) -> AsyncIterator[None]:
        """Our errors as the API's. `Problem` 503 while a newer keyring is awaited."""
        if self.outdated:
            raise Problem(503, "somebody was erased, and this gateway has not the newest keys yet",
                          headers={"Retry-After": "5"})  # fmt: skip
        try:
            yield
        except Tampered as error:
            self.alarms.raise_alarm(f"tampered:{error.message.partition(': ')[0]}", str(error))
            failed = {"failed": error.message, "as_of": self.known().state()["as_of"]}
            raise Problem(409, "what is stored is not what was archived", failed) from error
        except UnknownVersion as error:
            log.warning("%s", error)
            raise Problem(503, "a newer release wrote what this one would have to judge") from error
        except StoreError as error:
            raise Problem(503, f"the archive cannot be read: {error.message}") from error
        except StateError as error:
            log.warning("%s", error)
            raise Problem(
                503, "the index does not fit the archive and must be made anew"
            ) from error

    async def evidence(
        self, query: Query, caller: Caller, signer: AnswerSigner
    ) -> tuple[bytes, list[dict[str, Any]]]:
        """A bundle of what a query finds, its signed answer included, and the answers."""
        async with self.translated():
            if query.is_page:
                raise Problem(400, "a bundle is of one message: name it")
            message, found = await self._one(query, caller)
            signed = orjson.loads(signer.signed(found))
            keys = orjson.dumps(signer.key_set)  # after it: with its key, also where that is new
            custody = Custody(
                exported_by=caller.id, exported_at=self.now(), request="by the retrieval API",
                software=f"audit-stream {__version__}",
            )  # fmt: skip
            collector = replace(self.collector, place_of=self.index.logged_at)
            try:
                facts = await collector.collect(
                    [message], custody, answer=attached(signed), answer_keys=keys
                )
            except FormatError as error:
                raise Problem(503, f"{error.message}; {error.hint}") from error
            return await asyncio.to_thread(build_bundle, facts), [found]

    async def _one(self, query: Query, caller: Caller) -> tuple[Message, dict[str, Any]]:
        known = self.known()
        message = await self._message(query, caller, known)
        return message, answer(
            message, now=self.now(), known=known, leaf_index=self._logged_at(message, known),
            redaction=await self.redacted.of_message(message, query.customer),
        )  # fmt: skip

    async def _message(self, query: Query, caller: Caller, known: Known) -> Message:
        asked = _asked(query, caller)
        there = [each for tenant in asked for each in await self._messages(query, tenant)]
        if query.message is not None and query.carrier is not None:
            there = [each for each in there if each.message_uuid == query.message]
        found = [each for each in there if query.customer is None or each.is_of(query.customer)]
        if not found:
            named = [each for each in asked if each is not None]
            tenants = dict.fromkeys(named or [each.tenant for each in there])
            redaction = await self.redacted.of_customer(tenants, query.customer)
            raise self._unknown(known, redaction)
        if len(found) > 1:
            raise Problem(
                400, "more than one message has this id: name platform_tenant_id or message_uuid"
            )
        return found[0]

    async def _messages(self, query: Query, tenant: str | None) -> list[Message]:
        if query.message is not None and query.carrier is None:
            return await self.lookup.by_message(tenant, query.message, query.customer)
        assert query.carrier is not None
        return await self.lookup.by_carrier(tenant, query.carrier, query.customer)

    async def _page(self, query: Query, caller: Caller) -> dict[str, Any]:
        assert query.customer is not None
        tenant, known = query.tenant or _only_tenant(caller), self.known()
        if not caller.sees(tenant):
            raise self._unknown(known)
        try:
            page: Page = await self.lookup.by_customer(
                tenant, query.customer, cursor=query.cursor, limit=query.limit
            )
        except UnknownVersion:
            raise
        except FormatError as error:
            raise Problem(400, error.message) from error
        redaction = await self.redacted.of_customer([tenant], query.customer)
        if not page.messages and query.cursor is None:
            raise self._unknown(known, redaction)
        found = [await self._described(message, known) for message in page.messages]
        return {
            "status": "verified", "messages": found, "cursor": page.cursor,
            "redaction": redaction, "verification_timestamp": self.now(), **known.state(),
        }  # fmt: skip

    async def _described(self, message: Message, known: Known) -> dict[str, Any]:
        """On a page of a customer's: whoever else was erased of it is somebody else."""
        redaction = await self.redacted.of_message(message, None)
        return described(message, self._logged_at(message, known), redaction)

    def _logged_at(self, message: Message, known: Known) -> dict[str, int | None]:
        """Where its segments are leaves, once the log's coverage was held against them."""
        self._coverage.check(message)
        return {
            each.segment: known.logged(self.index.logged_at(leaf_hash(each.header_line)))
            for each in message.revisions
        }

    def _unknown(self, known: Known, redaction: Mapping[str, Any] | None = None) -> Problem:
        """The one 404: nothing tells an unknown id from one that is not the caller's. `redaction`:
        of the customer who was asked for."""
        said = "no such message is archived; newer events may not be archived yet"
        if self.broken or self.tail.stopped:
            said = (
                "no such message was found, but segments are missing or do not fit: it may be there"
            )
        more = known.state()
        if redaction is not None:
            more["redaction"] = redaction
        if self.disposed:
            said += "; of the periods in disposed, records were removed after their retention"
            more["disposed"] = [_told(each) for each in self.disposed]
        return Problem(404, said, more)


def _told(disposal: Disposal) -> dict[str, Any]:
    """A certificate, as far as it concerns who finds nothing."""
    return {
        "disposal_id": disposal.disposal_id, "executed_at": disposal.executed_at,
        "first": disposal.first, "last": disposal.last, "regulatory_tag": disposal.regulatory_tag,
    }  # fmt: skip


def _asked(query: Query, caller: Caller) -> list[str | None]:
    """The tenants whose records are looked at: no other's, whatever state they are in. None is
    every tenant."""
    if query.tenant is not None:
        return [query.tenant] if caller.sees(query.tenant) else []
    return [None] if EVERY_TENANT in caller.tenants else list(caller.tenants)


def _only_tenant(caller: Caller) -> str:
    if len(caller.tenants) != 1 or caller.tenants[0] == EVERY_TENANT:
        raise Problem(400, "by customer alone, platform_tenant_id must be named")
    return caller.tenants[0]
