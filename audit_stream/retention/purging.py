"""Carrying a purge out. Each step may be cut off anywhere; the next run goes on.

1  the archive is surveyed again, and of what the dry run found nothing but that may go: each
   segment is read, is the one that was logged, holds no newer record and none of another class
2  its header and signature are put beside it, so that chain, proofs and log go on
3  the holds are read once more, the purge can be withdrawn no longer, and the certificate is
   appended to the register of disposals: from here on it is disposed of
4  the segments, and their subject objects, are removed
5  the keys of the years that nothing needs any more are destroyed

Nothing is removed that no certificate covers, and nothing that a hold touches. Step 3 has the lock
of the keyring's folder, as whoever declares a hold has: a hold comes before the certificate, and
blocks, or behind it, and finds the segments disposed of. To look an archive over takes hours, so
the lock is taken for that step alone, and for step 5: where the holds that are read under it have
one that no segment was held against, it is let go, and all are asked about again. A hold that is
only filed needs no lock: it is seen by the next look, right before the certificate and while
segments go. That one run is at work at a time is the caller's business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass, replace
from itertools import groupby

from audit_stream.archive.register import RegisterReader, RegisterWriter
from audit_stream.errors import ForkAlarm, StoreError
from audit_stream.evidence import layout
from audit_stream.evidence.disposal import (
    DAY_MS,
    Disposal,
    Stretch,
    Stretches,
    disposal_of,
    kept_header,
)
from audit_stream.evidence.encoding import milliseconds, time_text
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.record import parse_record
from audit_stream.evidence.register import Entry, Register
from audit_stream.evidence.segment import Segment, decode_plain, inflate
from audit_stream.evidence.signing import LineSigner
from audit_stream.notary.log import Head
from audit_stream.ports import Disposer, PutResult, SubjectStore
from audit_stream.retention.owed import Standing
from audit_stream.retention.plan import (
    HELD,
    NEWER_RECORD,
    OTHER_CLASS,
    HeldBy,
    Holding,
    Logged,
    Plan,
)
from audit_stream.retention.purge import Purge, State
from audit_stream.retention.purges import Purges
from audit_stream.retention.survey import Archived, Survey, logged_segments, looked_at

_BETWEEN_LOOKS = 50  # segments removed between two looks at the holds
_BY_RECORD = (NEWER_RECORD, OTHER_CLASS)  # why a segment stays once it is read
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
        lock: Callable[[], AbstractContextManager[None]],
    ) -> None:  # fmt: skip
        """`lock`: that of the keyring's folder; `destroy_years` takes it by itself."""
        self._archived, self._disposer, self._subjects = archived, disposer, subjects
        self._purges, self._signer, self._destroy_years = purges, signer, destroy_years
        self._lock = lock

    async def run(self, purge: Purge, head: Head, now_ms: int) -> Carried:
        """Go on with it to its end, as far as that is possible now."""
        plan, certified = None, await self._certificate(purge.id)
        if certified is None:
            plan, holding = await self._prepare(purge, head, now_ms)
            while certified is None:
                if not plan.segments:
                    ending = Purge.waiting if plan.uncertified else _done  # another has certified
                    return Carried(purge=await self._purges.change(purge.id, ending), plan=plan)
                with self._lock():
                    now = await self._archived.holds()
                    if holding.has_all_of(now):
                        changed = await self._purges.change(purge.id, Purge.at_work)
                        if changed.state is not State.AT_WORK:
                            return Carried(purge=changed, plan=plan)
                        certified = await self._certificate(purge.id)  # another machine's
                        certified = certified or await self._certify(purge, plan, now_ms)
                if certified is None:
                    plan, holding = await self._asked_again(plan, now), now
        return await self._go_on(purge.id, plan, *certified, head, now_ms)

    async def _go_on(
        self, purge_id: str, plan: Plan | None, entry: Entry, disposal: Disposal, head: Head,
        now_ms: int,
    ) -> Carried:  # fmt: skip
        """Behind the certificate."""
        number, days = entry.number, disposal.retention_days
        purge = await self._purges.change(purge_id, lambda each: each.certified(number, days))
        removed, owed = await self._remove(disposal)
        years: Sequence[int] = ()
        if not owed:
            years = await self._forget_years(purge, disposal, head, now_ms)
            if set(years) >= self._years_of(disposal):
                purge = await self._purges.change(purge_id, _done)
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

    async def _prepare(self, purge: Purge, head: Head, now_ms: int) -> tuple[Plan, Holding]:
        """What may go, each header kept; and the holds that it was held against."""
        before_ms, tag = now_ms - purge.days * DAY_MS, purge.regulatory_tag

        async def check(logged: Logged) -> str | None:
            return await self._keep_header(logged, before_ms, tag)

        survey = Survey(self._archived, tag, purge.days, now_ms, purge.stretches, check)
        plan = await survey.run(head)
        assert survey.holding is not None  # it has run
        if any(plan.blocked[why] for why in _BY_RECORD):  # what stays needs its year
            plan.years = ()
        return plan, survey.holding

    async def _asked_again(self, plan: Plan, now: Holding) -> Plan:
        """Without what is held by now: holds are filed and declared while the headers are put."""
        left, asked = plan.without_any(), Stretches(plan.stretches())
        logged_ones = logged_segments(self._archived.log, plan.logged)
        planned = (logged async for logged in logged_ones if logged.name in asked)

        async def look(logged: Logged) -> Sequence[str]:
            return await now.held(logged.name, logged.header.next)

        async with aclosing(looked_at(planned, look)) as answers:
            async for logged, holds in answers:
                if holds:
                    left.block(HELD, holds)
                    left.years = ()
                else:
                    left.add(logged)
        return left

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

    async def _certify(self, purge: Purge, plan: Plan, now_ms: int) -> tuple[Entry, Disposal]:
        first, last = plan.first_ms, plan.last_ms
        disposal = Disposal(
            approved_by=purge.approved_by or "", basis=purge.basis, disposal_id=purge.id,
            executed_at=time_text(now_ms), first=None if first is None else time_text(first),
            last=None if last is None else time_text(last), records=plan.records,
            regulatory_tag=purge.regulatory_tag, requested_at=purge.requested_at,
            requested_by=purge.requested_by, retention_days=purge.days,
            segments=plan.segments, stretches=plan.stretches(), years=plan.years,
        )  # fmt: skip
        register = self._register(RegisterWriter)
        assert isinstance(register, RegisterWriter)
        await register.append(disposal.said(), self._signer)
        certified = await self._certificate(purge.id)
        assert certified is not None  # it was appended just now
        return certified

    # Step 4

    async def _remove(self, disposal: Disposal) -> tuple[int, int]:
        """How many segments went, and how many are owed."""
        removed = owed = 0
        for place, stretches in groupby(disposal.stretches, key=lambda each: each.place):
            here = Standing(self._archived, self._subjects, place, [self._disposer])
            for stretch in stretches:
                went, stay = await self._remove_stretch(here, stretch)
                removed, owed = removed + went, owed + stay
        return removed, owed

    async def _remove_stretch(self, here: Standing, stretch: Stretch) -> tuple[int, int]:
        removed, stay, number = 0, set[int](), 0
        async for name in here.segments(stretch):
            if number % _BETWEEN_LOOKS == 0:
                holding = await self._archived.holds()
            number += 1
            if await self._gone(name, holding.held):
                removed += 1
            else:
                stay.add(name.base)
        await self._remove_subjects(here, stretch, stay)
        return removed, len(stay)

    async def _gone(self, name: SegmentName, held: HeldBy) -> bool:
        kept = await self._archived.disposed.kept(name)
        if kept is None:
            raise ForkAlarm(f"the header of {name} was not kept", hint="read docs/runbooks/fork.md")
        if await held(name, kept.header.next):
            return False
        return await self._disposer.remove_expired(str(name))

    async def _remove_subjects(
        self, standing: Standing, stretch: Stretch, stay: Collection[int]
    ) -> None:
        """Behind the segments: what a store keeps for a hold keeps its subject object, too."""
        async for base, name in standing.subjects(stretch):
            if base not in stay and self._subjects is not None:
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
