"""The keeper: carries batches of approved erasures out, step by step.

Each step is last before the journal says so, and harmless when it is done again: whatever ends the
process, the next run goes on. What orders erasures and holds is the lock of the keyring's folder:
it is held from the last look at the holds until the keys are gone.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Any

from audit_stream.archive.fleet import forget_ended, tell_epoch
from audit_stream.archive.receivers import receivers
from audit_stream.erasure.barrier import Barrier
from audit_stream.erasure.batch import JOURNAL, MOST_REQUESTS, Batch, Item, Step, decode_batch
from audit_stream.erasure.certifying import certify, forget_openings
from audit_stream.erasure.installation import Installation, bring_up_views, newest_keyring, together
from audit_stream.erasure.listing import Listing
from audit_stream.erasure.notice import Notice
from audit_stream.erasure.notifying import notify
from audit_stream.erasure.request import Request, State
from audit_stream.erasure.requests import Requests
from audit_stream.errors import BarrierError, ForkAlarm, FormatError, KeyringError
from audit_stream.evidence.register import Entry
from audit_stream.keys.epochs import advance, destroy_strays, read_master
from audit_stream.keys.file import load_closed
from audit_stream.keys.lock import RUN_FILE, keyring_lock
from audit_stream.notary.log import ArchiveLog
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.keytree import path_of

_LOOK_SECONDS = 1.0
_STUCK = "erasure:barrier"


@dataclass(slots=True)
class Ran:
    """What a run did."""

    certified: Sequence[Entry] = ()
    held: Mapping[str, Sequence[str]] | None = None  # holds, by the reference they stand against


class Keeper:
    """Runs at most one batch at a time, whoever else tries."""

    def __init__(self, place: Installation) -> None:
        self._place, self._private = place, place.private
        self._requests = Requests(place.private)

    async def run(self) -> Ran:
        """Finish the batch at work, or carry the next one out. `BarrierError` when the fleet is not
        through yet, `NoticeError` when a receiver is not: the next run goes on. `KeyringError`,
        `StoreError`, `FormatError`."""
        with keyring_lock(self._place.keyring, wait=0.0, name=RUN_FILE):
            ran = Ran()
            await forget_ended(self._private)
            await forget_openings(self._private, self._requests, await self._logged_now())
            batch = await self._at_work()
            if batch is None:
                batch = await self._take(ran)
            if batch is not None:
                ran.certified = await self._carry_out(batch)
            return ran

    async def _logged_now(self) -> str:
        """The earlier one of this clock and the archive log's; the first there is of a log that is
        in doubt. A clock that is ahead must not take an opening from who would have come for it."""
        now, keys = self._place.now(), load_closed(self._place.keyring)
        try:
            head = await ArchiveLog(self._place.store, keys.log_key).head()
        except (FormatError, ForkAlarm):
            return ""
        return now if head is None else min(now, head.digest.time)

    async def _at_work(self) -> Batch | None:
        kept = await self._private.get(JOURNAL)
        if kept is None:
            return None
        batch = decode_batch(kept.value)
        if batch.step is not Step.TAKEN:
            return batch
        with keyring_lock(self._place.keyring):
            if (await newest_keyring(self._place)).epoch != batch.epochs[0]:
                return await self._puncture(batch)
            # Nothing is punctured: a hold may have come since, so its requests are taken anew.
            await self._private.remove(kept)
            return None

    # -- what must not race with holds

    async def _take(self, ran: Ran) -> Batch | None:
        with keyring_lock(self._place.keyring):
            epoch = (await newest_keyring(self._place)).epoch
            if epoch > 1:  # where a return was cut off, or a view was away
                bring_up_views(self._place)
                await tell_epoch(self._private, epoch)
            items = await self._choose(ran)
            if not items:
                return None
            begin = Batch(items=items, epochs=(epoch, epoch + 1))
            await self._begin(begin)
            self._place.hook("taken", "after")
            return await self._puncture(begin)

    async def _choose(self, ran: Ran) -> Sequence[Item]:
        """Those nothing stands against. A hold may be filed by whoever has no lock, while the holds
        are asked, which takes long where records are read: then they are asked again."""
        while True:
            known = await self._place.holding()
            wanted = await self._requests.to_carry_out()
            ran.held = await self._set_aside(wanted)
            free = [each for each in wanted if each.ref not in ran.held][:MOST_REQUESTS]
            if not free:
                return ()
            self._place.hook("taken", "before")
            items = await self._mark(free)
            if not items or await self._place.holding() <= known:
                return items

    async def _begin(self, batch: Batch) -> None:
        await self._private.create(JOURNAL, batch.encode())
        kept = await self._private.get(JOURNAL)
        if kept is None or not decode_batch(kept.value).same_as(batch):
            raise _two_keepers()

    async def _set_aside(self, wanted: Sequence[Request]) -> Mapping[str, Sequence[str]]:
        """Those that a hold stands against say so, and are tried again with the next batch."""
        held = await self._place.holds_against(wanted) if wanted else {}
        for each in wanted:
            holds = tuple(held.get(each.ref, ()))
            if holds != tuple(each.held_by) or (each.state is State.HELD) != bool(holds):
                await self._requests.change(
                    each.ref, partial(Request.standing_against, holds=holds)
                )
        return held

    async def _mark(self, requests: Sequence[Request]) -> Sequence[Item]:
        """Those that are the batch's now: asking the holds took long, and one that was withdrawn
        meanwhile is left out."""
        taken = set[str]()

        async def take(request: Request) -> None:
            if (await self._requests.change(request.ref, Request.taken)).state is State.EXECUTING:
                taken.add(request.ref)

        await together(requests, take)
        return [Item(each.ref, tuple(each.tags)) for each in requests if each.ref in taken]

    async def _puncture(self, batch: Batch) -> Batch:
        """The point of no return: from here on nobody who reads the keyring can open them."""
        place = self._place
        place.hook("punctured", "before")
        ring = read_master(place.keyring)
        if ring.epoch == batch.epochs[0]:
            covers = [(tree.first_epoch, tree.cover_sha256) for tree in ring.trees]
            batch = replace(batch, covers=[{"before": b, "first_epoch": f} for f, b in covers])
            await self._note(batch)  # the old hashes, while they can still be read
            paths = [path_of(tag) for tag in batch.tags]
            ring = await asyncio.to_thread(
                advance, place.keyring, ring, lambda _: paths, covers=place.covers
            )
        elif ring.epoch != batch.epochs[1]:
            raise KeyringError(
                f"a batch from epoch {batch.epochs[0]} is at work and the keyring has {ring.epoch}",
                hint="was another keyring put in place? See docs/how-to/erase.md",
            )
        place.hook("punctured", "between")
        bring_up_views(self._place)
        await tell_epoch(self._private, ring.epoch)
        done = batch.done(
            Step.PUNCTURED, covers=_after(batch.covers, ring), punctured_at=place.now()
        )
        await self._note(done)
        place.hook("punctured", "after")
        return done

    # -- what only has to be done to the end

    async def _carry_out(self, batch: Batch) -> Sequence[Entry]:
        await newest_keyring(self._place)
        steps = (
            (Step.PASSED, self._pass), (Step.COUNTED, self._count), (Step.ZEROED, self._zero),
            (Step.DESTROYED, self._destroy), (Step.NOTIFIED, self._notify),
        )  # fmt: skip
        for step, work in steps:
            if batch.step < step:
                self._place.hook(step.name.lower(), "before")
                batch = await work(batch)
                await self._note(batch)
                self._place.hook(step.name.lower(), "after")
        return await certify(self._place, self._requests, batch)

    async def _pass(self, batch: Batch) -> Batch:
        bring_up_views(self._place)
        barrier = self._place.barrier(batch.epochs[1])
        deadline = monotonic() + self._place.barrier_seconds
        while (looked := await barrier.look()).blockers:
            if monotonic() >= deadline:
                raise self._stuck(batch, [f"{b.process} {b.why}" for b in looked.blockers])
            await asyncio.sleep(_LOOK_SECONDS)
        self._place.alarms.close_alarm(_STUCK, "every process has the newest key epoch")
        await self._wait_until_passed(barrier)
        known = {each["process"] for each in batch.excused}
        excused = [*batch.excused, *(e for e in looked.excused if e["process"] not in known)]
        await self._note(replace(batch, excused=excused))
        await barrier.forget(looked.excused)
        return batch.done(Step.PASSED, acknowledged=looked.acknowledged, excused=excused)

    async def _wait_until_passed(self, barrier: Barrier) -> None:
        """A put that its process gave up may still land: until its name is taken by what was sealed
        under the new epoch, or long enough that it can be on its way no longer."""
        until = monotonic() + self._place.grace_seconds
        while not await barrier.passed():
            if (left := until - monotonic()) <= 0:
                return
            await asyncio.sleep(min(_LOOK_SECONDS, left))

    def _stuck(self, batch: Batch, blockers: list[str]) -> BarrierError:
        said = f"{len(blockers)} processes may hold keys of the erased: {'; '.join(blockers[:5])}"
        self._place.alarms.raise_alarm(_STUCK, said)
        return BarrierError(
            f"the erasure waits: {said}",
            hint="see why they do not load the newest keyring; of one that is gone for good: "
            "audit-stream redact excuse PROCESS",
        )

    async def _count(self, batch: Batch) -> Batch:
        told = await receivers(self._private)  # behind the barrier nobody can be sent theirs anew
        if not told:
            return batch.done(Step.COUNTED, counted=await self._place.counting.count(batch))
        hook = partial(self._place.hook, "counted", "between")
        listing = Listing(self._private, self._place.records_a_part, hook)
        counted = await self._place.counting.count(batch, listing)
        notice = Notice(notice_id=f"en-{secrets.token_hex(8)}", parts=listing.parts, receivers=told)
        return batch.done(Step.COUNTED, counted=counted, notice=notice)

    async def _zero(self, batch: Batch) -> Batch:
        await self._place.counting.zero(batch.tags)
        return batch.done(Step.ZEROED)

    async def _destroy(self, batch: Batch) -> Batch:
        place = self._place
        if left := bring_up_views(place):  # nobody has it loaded; who reads that folder could
            raise KeyringError(
                f"the view {left[0]} cannot be brought up and may still have the old cover",
                hint="mend it; if its folder was destroyed, take it out of AUDIT_KEYRING_VIEWS",
            )
        if not batch.keys_destroyed:  # noted before the files go: they tell what there was
            destroyed = await asyncio.to_thread(place.destroy, batch.epochs[0])
            batch = replace(
                batch, keys_destroyed=destroyed.kind, keys_destroyed_at=destroyed.effective_at
            )
            await self._note(batch)
        place.hook("destroyed", "between")
        destroy_strays(place.keyring)
        at = place.now()
        if batch.keys_destroyed == "file-unlinked":  # which was just now, whatever came between
            batch = replace(batch, keys_destroyed_at=at)
        return batch.done(Step.DESTROYED, executed_at=at)

    async def _notify(self, batch: Batch) -> Batch:
        archive = read_master(self._place.keyring).archive
        return batch.done(Step.NOTIFIED, targets=await notify(self._place, archive, batch))

    async def _note(self, batch: Batch) -> None:
        def noted(value: dict[str, Any] | None) -> dict[str, Any]:
            if value is None or not decode_batch(value).same_as(batch):
                raise _two_keepers()
            return batch.encode()

        await self._private.update(JOURNAL, noted)


def _two_keepers() -> KeyringError:
    return KeyringError(
        "another keeper is at work: the journal is not this batch's",
        hint="only one machine may hold the whole keyring and run erasures",
    )


def _after(covers: Sequence[Mapping[str, Any]], ring: Keyring) -> list[dict[str, Any]]:
    after = {tree.first_epoch: tree.cover_sha256 for tree in ring.trees}
    return [{**each, "after": after[each["first_epoch"]]} for each in covers]
