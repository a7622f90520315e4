"""What the API answers from: index, stores and archive log, kept up to date in the background."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from audit_stream import __version__
from audit_stream.bundle.build import attached, build_bundle
from audit_stream.bundle.facts import Custody
from audit_stream.bundle.messages import Collector
from audit_stream.errors import (
    AuditError,
    ForkAlarm,
    FormatError,
    StateError,
    StoreError,
    Tampered,
    UnknownVersion,
)
from audit_stream.evidence.record import PERSONAL_FIELDS
from audit_stream.evidence.tree import leaf_hash
from audit_stream.evidence.vouching import Vouched
from audit_stream.gateway.answer import RECORD, AsOf, answer, described, disclosable
from audit_stream.gateway.around import where
from audit_stream.gateway.auth import EVERY_TENANT, Caller
from audit_stream.gateway.covered import Coverage
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.query import Query
from audit_stream.gateway.signing import AnswerSigner
from audit_stream.gateway.watch import Watch
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.lookup import Lookup, Message, Page
from audit_stream.index.rows import log_rows
from audit_stream.index.sweep import sweep
from audit_stream.index.tail import Archive, Tail
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.ports import Alerts

log = logging.getLogger(__name__)
_SWEEP_SECONDS, _AGAIN_SECONDS = 3600.0, 60.0


@dataclass(slots=True, kw_only=True)
class Service:
    """One archive's answers, unsigned."""

    archive: Archive
    index: ArchiveIndex
    tail: Tail
    lookup: Lookup
    archive_log: ArchiveLog
    collector: Collector
    alarms: Alerts
    now: Callable[[], str]
    vouched: Callable[[], Awaitable[Vouched | None]]  # the newest that anyone outside vouches for
    head: Head | None = None
    anchored: Vouched | None = None
    told: Callable[[bool], None] = lambda _: None  # whether the index has everything that is stored
    broken: Sequence[str] = ()  # topic/generation/partition that are not indexed as logged
    caught_up: bool = False
    caught_up_at: float = field(default_factory=time.monotonic)  # or when it began
    watch: Watch = field(default_factory=Watch)
    _judged_size: int = -1
    _coverage: Coverage = field(default_factory=Coverage)

    async def refresh(self) -> None:
        """Index what is stored by now, and follow the log. What it covers must be there."""
        taken = await self.tail.catch_up()
        await self._follow_log()
        coverage = Coverage(() if self.head is None else self.head.digest.coverage)
        broken = coverage.compare(self.tail.places, self.index)
        if broken:  # or it was stored and logged meanwhile
            taken = await self.tail.catch_up()
            broken = coverage.compare(self.tail.places, self.index)
        self._coverage = coverage  # not before that is sure: answers are given all the time
        self.broken = broken
        for each in broken:
            self.alarms.raise_alarm(
                f"tampered:{each}", f"{each}: the archive log has other segments, or more of them"
            )
        self.caught_up = not taken.stopped and not broken
        if self.caught_up:
            self.caught_up_at = time.monotonic()
        self.told(self.caught_up)

    async def keep_fresh(self, seconds: float) -> None:
        """For ever. Every hour the persons' rows are held against the subject objects, beside it:
        that reads all there are, and what is stored meanwhile is to be found, too."""

        async def swept() -> None:
            await sweep(self.archive, self.index)

        await asyncio.gather(
            self._kept("refresh", "the index", self.refresh, seconds),
            self._kept("sweep", "the index of persons", swept, _SWEEP_SECONDS),
        )

    async def _kept(
        self, key: str, what: str, work: Callable[[], Awaitable[None]], seconds: float
    ) -> None:
        """What may pass is logged and soon tried again; a log that does not fit is an alarm."""
        while True:
            pause = seconds
            try:
                await work()
            except StoreError as error:
                log.warning("%s could not be brought up to date: %s", what, error.message)
                pause = min(seconds, _AGAIN_SECONDS)
            except AuditError as error:
                self.alarms.raise_alarm("fork:log", str(error))
            except Exception as error:  # what nobody thought of must not leave it stale unsaid
                said = f"{what} is not brought up to date: {type(error).__name__}"
                self.alarms.raise_alarm(f"index:{key}", f"{said} at {where(error)}")
            else:
                self.alarms.close_alarm(f"index:{key}", f"{what} is brought up to date again")
            await asyncio.sleep(pause)

    async def _follow_log(self) -> None:
        size = self.index.log_size()
        if self.head is None and size:
            head = await self.archive_log.head_at(size)
            if head is None:
                raise StateError(
                    f"the index knows an archive log of {size} leaves, which the archive has not",
                    hint="was the log cut off? audit-stream log check, then index rebuild --fresh",
                )
            if self.index.log_root() not in (None, head.root):
                raise ForkAlarm(
                    f"the archive log of {size} leaves has another root than when it was indexed",
                    hint="audit-stream log check with a kept checkpoint; docs/runbooks/fork.md",
                )
            self.head = head
            self.watch.saw(head.digest)
        while (batch := await self.archive_log.batch(size)) is not None:
            self.head = self.archive_log.head_behind(self.head, batch)
            self.index.write(log_rows(batch, self.head.root))
            size = self.head.size
            self.watch.saw(self.head.digest)
        if size != self._judged_size:
            self.anchored = await self.vouched()
        self._judged_size = size

    @property
    def behind_seconds(self) -> float:
        """Since when it does not know what is stored."""
        return time.monotonic() - self.caught_up_at

    @property
    def as_of(self) -> AsOf | None:
        """The log as it is known here; None before its first batch."""
        if self.head is None:
            return None
        head = self.head
        return AsOf(
            size=head.size, root=head.root.hex(), time=head.digest.time,
            anchored_size=None if self.anchored is None else self.anchored.checkpoint.size,
        )  # fmt: skip

    def archived_through(self) -> dict[str, list[dict[str, int]]]:
        """By topic: the first offset of each partition that is not indexed yet."""
        found: dict[str, list[dict[str, int]]] = {}
        for each in sorted(self.index.places().values(), key=str):
            found.setdefault(each.topic, []).append({
                "generation": each.generation, "partition": each.partition, "next": each.link.next,
            })  # fmt: skip
        return found

    async def look_up(self, query: Query, caller: Caller) -> dict[str, Any]:
        """The answer to a query, for this caller. `Problem` 404 and 409 among others."""
        async with self.translated():
            if query.is_page:
                return await self._page(query, caller)
            return await self._one(query, caller)

    async def disclosed(
        self, query: Query, caller: Caller
    ) -> tuple[dict[str, Any], dict[str, Any], Sequence[str]]:
        """As `look_up` of one message: the answer, the same as an SD-JWT's payload, and the
        disclosures of what could be opened; of the address, which no other answer shows, only
        to who may have bundles."""
        async with self.translated():
            if query.is_page:
                raise Problem(400, "an SD-JWT is of one message: name it")
            message = await self._message(query, caller)
            said, effective = self._answer(message), message.effective
        may = PERSONAL_FIELDS if "audit:export" in caller.scopes else RECORD
        opened = zip(PERSONAL_FIELDS, effective.personal.disclosures, strict=False)  # or none is
        shown = [each for name, each in opened if name in may]
        return said, disclosable(said, effective), shown

    @asynccontextmanager
    async def translated(self) -> AsyncIterator[None]:
        """Our errors as the API's."""
        try:
            yield
        except Tampered as error:
            self.alarms.raise_alarm(f"tampered:{error.message.partition(': ')[0]}", str(error))
            failed = {"failed": error.message, **self._state()}
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
            message = await self._message(query, caller)
            found = self._answer(message)
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

    async def _one(self, query: Query, caller: Caller) -> dict[str, Any]:
        return self._answer(await self._message(query, caller))

    async def _message(self, query: Query, caller: Caller) -> Message:
        found = [
            each
            for tenant in _asked(query, caller)
            for each in await self._messages(query, tenant)
            if query.customer is None or each.is_of(query.customer)
        ]
        if query.message is not None and query.carrier is not None:
            found = [each for each in found if each.message_uuid == query.message]
        if not found:
            raise self.unknown()
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
        tenant = query.tenant or _only_tenant(caller)
        if not caller.sees(tenant):
            raise self.unknown()
        try:
            page: Page = await self.lookup.by_customer(
                tenant, query.customer, cursor=query.cursor, limit=query.limit
            )
        except UnknownVersion:
            raise
        except FormatError as error:
            raise Problem(400, error.message) from error
        if not page.messages and query.cursor is None:
            raise self.unknown()
        found = [described(message, self._logged_at(message)) for message in page.messages]
        return {
            "status": "verified", "messages": found, "cursor": page.cursor,
            "verification_timestamp": self.now(), "archived_through": self.archived_through(),
            **self._state(),
        }  # fmt: skip

    def _answer(self, message: Message) -> dict[str, Any]:
        return answer(
            message, now=self.now(), as_of=self.as_of, leaf_index=self._logged_at(message),
            through=self.archived_through(),
        )  # fmt: skip

    def _logged_at(self, message: Message) -> dict[str, int | None]:
        """Where its segments are leaves, once the log's coverage was held against them."""
        self._coverage.check(message)
        return {
            each.segment: self.index.logged_at(leaf_hash(each.header_line))
            for each in message.revisions
        }

    def unknown(self) -> Problem:
        """The one 404: nothing tells an unknown id from one that is not the caller's."""
        said = "no such message is archived; newer events may not be archived yet"
        if self.broken or self.tail.stopped:
            said = (
                "no such message was found, but segments are missing or do not fit: it may be there"
            )
        return Problem(404, said, {
            "archived_through": self.archived_through(), **self._state(),
        })  # fmt: skip

    def _state(self) -> dict[str, Any]:
        as_of = self.as_of
        return {"as_of": None if as_of is None else as_of.document()}


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
