"""The rest of `audit-stream redact`: fleet, openings, returns, sweeps; and what all shares."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import orjson
import typer

from audit_stream.cli.acting import ByOrLogin, actor, log_act
from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output
from audit_stream.errors import ConfigError
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.app.erasing import Erasing
    from audit_stream.archive.fleet import Member
    from audit_stream.archive.receivers import Receiver
    from audit_stream.erasure.barrier import Blocker
    from audit_stream.erasure.filing import Kind
    from audit_stream.erasure.notifying import Progress

T = TypeVar("T")
Ref = Annotated[str, typer.Argument(help="The request's reference.")]
_STDIN = "-"


def with_place(settings: Settings, work: Callable[[Erasing], Awaitable[T]]) -> T:
    """What `work` does with the installation, opened for it."""
    from audit_stream.app.erasing import erasing

    async def run() -> T:
        async with erasing(settings) as place:
            return await work(place)

    return asyncio.run(run())


def who(
    customer: str | None, address: str | None, message: str | None
) -> tuple[Kind, str]:  # fmt: skip
    """Who was named, in one of three ways; ``-`` is read, so that no list of processes shows it."""
    given: dict[Kind, str | None] = {"customer": customer, "address": address, "message": message}
    named = [(kind, text) for kind, text in given.items() if text is not None]
    if len(named) != 1:
        raise ConfigError("name one of --customer, --address and --message")
    kind, text = named[0]
    return kind, sys.stdin.readline().rstrip("\n") if text == _STDIN else text


def fleet(as_json: Json = False, config: Config = None) -> None:
    """The processes that hold keys, of which epoch, and who would hold an erasure up."""
    settings, out = Settings.load(config), Output(as_json)

    async def look(place: Erasing) -> tuple[list[Member], list[Blocker]]:
        from audit_stream.archive.fleet import members

        found = await members(place.private)
        looked = await place.barrier(place.ring.keyring.epoch).look()
        return found, list(looked.blockers)

    known, blockers = with_place(settings, look)
    _tell_fleet(out, known, blockers)


def _tell_fleet(out: Output, known: list[Member], blockers: list[Blocker]) -> None:
    columns = ["process", "role", "host", "epoch", "said", "since"]
    rows = [tuple(getattr(each, name) for name in columns) for each in known]
    waiting = [(each.process, each.why) for each in blockers]
    out.document({
        "processes": [dict(zip(columns, row, strict=True)) for row in rows],
        "blockers": [{"process": process, "why": why} for process, why in waiting],
    })  # fmt: skip
    out.table("Processes", columns, rows)
    for process, why in waiting:
        out.say(f"{process} {why}")


def excuse(
    process: Annotated[str | None, typer.Argument(
        help="As redact fleet names it.", show_default=False,
    )] = None,
    target: Annotated[str | None, typer.Option(
        help="A receiver instead, as redact receivers names it.", show_default=False,
    )] = None,
    reason: Annotated[str, typer.Option(
        help="How you know that it is gone, memory and all; of a receiver, what becomes of its "
        "copies. It names no person.",
    )] = ...,  # type: ignore[assignment]
    for_good: Annotated[bool, typer.Option(
        help="Of a receiver: it has no copies any more, so no later erasure tells it, either.",
    )] = False,
    by: ByOrLogin = None, config: Config = None,
) -> None:  # fmt: skip
    """Say that a process is gone for good, or answer for a receiver that cannot be told to erase:
    for the erasure at work. It stands in the certificates, with your id."""
    settings = Settings.load(config)
    if (process is None) == (target is None):
        raise ConfigError("name a process, or a receiver with --target")
    if for_good and target is None:
        raise ConfigError("--for-good is about a receiver", hint="name it with --target")

    async def work(place: Erasing) -> None:
        from audit_stream.app.now import now
        from audit_stream.erasure.barrier import excuse as excuse_process
        from audit_stream.erasure.notifying import excuse_receiver

        if process is not None:
            await excuse_process(place.private, process, actor(by), reason)
        else:
            await excuse_receiver(
                place.private, str(target), actor(by), reason, now(), for_good=for_good
            )

    with_place(settings, work)
    named = f"process {process}" if process else f"receiver {target}"
    log_act(settings, f"{named}: excused", by)
    Output().say(f"{process or target} is no longer waited for: run audit-stream redact run")


def receivers(as_json: Json = False, config: Config = None) -> None:
    """Who was ever sent personal fields, and how far each is with the notice at work."""
    settings, out = Settings.load(config), Output(as_json)

    async def look(place: Erasing) -> tuple[list[Receiver], list[Progress]]:
        from audit_stream.archive.receivers import receivers as noted
        from audit_stream.erasure.notifying import at_work

        return await noted(place.private), await at_work(place.private)

    known, notified = with_place(settings, look)
    far = {each.target: each for each in notified}
    rows = [
        (each.name, ", ".join(each.fields), each.since,
         far[each.name].said if each.name in far else "nothing waits for it")
        for each in known
    ]  # fmt: skip
    columns = ["receiver", "fields", "since", "notice"]
    out.document([dict(zip(columns, row, strict=True)) for row in rows])
    out.table("Receivers", columns, rows)
    if not rows:
        out.say("nobody was ever sent personal fields")


def opening(
    ref: Ref,
    out_file: Annotated[Path, typer.Option("--out", help="A new file, for the requester only.")],
    by: ByOrLogin = None, config: Config = None,
) -> None:  # fmt: skip
    """What shows which records a certificate is about: once, to whoever filed the request.

    It links records of one person. It is removed here once it was written.
    """
    from audit_stream.erasure.opening import take_opening
    from audit_stream.keys.file import write_new

    settings = Settings.load(config)

    async def work(place: Erasing) -> None:
        await take_opening(
            place.private, place.requests, ref, actor(by),
            lambda value: write_new(out_file, orjson.dumps(value) + b"\n"),
        )  # fmt: skip

    with_place(settings, work)
    log_act(settings, f"request {ref}: opening taken", by)
    Output().say(f"wrote {out_file}; it is not kept here any more")


def return_(
    customer: Annotated[str | None, typer.Option(help="The customer's id; - reads it.")] = None,
    address: Annotated[str | None, typer.Option(help="An address; - reads it.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose customer they are.")] = ...,  # type: ignore[assignment]
    config: Config = None,
) -> None:  # fmt: skip
    """Someone who was erased is a customer again: what comes from now on has personal fields.

    What was erased stays erased. Needs the whole keyring.
    """
    from audit_stream.erasure.returning import bring_back

    kind, typed = who(customer, address, None)
    settings = Settings.load(config)
    generation = with_place(
        settings, lambda place: bring_back(place.installation(), kind, typed, tenant)
    )
    log_act(settings, f"a person who was erased: brought back, generation {generation}")
    Output().say(f"from the next key epoch on they are there again, generation {generation}")


def sweep(as_json: Json = False, config: Config = None) -> None:
    """Zero every tag in the subject objects that the keyring cannot derive, and remove orphans:
    for objects that came back, from a backup or a store that was away."""
    settings, out = Settings.load(config), Output(as_json)
    swept = with_place(settings, lambda place: place.sweep())
    out.document({"objects": swept.objects, "zeroed": swept.zeroed, "removed": swept.removed})
    out.say(f"{swept.objects} subject objects, {swept.zeroed} rewritten, {swept.removed} orphans "
            "removed")  # fmt: skip
