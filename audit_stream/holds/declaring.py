"""Carrying out what was filed: the register's entries, for whoever holds the keyring's lock.

The private object comes first, the entry behind it: a crash between leaves a hold that holds and is
declared by the next run. An entry is looked for before it is appended, so that none comes twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audit_stream.archive.register import RegisterWriter
from audit_stream.evidence.hold import Action
from audit_stream.evidence.signing import LineSigner
from audit_stream.holds.active import ActiveHolds, HoldsReader
from audit_stream.holds.filing import Holds
from audit_stream.holds.hold import Hold, State


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """One entry that was appended."""

    hold_id: str
    action: Action
    number: int


class Declaring:
    """Of one archive. Every call is for who holds `keys.lock.keyring_lock`, and idempotent."""

    def __init__(
        self, register: RegisterWriter, reader: HoldsReader, holds: Holds, signer: LineSigner
    ) -> None:
        """`reader` follows the register by itself: what `register` appends, it must see, too."""
        self._register, self._reader = register, reader
        self._holds, self._signer = holds, signer

    async def carry_out_filed(self, at: str) -> Sequence[CarriedOut]:
        """Append what was filed and approved, the oldest first; a crash's half is finished.

        An erasure calls this before it asks `active`, both under the lock.
        """
        await self._reader.entries()
        done: list[CarriedOut] = []
        for hold in await self._holds.all():
            if hold.state is State.FILED:
                done += await self._append(hold, Action.DECLARED, at)
                await self._holds.change(hold.hold_id, Hold.declared)
            elif hold.state is State.APPROVED:
                done += await self._append(hold, Action.RELEASED, at)
                await self._holds.change(hold.hold_id, lambda each: each.released(at))
        return done

    async def _append(self, hold: Hold, action: Action, at: str) -> list[CarriedOut]:
        if self._stands(hold, action):
            return []
        entry = await self._register.append(hold.entry(action, at).said(), self._signer)
        await self._reader.entries()
        return [CarriedOut(hold.hold_id, action, entry.number)]

    def _stands(self, hold: Hold, action: Action) -> bool:
        """Whether the register says it. A hold that was lost and is declared again has another
        commitment: said anew, it holds its customer and not everybody."""
        entry = self._reader.standing.get(hold.hold_id)
        if entry is None or action is Action.RELEASED:
            return entry is not None and entry.action is action
        return entry.action is Action.RELEASED or entry.scope == hold.scope

    async def active(self) -> ActiveHolds:
        """What is active now."""
        return await self._reader.now()
