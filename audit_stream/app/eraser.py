"""Carrying out erasures as a service: `redact run --every`."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import UTC, datetime

from audit_stream.app.alarms import alarm_board
from audit_stream.app.erasing import erasing
from audit_stream.app.kept import keep
from audit_stream.app.places import stores_to_write
from audit_stream.erasure.keeper import Keeper
from audit_stream.erasure.notifying import waiting_for_receivers
from audit_stream.erasure.request import State
from audit_stream.erasure.requests import Requests
from audit_stream.evidence.redaction import redaction_of
from audit_stream.settings import Settings
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
_OPEN = (State.FILED, State.APPROVED, State.HELD, State.EXECUTING)


async def run_erasures(settings: Settings, every: float) -> None:
    """A batch every so many seconds, until SIGTERM or SIGINT.

    The keyring is loaded for each pass and let go of: this process is no member of the fleet.
    """
    board = alarm_board(settings)
    stores = stores_to_write(settings, board)

    async def work(metrics: Metrics, alarms: AlarmBoard) -> None:
        async with erasing(settings, alarms, stores) as place:
            try:
                for entry in (await Keeper(place.installation()).run()).certified:
                    said = redaction_of(entry)
                    log.info("erased: request %s, certificate %s", said.request_ref,
                             said.certificate_id)  # fmt: skip
            finally:
                await tell_open(metrics, place.requests)
                metrics.erasures_awaiting_receiver.set(await waiting_for_receivers(place.private))

    try:
        await keep(
            settings, "erasures", ("erasure:run", "carrying out erasures"), work, every, board
        )
    finally:
        await stores.close()


async def tell_open(metrics: Metrics, requests: Requests) -> None:
    """The gauges of what is not carried out."""
    found = await requests.open()
    states = Counter(each.state for each in found)
    for state in _OPEN:
        metrics.erasure_requests.labels(state.value).set(states[state])
    first = min((each.due for each in found), default=None)
    due = 0.0 if first is None else datetime.fromisoformat(first).replace(tzinfo=UTC).timestamp()
    metrics.erasure_due_timestamp_seconds.set(due)
