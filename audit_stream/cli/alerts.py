"""`audit-stream alerts`: the ways alarms leave by, tried before they are needed."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from audit_stream.cli.output import Output
from audit_stream.errors import AuditError
from audit_stream.settings import Settings
from audit_stream.telemetry.alarm import Alarm, State
from audit_stream.telemetry.outbox import Deliver

app = typer.Typer(help="The ways alarms leave by: try them.", no_args_is_help=True)
KEY = "test:alerts"
_ACCEPTED = "accepted"


@app.callback()
def _group() -> None:
    """The ways alarms leave by: try them."""


@app.command("test")
def try_ways(
    hold: Annotated[
        float, typer.Option(min=0.0, help="Seconds between the alarm and its closing.")
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
) -> None:
    """Send a test alarm and its closing by each way; exit 1 unless all of them accept both.

    It is critical, as a real one is: with --hold it may page who is on call.
    """
    from audit_stream.app.alarms import ways, worker_name

    settings, out = Settings.load(config), Output(as_json)
    found = ways(settings)
    results = asyncio.run(_try_all(found, worker_name(settings), hold))
    rows = [(way, *result) for way, result in zip(found, results, strict=True)]
    columns = ("way", "opening", "closing")
    out.document([dict(zip(columns, row, strict=True)) for row in rows])
    out.table("Test alarm", columns, rows)
    if "webhook" not in found:
        out.note("no webhook is set (AUDIT_ALERT_WEBHOOK): see docs/how-to/alerts.md")
    if any(result != (_ACCEPTED, _ACCEPTED) for result in results):
        raise typer.Exit(1)


async def _try_all(ways: dict[str, Deliver], worker: str, hold: float) -> list[tuple[str, str]]:
    return await asyncio.gather(*(_try(deliver, worker, hold) for deliver in ways.values()))


async def _try(deliver: Deliver, worker: str, hold: float) -> tuple[str, str]:
    """What became of the opening and of the closing, each tried once."""

    def alarm(state: State, summary: str) -> Alarm:
        return Alarm(
            key=KEY, state=state, severity="critical", summary=summary, worker=worker,
            at=time.time(),
        )  # fmt: skip

    opening = await _told(deliver, alarm("open", "a test alarm, sent by hand: nothing is wrong"))
    await asyncio.sleep(hold)
    return opening, await _told(deliver, alarm("closed", "the test alarm is over"))


async def _told(deliver: Deliver, alarm: Alarm) -> str:
    try:
        await deliver(alarm)
    except AuditError as error:
        return str(error)
    return _ACCEPTED
