"""`audit-stream deliver`: what is archived, posted to a SIEM."""

from __future__ import annotations

import asyncio
import logging.config
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream.cli.main import FOUND
from audit_stream.cli.options import Config, Json, WebPort
from audit_stream.cli.output import Output
from audit_stream.errors import BrokerError, TopicError
from audit_stream.settings import Settings
from audit_stream.telemetry.logs import logging_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit_stream.app.deliveries import Standing, Waiting

app = typer.Typer(help="Post what is archived to a SIEM over HTTP.", no_args_is_help=True)


@app.command()
def siem(
    once: Annotated[
        bool, typer.Option("--once", help="Deliver what is stored now, and end.")
    ] = False,
    web_port: WebPort = None,
    config: Config = None,
) -> None:
    """Tail the archive and post each record to AUDIT_DELIVERY_URL, until SIGTERM.

    Only what is stored is sent, and counts as delivered once the receiver says that it has stored
    it. Run one for each AUDIT_DELIVERY_NAME. Exit 1: with --once, something is not delivered.
    """
    settings = Settings.load(config, web_port=web_port)
    logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))
    from audit_stream.app.deliverer import run_deliverer

    serve = not once or web_port is not None
    if not asyncio.run(run_deliverer(settings, once=once, serve=serve)):
        raise typer.Exit(FOUND)


@app.command()
def retry(as_json: Json = False, config: Config = None) -> None:
    """Try again what lies in audit-undeliverable, once, under the same keys.

    What is rejected again lies there again. Exit 1 when anything was, or could not be read.
    """
    settings, out = Settings.load(config), Output(as_json)
    from audit_stream.app.deliveries import retry_all

    found, lost = asyncio.run(retry_all(settings))
    out.document(asdict(found) | {"lost": lost})
    out.say(f"{found.stored} stored, {found.rejected} rejected again")
    if found.disposed:
        out.say(f"{found.disposed} were disposed of: nothing is left to send")
    if found.unreadable:
        out.say(f"{found.unreadable} entries are none of ours")
    _say_lost(out, lost)
    if found.rejected or found.unreadable:
        raise typer.Exit(FOUND)


@app.command()
def status(as_json: Json = False, config: Config = None) -> None:
    """Positions by partition, how far behind they are, what waits in audit-undeliverable, and for
    how long the receiver was shown to remember a key."""
    settings, out = Settings.load(config), Output(as_json)
    from audit_stream.app.deliveries import standings, waiting
    from audit_stream.app.probing import last_check, said

    found, checked = asyncio.run(standings(settings)), asyncio.run(last_check(settings))
    try:
        refused = asyncio.run(waiting(settings))
    except (BrokerError, TopicError) as error:
        out.note(f"what waits in audit-undeliverable is not known: {error}")
        refused = None
    out.document(_document(settings.delivery_name, found, refused))
    out.table(
        f"Delivery to {settings.delivery_name}",
        ["partition", "settled below", "records behind", "seconds behind"],
        [(str(s.position), s.position.settled, s.records, round(s.seconds)) for s in found],
    )
    out.say(f"{sum(each.records for each in found)} records are not delivered")
    if checked is not None:
        out.say(f"idempotency keys: {said(checked)}")
    if refused is not None:
        out.say(f"{refused.entries} undeliverable: audit-stream deliver retry")
        _say_lost(out, refused.lost)


@app.command()
def check(as_json: Json = False, config: Config = None) -> None:
    """Probe whether the receiver honours idempotency keys; run it every hour, or set
    AUDIT_DELIVERY_CHECK.

    It posts a probe, which stands for no record, twice under one key, and a day later again.
    Exit 1: the receiver does not honour keys, or its answers do not tell.
    """
    settings, out = Settings.load(config), Output(as_json)
    from audit_stream.app.probing import check_receiver, said
    from audit_stream.delivery.probing import Verdict

    found = asyncio.run(check_receiver(settings))
    judgement = found.judgement
    out.document({
        "target": found.target, "probe_at": found.probe.at, "remembered_seconds": found.remembered,
        "soon": None if found.soon is None else found.soon.verdict.value,
        "later": None if found.later is None else found.later.verdict.value,
        "verdict": None if judgement is None else judgement.verdict.value,
        "why": None if judgement is None else judgement.why,
    })  # fmt: skip
    out.say(f"idempotency keys, {found.target}: {said(found)}")
    if found.later is None:
        out.say(f"what a day shows is not known yet: the probe is of {found.probe.at}")
    if judgement is not None and judgement.verdict is not Verdict.HONOURED:
        raise typer.Exit(FOUND)


def _document(target: str, found: Sequence[Standing], refused: Waiting | None) -> dict[str, object]:
    return {
        "target": target,
        "partitions": [
            {
                "generation": each.position.generation, "partition": each.position.partition,
                "records_behind": each.records, "seconds_behind": round(each.seconds),
                "settled": each.position.settled, "topic": each.position.topic,
            }
            for each in found
        ],
        "undeliverable": None if refused is None else asdict(refused),
    }  # fmt: skip


def _say_lost(out: Output, lost: int) -> None:
    if lost:
        out.say(f"{lost} entries were taken by the topic's retention before they were tried again")
