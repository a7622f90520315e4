"""`audit-stream topics`: make the broker match what ``topics/`` declares."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from audit_stream.cli.generations import new_generation
from audit_stream.cli.options import Config, Json
from audit_stream.kafka.topic_plan import Plan, Row, Wanted, resolve, rows
from audit_stream.kafka.topics import load_topics
from audit_stream.settings import Settings

app = typer.Typer(help="Topics as code: compare and apply the declarations.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Topics as code: compare and apply the declarations in topics/."""


@app.command()
def apply(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the difference and change nothing.")
    ] = False,
    broker: Annotated[
        str | None, typer.Option(help="Bootstrap servers, as kafka://host:port.")
    ] = None,
    partitions: Annotated[
        int | None, typer.Option(help="Partitions of the raw topics and what follows them.")
    ] = None,
    replication: Annotated[
        int | None,
        typer.Option(help="Replicas of every topic, for a cluster smaller than declared."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Create missing topics and set their settings, showing the difference first.

    Never shrinks anything, changes a partition count or touches a raw topic that exists: what is
    wrong there is reported, and the exit code is 1.
    """
    from audit_stream.kafka.connect import KafkaConnection
    from audit_stream.kafka.topic_apply import apply_plan, plan_topics

    settings = Settings.load(config, broker=broker, partitions=partitions, replication=replication)
    wanted = wanted_topics(settings)
    connection = KafkaConnection.from_settings(settings)
    plan = asyncio.run(plan_topics(connection, wanted))
    if not as_json:
        _show(plan, len(wanted))
    if plan.changes and not dry_run:
        asyncio.run(apply_plan(connection, plan))
        if not as_json:
            typer.echo(f"{plan.changes} change(s) applied")
    if as_json:
        document = {"applied": not dry_run, "rows": [asdict(row) for row in rows(plan)]}
        typer.echo(orjson.dumps(document).decode())
    if plan.findings:
        raise typer.Exit(1)


app.command(name="new-generation")(new_generation)


def wanted_topics(settings: Settings) -> Sequence[Wanted]:
    """Every topic this installation needs, with its partitions and replicas."""
    topics = load_topics(
        raw_topics=settings.topics, rekey_topics=settings.rekey_topics, app_id=settings.app_id
    )
    return resolve(topics, partitions=settings.partitions, replication=settings.replication)


def _show(plan: Plan, count: int) -> None:
    lines = rows(plan)
    if not lines:
        typer.echo(f"all {count} topics are as declared")
        return
    console = Console(soft_wrap=True)
    if console.is_terminal:
        console.print(_table(lines))
        return
    for row in lines:
        change = f"{row.before} -> {row.after}" if row.before else row.after
        typer.echo(f"{row.mark} {row.topic}: {row.what}{f': {change}' if change else ''}")


def _table(lines: Sequence[Row]) -> Table:
    colours = {"+": "green", "~": "yellow", "!": "red"}
    table = Table("", "Topic", "What", "Before", "After, or what to do", box=None)
    for row in lines:
        table.add_row(row.mark, row.topic, row.what, row.before, row.after, style=colours[row.mark])
    return table
