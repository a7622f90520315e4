"""Requests to erase through the gateway: looked up, filed, approved by a second caller, followed.

Nobody's identity is kept, logged or written down: a request has tags, and who asked for it.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from audit_stream.archive.certificates import Certificate
from audit_stream.archive.private import Kept
from audit_stream.erasure.counting import opening_name
from audit_stream.erasure.filing import new_request, spellings
from audit_stream.erasure.request import Request, State
from audit_stream.erasure.requests import Requests
from audit_stream.errors import FormatError, RequestError
from audit_stream.evidence.redaction import check_actor, check_reference
from audit_stream.gateway.asked import Asked
from audit_stream.gateway.caller import EVERY_TENANT, Caller
from audit_stream.gateway.counting import TYPED, Looked, Spelt, first_facts, look
from audit_stream.gateway.officers import Officers
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.requested import RequestList
from audit_stream.holds.active import RecordFact
from audit_stream.privacy.subject_object import NO_TAG
from audit_stream.privacy.subjects import ADDRESS, EXTERNAL, tags_of

log = logging.getLogger(__name__)
KIND = "redact"  # in the journal
_TYPED = "typed"
_MOST_FACTS = 2_000
_SUBJECTS = {"customer": EXTERNAL, "address": ADDRESS}


@dataclass(frozen=True, slots=True)
class Redactions:
    """Of one archive. Every method raises `Problem` and has what was done in the journal."""

    officers: Officers
    _list: RequestList = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_list", RequestList(self.officers.private))

    @property
    def _requests(self) -> Requests:
        return Requests(self.officers.private)

    async def look(self, asked: Asked, caller: Caller) -> Looked:
        """The dry run: nothing is filed."""
        async with self.officers.acting(caller, KIND, "look") as tenants:
            looked = await self._look(asked, caller)
            tenants.update(looked.found.tenants)
        return looked

    async def file(self, asked: Asked, caller: Caller) -> tuple[Request, Looked, bool]:
        """File it, or find what a repetition of it has become: the request, what there is of them
        now, and whether it is new."""
        async with self.officers.acting(caller, KIND, "file") as tenants:
            epoch = self.officers.gateway.service.archive.keyring.epoch
            looked = await self._look_or_recall(asked, caller)
            tenants.update(looked.found.tenants)
            request = new_request(
                ref=asked.ref, kind=asked.kind, basis=asked.basis, tags=looked.tags,
                found=looked.found, by=actor(caller), at=self.officers.gateway.now(),
            )  # fmt: skip
            filed = await self._requests.file(request, epoch)
            if not _sees(caller, filed):
                raise RequestError(f"the reference {asked.ref} is another request's")
        return filed, looked, filed is request

    async def _look_or_recall(self, asked: Asked, caller: Caller) -> Looked:
        """Of a request that is over, nobody knows any more whom it was about."""
        there = await self._requests.get(asked.ref)
        if there is None or there.tags:
            return await self._look(asked, caller)
        return Looked(found=there.found, spellings=(), tags=())

    async def page(
        self, caller: Caller, cursor: str | None, limit: int
    ) -> tuple[Sequence[Request], str | None]:
        """Some of the requests that the caller may see, the newest first, and where the next
        begin."""
        async with self.officers.acting(caller, KIND, "list"):
            return await self._list.page(lambda each: _sees(caller, each), cursor, limit)

    async def get(self, ref: str, caller: Caller) -> tuple[Request, Certificate | None]:
        """One, and its certificate."""
        async with self.officers.acting(caller, KIND, "show") as tenants:
            request = await self._seen(ref, caller)
            tenants.update(request.found.tenants)
            certificates = self.officers.gateway.service.certificates
            number = request.certificate
            return request, None if number is None else await certificates.at(number)

    async def approve(self, ref: str, caller: Caller) -> Request:
        """By a second caller."""
        async with self.officers.acting(caller, KIND, "approve") as tenants:
            tenants.update((await self._seen(ref, caller)).found.tenants)
            return await self._requests.approve(ref, actor(caller), self.officers.gateway.now())

    async def withdraw(self, ref: str, caller: Caller) -> Request:
        """As long as it is not at work."""
        async with self.officers.acting(caller, KIND, "withdraw") as tenants:
            tenants.update((await self._seen(ref, caller)).found.tenants)
            return await self._requests.withdraw(ref)

    async def opening(self, ref: str, caller: Caller) -> Kept:
        """What opens the certificate's commitment, for who filed the request alone. `given` is for
        when it has left."""
        async with self.officers.acting(caller, KIND, "opening") as tenants:
            request = await self._seen(ref, caller)
            tenants.update(request.found.tenants)
            if not hmac.compare_digest(request.requested_by.encode(), caller.id.encode()):
                raise Problem(403, "the opening is for who filed the request")
            done = request.state is State.DONE
            kept = await self.officers.private.get(opening_name(ref)) if done else None
            if kept is None:
                raise Problem(404, "there is no opening: it is not carried out yet, or its opening "
                                   "was given out, which is done once")  # fmt: skip
            return kept

    async def given(self, kept: Kept) -> None:
        """An opening left: it is given out once."""
        if not await self.officers.private.remove(kept):
            log.warning("an opening was taken twice at once: both are in the access journal")

    async def _seen(self, ref: str, caller: Caller) -> Request:
        try:
            check_reference(ref)
        except FormatError:
            raise _unknown() from None
        found = await self._requests.get(ref)
        if found is None or not _sees(caller, found):
            raise _unknown()
        return found

    async def _look(self, asked: Asked, caller: Caller) -> Looked:
        service = self.officers.gateway.service
        if asked.tenant is not None and not caller.sees(asked.tenant):
            raise Problem(403, "this token is not for that tenant")
        if asked.kind == "message":
            spelt = await self._of_message(asked, caller)
        else:
            tenants = self.officers.tenants_of(caller) if asked.tenant is None else [asked.tenant]
            spelt = self._spelt(asked, tenants)
        looked = await look(service.lookup, service.index, spelt)
        return await self._with_holds(looked)

    async def _with_holds(self, looked: Looked) -> Looked:
        """Which stand against it. Of very many records only the first are held against holds by
        message, workflow or range: whoever carries it out looks at all."""
        active, service = await self.officers.active_holds(), self.officers.gateway.service
        facts: list[RecordFact] = []
        if active.needs_facts:
            facts = await first_facts(service.lookup, service.index, looked.tags, _MOST_FACTS)
        complete = not active.needs_facts or looked.found.records <= _MOST_FACTS
        holds = tuple(active.against(looked.tags, facts))
        return replace(looked, holds=holds, holds_complete=complete)

    def _spelt(self, asked: Asked, tenants: Sequence[str]) -> list[Spelt]:
        """The typed spelling, those it may also have, and those that were given in full."""
        keyring = self.officers.gateway.service.archive.keyring
        by_tenant = {
            tenant: spellings(keyring, asked.kind, asked.who, [tenant], self.officers.placeholders)
            for tenant in tenants
        }
        if not by_tenant:
            raise RequestError("the archive has no tenant")
        texts = [each.text for each in next(iter(by_tenant.values()))]
        found = [
            Spelt(
                number=number, reason=each.reason,
                tags={tenant: of[number].tags for tenant, of in by_tenant.items()},
                chosen=number == TYPED or number in asked.numbers or each.text in asked.typed,
            )
            for number, each in enumerate(next(iter(by_tenant.values())))
        ]  # fmt: skip
        kind = _SUBJECTS[asked.kind]
        for text in dict.fromkeys(each for each in asked.typed if each not in texts):
            tags = {tenant: tags_of(keyring, (tenant, kind, text)) for tenant in tenants}
            found.append(Spelt(number=len(found), reason=_TYPED, tags=tags, chosen=True))
        return found

    async def _of_message(self, asked: Asked, caller: Caller) -> list[Spelt]:
        """Whoever a message was for: all their records."""
        lookup = self.officers.gateway.service.lookup
        every = EVERY_TENANT in caller.tenants
        tenants = [asked.tenant] if asked.tenant or every else list(caller.tenants)
        tags: dict[str, list[bytes]] = {}
        messages = [
            each for tenant in tenants for each in await lookup.by_message(tenant, asked.who)
        ]
        if not messages:
            raise RequestError("the archive has no such message")
        for message in messages:
            for each in message.revisions:
                if each.tag is not None and each.tag != NO_TAG:
                    tags.setdefault(message.tenant, []).append(each.tag)
        if not tags:
            raise RequestError("nothing links this message to a person any more")
        return [Spelt(number=TYPED, reason="as typed", tags=tags, chosen=True)]


def actor(caller: Caller) -> str:
    """Who acts, as certificates have it. `Problem` 403 for an id that may not stand there."""
    try:
        return check_actor(caller.id)
    except FormatError:
        raise Problem(403, "this token's subject is too long to stand in a certificate") from None


def _sees(caller: Caller, request: Request) -> bool:
    """Whose tenants it is about, and who filed it."""
    theirs = request.found.tenants
    if EVERY_TENANT in caller.tenants or request.requested_by == caller.id:
        return True
    return bool(theirs) and all(caller.sees(tenant) for tenant in theirs)


def _unknown() -> Problem:
    return Problem(404, "there is no such request, or it is not for this token's tenants")
