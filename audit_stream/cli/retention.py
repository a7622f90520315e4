"""`audit-stream retention`: what has expired, and disposing of it by the word of two people."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from audit_stream.cli.acting import By, log_act
from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output
from audit_stream.errors import ConfigError, ForkAlarm, FormatError, StoreError
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.cli.retention_parts import Parts
    from audit_stream.retention.owed import Owed
    from audit_stream.retention.plan import Plan
    from audit_stream.retention.purge import Purge
    from audit_stream.retention.purging import Carried

R = TypeVar("R")
Id = Annotated[str, typer.Argument(metavar="ID", help="The purge's id, as status has it.")]
_FOUND, _CANNOT_JUDGE = 1, 3
#: Said before a year's key is destroyed, and when it is.
_REPLACE = (
    "Every other view, and every Secret that one was copied into, is refused from then on: until "
    "it is replaced, workers with it seal nothing and gateways answer 503."
)

app = typer.Typer(help="What has expired; disposing of it.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Retention and disposal."""


@app.command()
def status(as_json: Json = False, config: Config = None) -> None:
    """The classes and how long each is kept, purges, and removals that are owed.

    Exit 1: a certificate says that something is gone, and it is not yet. 3: the archive cannot be
    read.
    """
    settings, out = Settings.load(config), Output(as_json)

    async def ask(parts: Parts) -> tuple[list[Purge], list[Owed]]:
        return await parts.purges.all(), await parts.owed()

    purges, owed = _with_parts(settings, out, ask)
    classes = [_class(settings, tag) for tag in settings.classes]
    out.document({
        "classes": classes, "purges": [each.encode() for each in purges],
        "owed": [_owed(each) for each in owed],
    })  # fmt: skip
    out.table("Retention classes", ["class", "days", "archive", "topics"],
              [[*each.values()] for each in classes])  # fmt: skip
    if purges:
        out.table("Purges", ["id", "class", "state", "segments", "records", "by", "approved by"], [
            [each.id, each.regulatory_tag, each.state.value, each.segments, each.records,
             each.requested_by, each.approved_by or "-"] for each in purges
        ])  # fmt: skip
    for each in owed:
        out.say(f"OWED {each.disposal.disposal_id}: {len(each.segments)} segments, "
                f"{len(each.subjects)} subject objects, keys of {list(each.years) or 'no year'}: "
                "audit-stream retention run")  # fmt: skip
    if owed:
        raise typer.Exit(_FOUND)


@app.command()
def purge(
    tag: Annotated[str, typer.Option("--class", help="The retention class.")],
    by: Annotated[str | None, typer.Option(
        "--by", help="Your id, to file it: a second person approves it.", show_default=False,
    )] = None,
    basis: Annotated[str | None, typer.Option(
        help="Why; it stands in the certificate for ever: name no person.",
        show_default="the class's retention",
    )] = None,
    as_json: Json = False, config: Config = None,
) -> None:  # fmt: skip
    """What of a class would be disposed of now, and what stays nevertheless. With --by it is filed;
    nothing is removed before `retention approve` and `retention run`.

    Exit 1: nothing has expired. 3: the archive cannot be read.
    """
    from audit_stream.app.now import now
    from audit_stream.retention.purges import new_purge

    settings, out = Settings.load(config), Output(as_json)
    if tag not in settings.classes:
        raise ConfigError(
            f"{tag} is no topic's class", hint=f"one of {', '.join(settings.classes)}"
        )
    days = settings.class_days(tag)
    why = basis or f"retention of {days} days is over"

    async def ask(parts: Parts) -> tuple[Plan, Purge | None]:
        plan = await parts.survey(tag, _clock())
        if by is None or not plan.segments:
            return plan, None
        filed = new_purge(plan, tag, days, by, why, now())
        await parts.purges.file(filed)
        return plan, filed

    plan, filed = _with_parts(settings, out, ask, tag)
    views = list(settings.keyring_views) if plan.segments and plan.years else []
    document = _plan(plan) | {"class": tag, "purge": filed and filed.encode(), "views": views}
    out.document(document)
    _say_plan(out, tag, plan)
    if plan.segments and plan.years:
        _say_years(out, plan, views)
    if filed is not None:
        log_act(settings, f"purge {filed.id}: filed", by)
        out.say(f"filed as {filed.id}: audit-stream retention approve {filed.id} --by SECOND")
    if not plan.segments:
        raise typer.Exit(_FOUND)


@app.command()
def approve(purge_id: Id, by: By, as_json: Json = False, config: Config = None) -> None:
    """Approve a purge, as a second person. `retention run` carries it out."""
    from audit_stream.app.now import now

    settings = _change(config, as_json, lambda parts: parts.purges.approve(purge_id, by, now()))
    log_act(settings, f"purge {purge_id}: approved", by)


@app.command()
def withdraw(purge_id: Id, as_json: Json = False, config: Config = None) -> None:
    """Withdraw a purge that has no certificate yet."""
    settings = _change(config, as_json, lambda parts: parts.purges.withdraw(purge_id))
    log_act(settings, f"purge {purge_id}: withdrawn")


