"""What the archive's store is worth: asked before a worker starts, and again every hour.

Segments name the level in their headers, so a worker does not go on below the one it started on.
A level that is *known* to be lower ends the process before another offset moves; its next start is
refused, or writes the lower level if that is allowed. A level that cannot be *shown* any more (the
management plane is away) is an alarm: nobody can unlock what was seen locked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from audit_stream.app.guarded import GuardedStores
from audit_stream.errors import AssuranceError, StoreError
from audit_stream.ports import Alerts, WormStore
from audit_stream.posture import Assurance, Finding, Posture, Standing
from audit_stream.settings import Settings
from audit_stream.stream.process import EXIT_INTERNAL
from audit_stream.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
_LOWER, _UNSHOWN, _SUBJECTS = "assurance:archive", "assurance-unshown:archive", "assurance:subjects"


async def check_assurance(store: WormStore, settings: Settings) -> Assurance:
    """The store's level; `AssuranceError`, naming what is missing, below what is allowed."""
    posture = await store.posture()
    if posture.assurance < settings.allow_assurance:
        missing = posture.missing(settings.allow_assurance)
        raise AssuranceError(
            f"the archive {store.url} is {posture.assurance.label}, AUDIT_ALLOW_ASSURANCE asks for "
            f"{settings.allow_assurance.label}; {_named(missing)}",
            hint=f"{_advice(missing)}; or accept it with AUDIT_ALLOW_ASSURANCE="
            f"{posture.assurance.label}; audit-stream archive check shows every fact",
        )
    for finding in posture.findings:
        if finding.standing in (Standing.BAD, Standing.WEAK):
            log.warning("the archive's %s (%s)", finding, finding.advice)
    return posture.assurance


def _named(findings: Sequence[Finding]) -> str:
    return "; ".join(map(str, findings)) or "nothing is known of it"


def _advice(findings: Sequence[Finding]) -> str:
    return "; ".join(dict.fromkeys(each.advice for each in findings if each.advice))


class AssuranceWatch:
    """Asks again while a worker runs; `end` ends the process and does not return."""

    def __init__(
        self, stores: GuardedStores, started: Assurance, metrics: Metrics, alarms: Alerts,
        end: Callable[[int, str], None],
    ) -> None:  # fmt: skip
        self._stores, self._started = stores, started
        self._metrics, self._alarms, self._end = metrics, alarms, end

    async def run(self, settings: Settings) -> None:
        """Until cancelled. The start has asked the archive already, not the subject objects."""
        levels = self._metrics
        levels.assurance_required_level.labels("archive").set(settings.allow_assurance)
        levels.assurance_level.labels("archive").set(self._started)
        await self._ask_subjects()
        while True:
            await asyncio.sleep(settings.assurance_check_seconds)
            await self._ask_archive()
            await self._ask_subjects()

    async def _ask_archive(self) -> None:
        try:
            posture = await self._stores.archive.posture()
        except StoreError as error:
            log.warning("the archive's assurance could not be asked: %s", error.message)
            return
        self._metrics.assurance_level.labels("archive").set(posture.assurance)
        self._judge(posture)

    def _judge(self, posture: Posture) -> None:
        missing = posture.missing(self._started)
        known = [each for each in missing if each.standing is not Standing.UNKNOWN]
        if known or (posture.assurance < self._started and not missing):
            error = AssuranceError(
                f"the archive was {self._started.label} and is {posture.assurance.label}; "
                f"{_named(known)}",
                hint="find out who changed it (docs/runbooks/assurance.md)",
            )
            self._alarms.raise_alarm(_LOWER, str(error))
            self._end(EXIT_INTERNAL, f"{error.code} {error}")
        elif missing:
            self._alarms.raise_alarm(
                _UNSHOWN, f"the archive was {self._started.label}, which cannot be shown any more; "
                f"{_named(missing)} ({_advice(missing)})", severity="warning",
            )  # fmt: skip
        else:
            self._alarms.close_alarm(_UNSHOWN, f"the archive is {posture.assurance.label}")

    async def _ask_subjects(self) -> None:
        try:
            findings = await self._stores.subjects.findings()
        except StoreError as error:
            log.warning("the subject objects' store could not be asked: %s", error.message)
            return
        if bad := [each for each in findings if each.standing is Standing.BAD]:
            summary = f"{_named(bad)} ({_advice(bad)})"
            self._alarms.raise_alarm(_SUBJECTS, summary, severity="warning")
        else:
            self._alarms.close_alarm(_SUBJECTS, "the subject objects leave nothing behind")
