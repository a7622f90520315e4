"""A receiver that is tried again for half a minute: for single posts that somebody waits for."""

from __future__ import annotations

from audit_stream.ports import Delivery, Receipt, Rejected
from audit_stream.stores.attempts import Attempts


class PatientDelivery:
    """`ports.Delivery` around another one: what may pass is tried again after 2, 4 and 8 seconds,
    within the time limit of reads."""

    def __init__(self, inner: Delivery, attempts: Attempts) -> None:
        self._inner, self._attempts = inner, attempts

    @property
    def target(self) -> str:
        """The receiver's name."""
        return self._inner.target

    async def deliver(self, body: bytes, key: str) -> Receipt | Rejected:
        """See `ports.Delivery`."""
        return await self._attempts.read(lambda: self._inner.deliver(body, key))
