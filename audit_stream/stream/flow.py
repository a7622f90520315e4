"""The Faust application's class, and its queues, which take nothing while the flow is suspended.

Faust suspends the flow when partitions are revoked, and clears all queues then and when it resumes.
A put that waited for room, or for the resumption, would land behind the clearing: in the queue of
the changelogs, a batch whose predecessors were cleared, which the table would take for the next.
"""

from __future__ import annotations

from typing import Any

import faust
from mode.utils.queues import ThrowableQueue

from audit_stream.stream.transport import BatchTransport


class FlowQueue(ThrowableQueue):  # type: ignore[misc]
    """What comes while the flow is suspended is of an assignment that is over: it is dropped."""

    async def put(self, value: Any) -> None:
        """As stock, where the flow is active; `_put` looks again, once there is room."""
        if self._flow_control.is_active():
            await super().put(value)

    def _put(self, item: Any) -> None:
        if self._flow_control.is_active():
            super()._put(item)


class AuditApp(faust.App):  # type: ignore[misc]
    """Faust with the batch transport, and these queues for channels, streams and changelogs."""

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_producer, self)

    def FlowControlQueue(  # noqa: N802
        self, maxsize: int | None = None, *, clear_on_resume: bool = False
    ) -> FlowQueue:
        """As stock, of our class."""
        return FlowQueue(
            maxsize=maxsize, flow_control=self.flow_control, clear_on_resume=clear_on_resume
        )
