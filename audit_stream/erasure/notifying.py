"""Telling receivers to erase: each part to each receiver until it is acknowledged, or excused.

How far each one is stands among the private objects, so that a run goes on where the last one was
cut off; a part whose acknowledgement was lost is posted again under its key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from audit_stream.archive.private import PrivateObjects
from audit_stream.archive.receivers import Receiver, check_receiver, forget_receiver
from audit_stream.erasure.batch import JOURNAL, Batch, Step, decode_batch
from audit_stream.erasure.installation import Installation
from audit_stream.erasure.listing import NOTICES, read_part
from audit_stream.erasure.notice import Notice, acknowledged, notice_body, notice_key, waived
from audit_stream.erasure.request import LONGEST_REASON, check_words
from audit_stream.errors import NoticeError, RequestError, StoreError
from audit_stream.evidence.redaction import check_actor
from audit_stream.ports import Delivery, Rejected
from audit_stream.privacy.private_object import FOLDER

_TOLD: Final = f"{NOTICES}told/"
_EXCUSED: Final = f"{FOLDER}excused-receivers/"
_TOLD_VERSION, _EXCUSE_VERSION = "audit-told/1", "audit-receiver-excuse/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a receiver is with the notice at work."""

    target: str
    done: int  # parts acknowledged
    parts: int
    at: str = ""  # of the last acknowledgement: RFC 3339
    excused: Mapping[str, Any] | None = None  # {"at","by","epoch","reason","v"}

    @property
    def is_over(self) -> bool:
        """Whether it is waited for no longer."""
        return self.done == self.parts or self.excused is not None

    @property
    def said(self) -> str:
        """For people."""
        if self.done == self.parts or self.excused is None:
            return f"{self.done} of {self.parts} parts acknowledged"
        return f"excused by {self.excused['by']}"

    def as_target(self) -> dict[str, str]:
        """As certificates have it, once it is over."""
        if self.done == self.parts or self.excused is None:
            return acknowledged(self.at, self.target, self.parts)
        excuse = self.excused
        return waived(
            excuse["at"], self.target, excuse["by"], excuse["reason"], (self.done, self.parts)
        )


async def notify(place: Installation, archive: str, batch: Batch) -> Sequence[dict[str, str]]:
    """Tell all that the batch has to tell; what certificates say of it.

    `NoticeError` when a receiver has not acknowledged all of it and is not excused: the next run
    goes on. `StoreError` of our own store, `Tampered`.
    """
    notice = batch.notice
    if notice is None or not notice.parts:
        return []
    before = await how_far(place.private, batch)
    why = await asyncio.gather(*(
        _Telling(place, archive, notice, receiver).go_on(told)
        for receiver, told in zip(notice.receivers, before, strict=True)
    ), return_exceptions=True)  # fmt: skip
    for failure in why:  # once nobody writes any more: the next run begins where all of them are
        if isinstance(failure, BaseException):
            raise failure
    after = await how_far(place.private, batch)
    waiting = []
    for told, reason in zip(after, why, strict=True):
        if told.is_over:
            place.alarms.close_alarm(_alarm(told.target), f"{told.target} is waited for no longer")
        else:
            waiting.append(f"{told.target} {reason}")
            place.alarms.raise_alarm(
                _alarm(told.target), f"an erasure waits: the receiver {waiting[-1]}"
            )
    if waiting:
        raise NoticeError(
            f"the erasure waits for {len(waiting)} receivers that had been sent personal fields: "
            + "; ".join(waiting),
            hint="mend it, and run again; of one that cannot be told: audit-stream redact excuse "
            "--target NAME --reason …",
        )
    return [told.as_target() for told in after]


