"""Carrying a purge out. Each step may be cut off anywhere; the next run goes on.

1  the archive is surveyed again, and of what the dry run found nothing but that may go: each
   segment is read, is the one that was logged, holds no newer record and none of another class
2  its header and signature are put beside it, so that chain, proofs and log go on
3  the holds are read once more, the purge can be withdrawn no longer, and the certificate is
   appended to the register of disposals: from here on it is disposed of
4  the segments, and their subject objects, are removed
5  the keys of the years that nothing needs any more are destroyed

Nothing is removed that no certificate covers, and nothing that a hold touches. Whoever runs it
holds the lock of the keyring's folder, as whoever declares a hold does: a hold comes before the
certificate, and blocks, or behind it, and finds the segments disposed of. One that is only filed
needs no lock: it is seen by the next look, right before the certificate and while segments go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

from audit_stream.archive.register import RegisterReader, RegisterWriter
from audit_stream.errors import ForkAlarm, StoreError
from audit_stream.evidence import layout
from audit_stream.evidence.disposal import DAY_MS, Disposal, Stretch, disposal_of, kept_header
from audit_stream.evidence.encoding import milliseconds, time_text
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.record import parse_record
from audit_stream.evidence.register import Entry, Register
from audit_stream.evidence.segment import Segment, decode_plain, inflate
from audit_stream.evidence.signing import LineSigner
from audit_stream.notary.log import Head
from audit_stream.ports import Disposer, PutResult, SubjectStore
from audit_stream.retention.owed import folder_of, standing_in, subjects_in
from audit_stream.retention.plan import (
    HELD,
    NEWER_RECORD,
    OTHER_CLASS,
    HeldBy,
    Logged,
    Plan,
)
from audit_stream.retention.purge import Purge, State
from audit_stream.retention.purges import Purges
from audit_stream.retention.survey import Archived, Survey

_BETWEEN_LOOKS = 50  # segments removed between two looks at the holds
#: Destroys the keys of years, for good, once nothing needs them; those that it could.
DestroyYears = Callable[[Sequence[int]], Awaitable[Sequence[int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """How a run left a purge."""

    purge: Purge
    plan: Plan | None = None  # as it was surveyed again, where this run certified it
    removed: int = 0
    owed: int = 0  # segments the store or a hold keeps still
    years: Sequence[int] = ()  # whose keys this run destroyed


class Purging:
    """Carries purges of one archive out. `now` gives Unix ms."""

    def __init__(
        self, archived: Archived, disposer: Disposer, subjects: SubjectStore | None,
        purges: Purges, signer: LineSigner, destroy_years: DestroyYears,
    ) -> None:  # fmt: skip
        self._archived, self._disposer, self._subjects = archived, disposer, subjects
        self._purges, self._signer, self._destroy_years = purges, signer, destroy_years

    async def run(self, purge: Purge, head: Head, now_ms: int) -> Carried:
        """Go on with it to its end, as far as that is possible now."""
        plan, disposal = None, await self._certificate(purge.id)
        if disposal is None:
            plan = await self._prepare(purge, head, now_ms)
            if not plan.expired:
                ending = Purge.waiting if plan.uncertified else _done  # another has certified it
                return Carried(purge=await self._purges.change(purge.id, ending), plan=plan)
            changed = await self._purges.change(purge.id, Purge.at_work)
            if changed.state is not State.AT_WORK:
                return Carried(purge=changed, plan=plan)
            await self._certify(purge, plan, now_ms)
            disposal = await self._certificate(purge.id)
        assert disposal is not None  # it was appended just now
        number, days = disposal[0].number, disposal[1].retention_days
        purge = await self._purges.change(purge.id, lambda each: each.certified(number, days))
        removed, owed = await self._remove(disposal[1])
        years: Sequence[int] = ()
        if not owed:
            years = await self._forget_years(purge, disposal[1], head, now_ms)
            if set(years) >= self._years_of(disposal[1]):
                purge = await self._purges.change(purge.id, _done)
        return Carried(purge=purge, plan=plan, removed=removed, owed=owed, years=years)

    def _years_of(self, disposal: Disposal) -> set[int]:
        """Those whose keys were still there when the run began."""
        return set(disposal.years) & set(self._archived.years)

    async def _certificate(self, purge_id: str) -> tuple[Entry, Disposal] | None:
        for entry in await self._register(RegisterReader).new_entries():
            disposal = disposal_of(entry)
            if disposal.disposal_id == purge_id:
                return entry, disposal
        return None

    def _register(self, kind: type[RegisterReader]) -> RegisterReader:
        each = self._archived
        return kind(each.store, each.keys, each.log.key.name, Register.DISPOSALS)

    # Steps 1 and 2

    async def _prepare(self, purge: Purge, head: Head, now_ms: int) -> Plan:
        survey = Survey(
            self._archived, purge.regulatory_tag, purge.days, now_ms, only=purge.stretches
        )
        plan = await survey.run(head)
        before_ms, sound = now_ms - purge.days * DAY_MS, []
        for logged in plan.expired:
            why = await self._keep_header(logged, before_ms, purge.regulatory_tag)
            if why is None:
                sound.append(logged)
            else:
                plan.block(why)
        if len(sound) < len(plan.expired):  # what stays needs its year
            plan.years = ()
        plan.expired = sound
        await self._ask_holds(plan)
        return plan

    async def _ask_holds(self, plan: Plan) -> None:
        """Once more, as the headers took their time and holds are filed without the lock."""
        held, free = await self._archived.holds(), []
        for logged in plan.expired:
            if holds := await held(logged.name, logged.header.next):
                plan.block(HELD, holds)
                plan.years = ()
            else:
                free.append(logged)
        plan.expired = free

    async def _keep_header(self, logged: Logged, before_ms: int, tag: str) -> str | None:
        """Put what is kept of the segment; why it must stay, if it must."""
        name = str(logged.name)
        data = await self._archived.store.get(name)
        if data is None:
            raise StoreError(f"{name} is listed and cannot be read")
        plain = inflate(data, name)
        segment = decode_plain(plain, name)
        if segment.leaf != logged.leaf or not segment.is_signed(self._archived.keys):
            raise ForkAlarm(f"{name} is not what the archive log has",
                            hint="read docs/runbooks/fork.md")  # fmt: skip
        why = _why_stays(segment, name, before_ms, tag)
        if why is None:
            await self._put(layout.disposed_name(logged.name), kept_header(plain))
        return why

    async def _put(self, name: str, data: bytes) -> None:
        store = self._archived.store
        put = await store.put_if_absent(name, data, {})
        if put is not PutResult.STORED or await store.get(name) != data:
            raise ForkAlarm(f"something else stands under {name}",
                            hint="read docs/runbooks/fork.md")  # fmt: skip

    # Step 3

    async def _certify(self, purge: Purge, plan: Plan, now_ms: int) -> None:
        first, last = plan.first_ms, plan.last_ms
        disposal = Disposal(
            approved_by=purge.approved_by or "", basis=purge.basis, disposal_id=purge.id,
            executed_at=time_text(now_ms), first=None if first is None else time_text(first),
            last=None if last is None else time_text(last), records=plan.records,
            regulatory_tag=purge.regulatory_tag, requested_at=purge.requested_at,
            requested_by=purge.requested_by, retention_days=purge.days,
            segments=len(plan.expired), stretches=plan.stretches(), years=plan.years,
        )  # fmt: skip
        register = self._register(RegisterWriter)
        assert isinstance(register, RegisterWriter)
        await register.append(disposal.said(), self._signer)

    # Step 4

    async def _remove(self, disposal: Disposal) -> tuple[int, int]:
        """How many segments went, and how many are owed."""
        removed = owed = 0
        for stretch in disposal.stretches:
            stay: set[int] = set()
            names = [each.name for each in await self._disposer.kept(folder_of(stretch))]
            for number, name in enumerate(await standing_in(self._archived, stretch, names)):
                if number % _BETWEEN_LOOKS == 0:
                    held = await self._archived.holds()
                if await self._gone(name, held):
                    removed += 1
                else:
                    stay.add(name.base)
            await self._remove_subjects(stretch, stay)
            owed += len(stay)
        return removed, owed

    async def _gone(self, name: SegmentName, held: HeldBy) -> bool:
        kept = await self._archived.disposed.kept(name)
        if kept is None:
            raise ForkAlarm(f"the header of {name} was not kept", hint="read docs/runbooks/fork.md")
        if await held(name, kept.header.next):
            return False
        return await self._disposer.remove_expired(str(name))

    async def _remove_subjects(self, stretch: Stretch, stay: Collection[int]) -> None:
        """Behind the segments: what a store keeps for a hold keeps its subject object, too."""
        if self._subjects is None:
            return
        for name in await subjects_in(self._subjects, stretch):
            place = layout.parse_subject_name(name)
            if place is not None and place[0].base not in stay:
                await self._remove_subject(self._subjects, name)

    async def _remove_subject(self, subjects: SubjectStore, name: str) -> None:
        while (found := await subjects.get(name)) is not None:
            if await subjects.remove(name, found.etag):
                return

    # Step 5

    async def _forget_years(
        self, purge: Purge, disposal: Disposal, head: Head, now_ms: int
    ) -> Sequence[int]:
        wanted = sorted(self._years_of(disposal))
        if not wanted:
            return ()
        survey = Survey(self._archived, purge.regulatory_tag, purge.days, now_ms, only=())
        free = (await survey.run(head)).years
        years = [year for year in wanted if year in free]
        return await self._destroy_years(years) if years else ()


def _done(purge: Purge) -> Purge:
    return purge if purge.state is State.WITHDRAWN else replace(purge, state=State.DONE)


def _why_stays(segment: Segment, name: str, before_ms: int, tag: str) -> str | None:
    """Of a segment whose header says that it has expired."""
    for number, line in enumerate(segment.record_lines(), start=3):
        pub = parse_record(line, f"{name} line {number}").pub
        if pub["regulatory_tag"] != tag:
            return OTHER_CLASS
        if milliseconds(pub["ingestion_timestamp"]) > before_ms:
            return NEWER_RECORD
    return None
