"""The rekey sources of a worker: where copying goes on, and what retention took before it.

No ledger covers them, so what is lost of one is told by an alarm, and for good beside the group's
offset (ADR 0032).
"""

from __future__ import annotations

from typing import Any

from faust.types import TP

from audit_stream.kafka.losses import Losses, with_lost
from audit_stream.ports import Alerts
from audit_stream.stream.transport import BatchConsumer, BatchMessage
from audit_stream.telemetry.metrics import Metrics


class RekeySources:
    """The sources assigned to this worker."""

    def __init__(self, consumer: BatchConsumer, metrics: Metrics, alerts: Alerts) -> None:
        self._consumer, self._metrics, self._alerts = consumer, metrics, alerts

    async def positions(self, tps: set[TP]) -> dict[TP, int]:
        """Where each goes on: at the group's committed offset, else at the log start.

        An offset behind its end is another topic's: then all is copied, which is never wrong.
        """
        if not tps:
            return {}
        starts = await self._consumer.earliest_offsets(*tps)
        ends = await self._consumer.highwaters(*tps)
        committed = await self._consumer.committed(tps)
        return {
            tp: self._position(tp, starts[tp], ends.get(tp) or 0, committed.get(tp)) for tp in tps
        }

    def _position(self, tp: TP, start: int, end: int, committed: Any) -> int:
        losses = self._consumer.losses
        losses.pop(tp, None)
        if committed is None or not 0 <= committed.offset <= end:
            return start
        known = Losses.read(committed.metadata)
        if known is not None:
            losses[tp] = known
        if self._note(tp, committed.offset, start):
            self._consumer.done(tp, start)  # with nothing behind the loss no batch would be acked
        return int(max(start, committed.offset))

    async def check(self, message: BatchMessage) -> None:
        """Tell what is missing before a batch that retention deleted; before the batch is acked."""
        records = message.records
        first = records[0].offset if records else message.next_offset
        if first > message.base:
            starts = await self._consumer.earliest_offsets(message.tp)
            self._note(message.tp, message.base, min(first, starts[message.tp]))

    def _note(self, tp: TP, start: int, stop: int) -> bool:
        """Whether offsets of [start, stop) are lost that were not told."""
        known = self._consumer.losses.get(tp)
        losses = with_lost(known, start, stop)
        if losses is None or losses == known:
            return False
        self._consumer.losses[tp] = losses
        count = losses.count - (known.count if known else 0)
        self._metrics.lost_offsets_total.labels(tp.topic).inc(count)
        self._alerts.raise_alarm(
            f"lost:{tp.topic}/{tp.partition}",
            f"retention overtook the copying of {tp.topic}/{tp.partition}: {count} offsets below "
            f"{stop} are lost",
        )
        return True