async def how_far(private: PrivateObjects, batch: Batch) -> list[Progress]:
    """Each receiver of the batch's notice, in its order."""
    notice = batch.notice
    if notice is None:
        return []
    found = []
    for receiver in notice.receivers:
        told = await private.get(_TOLD + receiver.name)
        excuse = await private.get(_EXCUSED + receiver.name)
        ours = told is not None and told.value["notice_id"] == notice.notice_id
        stands = excuse is not None and excuse.value["epoch"] == batch.epochs[1]
        found.append(Progress(
            target=receiver.name, parts=notice.parts,
            done=told.value["done"] if told is not None and ours else 0,
            at=told.value["at"] if told is not None and ours else "",
            excused=excuse.value if excuse is not None and stands else None,
        ))  # fmt: skip
    return found


async def excuse_receiver(
    private: PrivateObjects, target: str, by: str, reason: str, at: str, *, for_good: bool = False
) -> None:
    """A person answers for a receiver that cannot be told: for the erasure at work, and with
    `for_good` for every later one, until a deliverer sends it personal fields again.

    `RequestError` when nothing waits for it and, with `for_good`, none is known by the name;
    `FormatError`.
    """
    check_actor(by)
    check_receiver(target)
    check_words(reason, "a reason", LONGEST_REASON)
    known = for_good and await forget_receiver(private, target, by, reason, at)
    batch = await _batch(private)
    waited_for = [] if batch is None else await how_far(private, batch)
    if batch is not None and any(t.target == target and not t.is_over for t in waited_for):
        value = {
            "at": at, "by": by, "epoch": batch.epochs[1], "reason": reason, "v": _EXCUSE_VERSION,
        }  # fmt: skip
        await private.update(_EXCUSED + target, lambda _: value)
    elif not known:
        raise RequestError(
            f"no erasure waits for the receiver {target}", hint="see: audit-stream redact receivers"
        )


async def forget_notices(private: PrivateObjects) -> None:
    """What was listed, how far who was, who was excused: once certificates say it."""
    for folder in (NOTICES, _EXCUSED):
        for name in await private.names(folder):
            await private.discard(name)


async def at_work(private: PrivateObjects) -> list[Progress]:
    """Each receiver of the notice at work; empty where there is none."""
    batch = await _batch(private)
    return [] if batch is None else await how_far(private, batch)


async def waiting_for_receivers(private: PrivateObjects) -> int:
    """How many requests have nothing left to be done but to tell receivers."""
    batch = await _batch(private)
    if batch is None or batch.step is not Step.DESTROYED:
        return 0
    waiting = any(not told.is_over for told in await how_far(private, batch))
    return len(batch.items) if waiting else 0


async def _batch(private: PrivateObjects) -> Batch | None:
    kept = await private.get(JOURNAL)
    return None if kept is None else decode_batch(kept.value)


def _alarm(target: str) -> str:
    return f"erasure:receiver:{target}"


@dataclass(frozen=True, slots=True)
class _Telling:
    """One receiver."""

    place: Installation
    archive: str
    notice: Notice
    receiver: Receiver

    async def go_on(self, told: Progress) -> str:
        """Post what it has not acknowledged, in order. Why it went no further, if it did not."""
        if told.is_over:
            return ""
        delivery = self.place.receivers.get(self.receiver.name)
        if delivery is None:
            return "is in no setting any more"
        for part in range(told.done + 1, self.notice.parts + 1):
            if why := await self._post(delivery, part):
                return why
        return ""

    async def _post(self, delivery: Delivery, part: int) -> str:
        records = await read_part(self.place.private, part)
        body = notice_body(self.archive, self.notice, part, self.receiver, records)
        try:
            answer = await delivery.deliver(body, notice_key(self.notice, part))
        except StoreError as error:
            return f"cannot be told: {error.message}"
        if isinstance(answer, Rejected):  # its text may repeat what was posted
            return f"refused the notice with status {answer.status}"
        self.place.hook("notified", "between")
        value = {
            "at": answer.at, "done": part, "notice_id": self.notice.notice_id, "v": _TOLD_VERSION,
        }  # fmt: skip
        await self.place.private.update(_TOLD + self.receiver.name, lambda _: value)
        return ""
