"""`audit-stream topics new-generation`: go on with a topic that is not what it was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output
from audit_stream.errors import ConfigError
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.app.generations import Break

_REASON_CHARACTERS = 500


def new_generation(
    topic: Annotated[str, typer.Argument(help="One of AUDIT_TOPICS.")],
    reason: Annotated[
        str,
        typer.Option(help="Why, for the record; it is archived for ever: no personal data."),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be recorded; record nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the topic's name.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Begin one although nothing is wrong with the topic.")
    ] = False,
    accept_unarchived: Annotated[
        bool,
        typer.Option(
            "--accept-unarchived",
            help="Records of the same log that are not archived yet go into the new generation.",
        ),
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Go on after a topic was recreated, repartitioned or cut back, or its cluster replaced.

    Closes the chains of the topic's generation in the archive for good and founds the next one:
    what ended where, and why, is on record. Stop the fleet first; a worker that runs is shut out.

    Exit 1: another operator was first, or the name was not confirmed.
    """
    settings = Settings.load(config)
    _check_reason(reason)
    asyncio.run(
        _new_generation(
            settings, Output(as_json), topic, reason, dry_run=dry_run, yes=yes, force=force,
            accept_unarchived=accept_unarchived,
        )
    )  # fmt: skip


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > _REASON_CHARACTERS or not reason.isprintable():
        raise ConfigError(
            f"--reason is one line of at most {_REASON_CHARACTERS} characters",
            hint="say what happened to the topic, for someone who reads it in ten years",
        )


async def _new_generation(
    settings: Settings, out: Output, topic: str, reason: str, *, dry_run: bool, yes: bool,
    force: bool, accept_unarchived: bool,
) -> None:  # fmt: skip
    from audit_stream.app.checks import load_archive_keyring
    from audit_stream.app.generations import begin, check_needed, survey
    from audit_stream.app.places import archive_to_read, archive_to_write
    from audit_stream.kafka.connect import KafkaConnection

    name = _archived(settings, topic)
    ring = load_archive_keyring(settings, closed=True)
    store = (archive_to_read if dry_run else archive_to_write)(settings)
    try:
        found = await survey(store, ring, KafkaConnection.from_settings(settings), name)
        _show(out, found)
        if dry_run:
            out.document(_document(found, None))
        check_needed(found, force=force, accept_unarchived=accept_unarchived)
        if dry_run:
            return
        _confirm(name, found, yes=yes)
        stream, ours = await begin(store, ring, found, reason)
    finally:
        await store.close()
    out.document(_document(found, stream))
    _tell(out, settings, stream, ours)
    if not ours:
        raise typer.Exit(1)


def _archived(settings: Settings, topic: str) -> str:
    """The archived topic that is meant: a rekeyed one stands for its twin."""
    from audit_stream.app.topics import archived_topics

    archived = archived_topics(settings)
    if topic in archived:
        return archived[topic]
    if topic in archived.values():
        return topic
    raise ConfigError(f"{topic} is not one of AUDIT_TOPICS", hint=f"one of {', '.join(archived)}")


def _confirm(topic: str, found: Break, *, yes: bool) -> None:
    if yes:
        return
    number = found.before.generation
    typed = typer.prompt(f"To end generation {number} for good, type {topic}", err=True)
    if typed != topic:
        typer.echo("that is not its name: nothing was recorded", err=True)
        raise typer.Exit(1)


def _show(out: Output, found: Break) -> None:
    before, topic = found.before, found.topic
    for fault in found.wrong or ("nothing is wrong with the topic",):
        out.say(fault)
    rows = [
        (p.partition, _or_none(p.archived_next), _range(p.log_start, p.end), _or_none(p.genesis),
         p.unarchived, p.lost)
        for p in found.partitions
    ]  # fmt: skip
    out.table(
        f"{before.topic}: from generation {before.generation} to {before.generation + 1}",
        ["partition", "archived to", "broker has", "begins at", "unarchived", "lost"], rows,
    )  # fmt: skip
    out.say(f"partitions: {before.partitions} -> {topic.partitions}")
    if found.other_log:
        out.say(
            "Where the broker has another log, what the old one held behind the archive cannot be "
            "known: it is lost unless the platform publishes it again."
        )


def _or_none(offset: int | None) -> object:
    return "-" if offset is None else offset


def _range(start: int | None, end: int | None) -> str:
    return "nothing" if start is None or end is None else f"{start} to {end}"


def _tell(out: Output, settings: Settings, stream: StreamObject, ours: bool) -> None:
    if not ours:
        out.note(
            f"another operator began generation {stream.generation} of {stream.topic} first: "
            f"{stream.reason}"
        )
        return
    out.say(f"generation {stream.generation} of {stream.topic} has begun: {stream.reason}")
    if stream.partitions == settings.partitions:
        out.say("start the fleet")
        return
    out.say(
        f"before the fleet starts: every raw topic needs {stream.partitions} partitions and a new "
        f"generation; set AUDIT_PARTITIONS={stream.partitions}, then run audit-stream state rebuild"
    )


def _document(found: Break, stream: StreamObject | None) -> dict[str, Any]:
    partitions = [
        {
            "partition": p.partition, "archived_next": p.archived_next, "log_start": p.log_start,
            "end": p.end, "genesis": p.genesis, "same_log": p.continues,
            "unarchived": p.unarchived, "lost": p.lost,
        }
        for p in found.partitions
    ]  # fmt: skip
    return {
        "topic": found.before.topic, "ended": found.before.generation, "wrong": list(found.wrong),
        "partitions": partitions, "unarchived": found.unarchived, "lost": found.lost,
        "unknown_loss": found.other_log,
        "begun": None if stream is None else {
            "generation": stream.generation, "stream": stream.stream, "reason": stream.reason,
            "genesis": list(stream.genesis),
        },
    }  # fmt: skip
