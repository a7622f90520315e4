"""Purges in the private objects: filing, approving, withdrawing."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Any

from audit_stream.archive.private import PrivateObjects
from audit_stream.errors import RequestError
from audit_stream.evidence.disposal import Disposal, check_basis
from audit_stream.evidence.redaction import check_actor
from audit_stream.retention.plan import Plan
from audit_stream.retention.purge import (
    PURGES,
    Purge,
    State,
    certified_purge,
    decode_purge,
    purge_name,
)


def new_purge(plan: Plan, tag: str, days: int, by: str, basis: str, at: str) -> Purge:
    """What a dry run found, to be filed. `RequestError` when nothing has expired, `FormatError`."""
    if not plan.segments:
        raise RequestError(f"nothing of the class {tag} is to be disposed of")
    return Purge(
        id=f"dc-{secrets.token_hex(8)}", basis=check_basis(basis), bytes=plan.bytes, days=days,
        records=plan.records, regulatory_tag=tag, requested_at=at, requested_by=check_actor(by),
        segments=plan.segments, stretches=plan.stretches(), years=plan.years,
    )  # fmt: skip


class Purges:
    """All purges of one archive."""

    def __init__(self, private: PrivateObjects) -> None:
        self._private = private

    async def file(self, purge: Purge) -> None:
        """Store it; its id is random, so it is new."""
        if not await self._private.create(purge.name, purge.encode()):
            raise RequestError(f"there is a purge {purge.id}", hint="file it again")

    async def all(self) -> list[Purge]:
        """Every purge, the oldest first."""
        found = [decode_purge(each.value, each.name) for each in await self._private.all(PURGES)]
        return sorted(found, key=lambda each: (each.requested_at, each.id))

    async def approve(self, purge_id: str, by: str, at: str) -> Purge:
        """By a second person; `RequestError`."""
        return await self.change(purge_id, lambda purge: purge.approved(by, at))

    async def withdraw(self, purge_id: str) -> Purge:
        """`RequestError` once it is at work."""
        return await self.change(purge_id, Purge.withdrawn)

    async def change(self, purge_id: str, change: Callable[[Purge], Purge]) -> Purge:
        """Compare and swap; `RequestError` when there is no such purge."""
        name = purge_name(purge_id)

        def changed(value: dict[str, Any] | None) -> dict[str, Any]:
            if value is None:
                raise RequestError(f"there is no purge {purge_id}",
                                   hint="audit-stream retention status shows them")  # fmt: skip
            return change(decode_purge(value, name)).encode()

        return decode_purge(await self._private.update(name, changed), name)

    async def to_carry_out(self) -> list[Purge]:
        """Approved, and those at work or certified, of which something may be owed."""
        wanted = (State.APPROVED, State.AT_WORK, State.CERTIFIED)
        return [each for each in await self.all() if each.state in wanted]

    async def due(self, owed: Iterable[Disposal]) -> list[Purge]:
        """To be carried out. `owed`: certificates that say that something is gone and is not; their
        word counts, whatever became of their purge's private object."""
        found = await self.to_carry_out()
        known = {each.id for each in found}
        return found + [
            await self._put_back(each) for each in owed if each.disposal_id not in known
        ]

    async def _put_back(self, disposal: Disposal) -> Purge:
        purge = certified_purge(disposal)
        await self._private.update(purge.name, lambda _: purge.encode())
        return purge
