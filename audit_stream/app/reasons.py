"""Why events are in quarantine: counted from the topic, for a gateway that is allowed to read it.

A copy's bytes hold personal data: they are dropped as they come, only headers are looked at.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from audit_stream.errors import AuditError
from audit_stream.gateway.pages.quarantine import Reason, Reasons
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.quarantine import read_quarantine
from audit_stream.telemetry.discreet import where

log = logging.getLogger(__name__)
_FAILED = "the reasons of quarantine could not be counted"


class ReasonCounter:
    """Counts what lies in `audit-quarantine`; `counted` is None until it has."""

    def __init__(
        self, connection: KafkaConnection, is_retried: Callable[[str, int], bool],
        now: Callable[[], str],
    ) -> None:  # fmt: skip
        self._connection, self._is_retried, self._now = connection, is_retried, now
        self.counted: Reasons | None = None

    async def count(self) -> None:
        """Read the whole topic once. Raises what the broker's client raises."""
        copies: Counter[tuple[str, str]] = Counter()
        left: Counter[tuple[str, str]] = Counter()
        async for copy in read_quarantine(self._connection):
            key = (copy.topic, copy.reason)
            copies[key] += 1
            left[key] += not self._is_retried(copy.first_position, copy.generation)
        self.counted = Reasons(at=self._now(), found=[
            Reason(topic=topic, reason=reason, copies=number, left=left[topic, reason])
            for (topic, reason), number in sorted(copies.items())
        ])  # fmt: skip

    async def keep_counted(self, seconds: float) -> None:
        """For ever, so often; with 0 seconds never. What fails is logged, and the last count
        stays."""
        while seconds:
            try:
                await self.count()
            except AuditError as error:
                log.warning("%s: %s", _FAILED, error.message)
            except (
                Exception
            ) as error:  # a copy that nobody thought of, and whose text says anything
                log.warning("%s: %s at %s", _FAILED, type(error).__name__, where(error))
            await asyncio.sleep(seconds)