@app.command()
def run(as_json: Json = False, config: Config = None) -> None:
    """Carry out what was approved, and what a run that was cut off left: certificate, segments,
    subject objects, keys of years. Needs the whole keyring, and an identity that may delete.

    Exit 1: something is owed, for a store, a hold or a later segment keeps it still. 3: a store
    cannot be read.
    """
    from audit_stream.cli.retention_parts import carry_out
    from audit_stream.retention.purge import State

    settings, out = Settings.load(config), Output(as_json)
    ran = _translated(out, lambda: asyncio.run(carry_out(settings, _clock())))
    views = [] if ran.epoch is None else list(settings.keyring_views)
    out.document({"purges": [_carried(each) for each in ran.carried], "views": views})
    for each in ran.carried:
        out.say(f"{each.purge.id}: {each.purge.state.value}, {each.removed} segments removed, "
                f"{each.owed} owed")  # fmt: skip
        if each.plan is not None:
            _say_blocked(out, each.plan)
        if each.years:
            out.say(f"destroyed the keys of {', '.join(map(str, each.years))}: make a backup "
                    "anew, older ones are refused")  # fmt: skip
    if ran.epoch is not None:
        out.say(f"The keyring's epoch is {ran.epoch} now. Brought up: {_named(views)}. {_REPLACE}")
    if not ran.carried:
        out.say("nothing is approved, nothing is owed")
    if any(each.purge.state is State.CERTIFIED for each in ran.carried):
        raise typer.Exit(_FOUND)


def _class(settings: Settings, tag: str) -> dict[str, Any]:
    topics = [each for each in settings.topics if settings.regulatory_tag(each) == tag]
    return {
        "class": tag, "days": settings.class_days(tag),
        "archive": settings.archives.get(tag, settings.archive), "topics": topics,
    }  # fmt: skip


def _clock() -> int:
    return time.time_ns() // 1_000_000


def _with_parts(
    settings: Settings, out: Output, ask: Callable[[Parts], Awaitable[R]], tag: str | None = None
) -> R:
    from audit_stream.cli.retention_parts import open_parts

    async def asked() -> R:
        async with open_parts(settings, tag) as parts:
            return await ask(parts)

    return _translated(out, lambda: asyncio.run(asked()))


def _translated(out: Output, call: Callable[[], R]) -> R:
    try:
        return call()
    except (StoreError, FormatError, ForkAlarm) as error:
        out.note(f"{error.code}: {error}")
        raise typer.Exit(_CANNOT_JUDGE) from error


def _change(config: Any, as_json: bool, change: Callable[[Parts], Awaitable[Purge]]) -> Settings:
    settings, out = Settings.load(config), Output(as_json)
    found = _with_parts(settings, out, change)
    out.document(found.encode())
    out.say(f"{found.id}: {found.state.value}")
    return settings


def _say_plan(out: Output, tag: str, plan: Plan) -> None:
    from audit_stream.evidence.encoding import time_text

    if plan.segments:
        first, last = (
            None if ms is None else time_text(ms) for ms in (plan.first_ms, plan.last_ms)
        )
        when = f"records of {first} to {last}" if first else "no records"
        out.say(f"{tag}: {plan.segments:,} segments have expired: {plan.records:,} records, "
                f"{plan.bytes:,} bytes, {when}")  # fmt: skip
        columns = ["topic", "generation", "partition", "offsets", "segments", "records"]
        out.table("Stretches", columns, [
            [each.topic, each.generation, each.partition, f"{each.base} to {each.next - 1}",
             each.segments, each.records] for each in plan.stretches()
        ])  # fmt: skip
    else:
        out.say(f"{tag}: nothing is to be disposed of")
    _say_blocked(out, plan)


def _say_years(out: Output, plan: Plan, views: list[str]) -> None:
    out.say(f"the keys of {', '.join(map(str, plan.years))} go with it: nothing needs them")
    out.say("The run that destroys them raises the keyring's epoch, though nobody is erased. It "
            f"brings up {_named(views)}. {_REPLACE}")  # fmt: skip


def _named(views: list[str]) -> str:
    return ", ".join(views) or "no view, for AUDIT_KEYRING_VIEWS names none here"


def _say_blocked(out: Output, plan: Plan) -> None:
    for why, count in sorted(plan.blocked.items()):
        out.say(f"{count:,} more stay: {why}")
    if plan.holds:
        out.say(f"holds: {', '.join(sorted(plan.holds))}")


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "segments": plan.segments, "records": plan.records, "bytes": plan.bytes,
        "first_ms": plan.first_ms, "last_ms": plan.last_ms, "blocked": dict(plan.blocked),
        "holds": sorted(plan.holds), "years": list(plan.years),
        "stretches": [asdict(each) for each in plan.stretches()],
    }  # fmt: skip


def _owed(owed: Owed) -> dict[str, Any]:
    return {
        "disposal": owed.disposal.disposal_id, "segments": [str(each) for each in owed.segments],
        "subjects": len(owed.subjects), "years": list(owed.years),
    }  # fmt: skip


def _carried(carried: Carried) -> dict[str, Any]:
    return {
        "id": carried.purge.id, "state": carried.purge.state.value, "removed": carried.removed,
        "owed": carried.owed, "years": list[Any](carried.years),
        "blocked": {} if carried.plan is None else dict(carried.plan.blocked),
    }  # fmt: skip
