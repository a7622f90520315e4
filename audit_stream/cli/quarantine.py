"""`audit-stream quarantine`: list what was not understood, and retry it once it can be."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated

import typer

from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output
from audit_stream.evidence.encoding import time_text
from audit_stream.flatten.event import Event, read_event
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.quarantine import Quarantined, read_quarantine, send_back
from audit_stream.settings import Settings

app = typer.Typer(help="What was not understood: list it, retry it.", no_args_is_help=True)
Reason = Annotated[str | None, typer.Option(help="Only this reason, e.g. status-unmapped.")]


async def _read(settings: Settings, reason: str | None) -> list[Quarantined]:
    connection = KafkaConnection.from_settings(settings)
    return [copy async for copy in read_quarantine(connection) if reason in (None, copy.reason)]


@app.command("list")
def list_(reason: Reason = None, as_json: Json = False, config: Config = None) -> None:
    """List the quarantined records by position and reason; their bytes are never printed."""
    settings, out = Settings.load(config), Output(as_json)
    copies = asyncio.run(_read(settings, reason))
    columns = ["source", "reason", "timestamp", "bytes"]
    rows = [(c.source, c.reason, _time(c.timestamp), _size(c)) for c in copies]
    out.document([
        dict(zip(columns, row, strict=True)) | {"truncated": copy.cut_from is not None}
        for copy, row in zip(copies, rows, strict=True)
    ])  # fmt: skip
    out.table("Quarantine", columns, [
        (*row[:3], f"{row[3]} (truncated)" if copy.cut_from is not None else row[3])
        for copy, row in zip(copies, rows, strict=True)
    ])  # fmt: skip
    counted = Counter(copy.reason for copy in copies)
    out.say(f"{len(copies)} quarantined: " + (", ".join(
        f"{name} {count}" for name, count in counted.most_common()) or "none"))  # fmt: skip


def _size(copy: Quarantined) -> int:
    """Of the record's value, also where the copy has less of it."""
    return len(copy.value or b"") if copy.cut_from is None else copy.cut_from


def _time(timestamp: int) -> str:
    """Of a Kafka timestamp; the number where no calendar has it, as it is what a producer wrote."""
    try:
        return time_text(max(timestamp, 0))
    except ValueError:
        return f"{timestamp} ms"


@app.command()
def retry(
    reason: Reason = None,
    source: Annotated[str | None, typer.Option(help="Only this source position.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent back; send nothing.")
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Send records back that today's status map understands; the others are refused.

    To the rekeyed twin, or the topic itself: bytes unchanged, first position in a header.
    Retrying twice does no harm: the second is a duplicate. Exit 1 when anything was refused.
    """
    settings, out = Settings.load(config), Output(as_json)
    good, refused = asyncio.run(_judged(settings, reason, source))
    sent = len(good) if dry_run else asyncio.run(_send(settings, good))
    out.document({
        "sent": sent, "dry_run": dry_run,
        "refused": [{"source": c.source, "reason": why} for c, why in refused],
    })  # fmt: skip
    out.table("Refused", ["source", "still"], [(c.source, why) for c, why in refused])
    out.say(f"{sent} {'would be ' if dry_run else ''}sent back, {len(refused)} refused")
    if refused:
        raise typer.Exit(1)


Copies = list[tuple[Quarantined, bytes]]


async def _judged(
    settings: Settings, reason: str | None, source: str | None
) -> tuple[Copies, list[tuple[Quarantined, str]]]:
    """What is understood by now, each with its key; and what is not, each with why."""
    from audit_stream.app.checks import load_status_map

    status_map = load_status_map(settings)
    good: Copies = []
    refused: list[tuple[Quarantined, str]] = []
    for copy in await _read(settings, reason):
        if source not in (None, copy.source):
            continue
        if copy.cut_from is not None:
            refused.append((copy, "truncated: only the raw topic has all of it"))
            continue
        judged = read_event(copy.value, status_map)
        if isinstance(judged, Event):
            good.append((copy, judged.message_uuid.encode()))
        else:
            refused.append((copy, judged or "intermediate"))
    return good, refused


async def _send(settings: Settings, good: Copies) -> int:
    from audit_stream.app.topics import archived_topics

    targets = archived_topics(settings)
    connection = KafkaConnection.from_settings(settings)
    return await send_back(
        connection, good, settings.partitions, lambda topic: targets.get(topic, topic)
    )
