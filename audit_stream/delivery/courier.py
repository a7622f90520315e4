"""Posting records: so many at a time, those of one message one after the other, again what failed.

A post that fails for what may pass is tried again after 2, 4 and 8 seconds, then as the circuit
breaker says, always under the same key. A receiver that asks for time (``Retry-After``) is given it
by all posts together.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from audit_stream.delivery.body import body_of
from audit_stream.delivery.fields import Fields
from audit_stream.delivery.gate import Gate
from audit_stream.delivery.parcel import Parcel
from audit_stream.delivery.undeliverable import Undeliverable, kept
from audit_stream.errors import StoreTransient
from audit_stream.ports import Delivery, Receipt, Rejected
from audit_stream.stores.attempts import Attempts


class Courier:
    """Takes records to one receiver. `now` says RFC 3339."""

    def __init__(
        self, delivery: Delivery, attempts: Attempts, gate: Gate, fields: Fields, width: int,
        now: Callable[[], str],
    ) -> None:  # fmt: skip
        self._delivery, self._attempts, self._gate = delivery, attempts, gate
        self._now, self._slots = now, asyncio.Semaphore(width)
        self._last: dict[tuple[object, ...], asyncio.Future[None]] = {}
        self.fields, self.width = fields, width

    @property
    def target(self) -> str:
        """The receiver's name."""
        return self._delivery.target

    async def post(self, parcel: Parcel) -> Undeliverable | None:
        """Post until the answer is final: None when it is stored, else the receiver's no.

        Begun in order, records of one message leave in order. Only a patient `Attempts` outlasts
        everything; else `StoreError` after its time limit.
        """
        async with self._in_turn(parcel.message), self._slots:
            outcome = await self._attempts.read(lambda: self._attempt(parcel))
        return None if isinstance(outcome, Receipt) else self._refused(parcel, outcome)

    async def _attempt(self, parcel: Parcel) -> Receipt | Rejected:
        async with self._gate.passed():
            # Opened anew for each attempt: an erasure may have come between.
            personal = self.fields.of(parcel)
            try:
                outcome = await self._delivery.deliver(body_of(parcel.record, personal), parcel.key)
            except StoreTransient as error:
                if error.retry_after:
                    self._gate.hold(error.retry_after)
                raise
            if isinstance(outcome, Receipt):
                return outcome
            return replace(outcome, answer=kept(outcome.answer, personal.values()))

    def _refused(self, parcel: Parcel, said: Rejected) -> Undeliverable:
        header = parcel.header
        return Undeliverable(
            target=self.target, topic=header.topic, generation=header.generation,
            partition=header.partition, offset=parcel.offset, segment=parcel.segment,
            key=parcel.key, status=said.status, answer=said.answer, at=self._now(),
        )  # fmt: skip

    @contextlib.asynccontextmanager
    async def _in_turn(self, message: tuple[object, ...]) -> AsyncIterator[None]:
        """After whoever of the same message came before. One that fails lets nobody pass: the
        batch has failed, and those who wait are cancelled."""
        before = self._last.get(message)
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._last[message] = mine
        try:
            if before is not None:
                await asyncio.shield(before)
            yield
            mine.set_result(None)
        finally:
            if self._last.get(message) is mine:
                del self._last[message]
