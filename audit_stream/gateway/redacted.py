"""What an answer says of records whose fields were erased: which certificates it can be.

Which one it is stands nowhere, for with the request's reference that would tell whose records they
are. Only who names the customer, or a message that stands for nobody else, gets the very one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from audit_stream.archive.certificates import Certificates
from audit_stream.archive.opening import Closed
from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.counting import erased_name
from audit_stream.index.lookup import Message, Revision
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.subjects import EXTERNAL, MESSAGE, tags_of


@dataclass(frozen=True, slots=True)
class Redacted:
    """Looks it up in the register and the private objects; raises as these do."""

    certificates: Certificates
    private: PrivateObjects | None  # None: there are none here
    keyring: Keyring = field(repr=False)

    async def of_message(self, message: Message, customer: str | None) -> dict[str, Any] | None:
        """The answer's member `redaction`; None of a message nothing was erased of."""
        erased = [each for each in message.revisions if each.closed is Closed.ERASED]
        if not erased:
            return None
        tenant = message.tenant
        very = await self._certificate((tenant, MESSAGE, message.message_uuid))
        if very is None and customer is not None:
            very = await self._certificate((tenant, EXTERNAL, customer))
        return {
            "erased": True, "certificates": await self._range(erased), "certificate_id": very,
        }  # fmt: skip

    async def of_customer(
        self, tenants: Iterable[str], customer: str | None
    ) -> dict[str, Any] | None:  # fmt: skip
        """As `of_message`, for who asked for a customer: None if they were not erased."""
        if customer is None:
            return None
        for tenant in tenants:
            very = await self._certificate((tenant, EXTERNAL, customer))
            if very is not None:
                return {"erased": True, "certificates": None, "certificate_id": very}
        return None

    async def _certificate(self, subject: tuple[str, str, str]) -> str | None:
        """Id of the one by which this subject was erased last."""
        numbers = [
            number
            for tag in (tags_of(self.keyring, subject) if self.private else ())
            if (number := await self._number(tag)) is not None
        ]
        found = await self.certificates.at(max(numbers)) if numbers else None
        return None if found is None else found.redaction.certificate_id

    async def _number(self, tag: bytes) -> int | None:
        assert self.private is not None
        kept = await self.private.get(erased_name(self.keyring.index_key, tag))
        return None if kept is None else int(kept.value["certificate"])

    async def _range(self, erased: Iterable[Revision]) -> dict[str, Any] | None:
        """From the first to the last that it can be, of those that are in the register by now."""
        newest = self.certificates.newest
        ends = [each for revision in erased for each in await self._ends(revision)]
        if newest is None or not ends:
            return None
        first, last = min(ends), max(ends)
        found = newest if last == newest.number else await self.certificates.at(last)
        return {
            "first": first, "last": last,
            "newest_id": None if found is None else found.redaction.certificate_id,
        }  # fmt: skip

    async def _ends(self, revision: Revision) -> list[int]:
        """Sealed with keys: erased by an epoch above its segment's. Sealed without: before."""
        newest = self.certificates.newest
        after = await self.certificates.first_above(revision.header.key_epoch)
        if not revision.record.erased:
            return [] if after is None or newest is None else [after.number, newest.number]
        if newest is None:
            return []
        behind = newest.number + 1 if after is None else after.number
        last = await self.certificates.below(behind)
        return [] if last is None else [0, last.number]
