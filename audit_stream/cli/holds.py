"""`audit-stream hold`: declare legal holds, release them by two persons, make the store hold them.

Who calls it is whom the operating system let in; `--by` says for whom they act, and both stand in
the log line.
"""

from __future__ import annotations

import asyncio
import logging.config
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from audit_stream.cli.acting import By, log_act
from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output
from audit_stream.errors import AuditError, RequestError
from audit_stream.settings import Settings
from audit_stream.telemetry.logs import logging_config

if TYPE_CHECKING:
    from audit_stream.app.holds import HoldKeeper
    from audit_stream.evidence.hold import Scope
    from audit_stream.holds.filing import Wanted
    from audit_stream.holds.hold import Hold
    from audit_stream.holds.standing import HoldStanding

app = typer.Typer(no_args_is_help=True, help="Legal holds: declare, release, make them held.")
R = TypeVar("R")
_FOUND = 1
_COLUMNS = ("hold", "state", "holds", "matter", "custodian", "declared by", "approved by", "since",
            "declared", "enforced", "segments")  # fmt: skip

HoldId = Annotated[str, typer.Argument(metavar="ID", help="As hold list has it.")]
_Many = typer.Option(show_default=False)


@app.command()
def add(
    matter: Annotated[str, typer.Option(help="Reference of the matter; it stands in WORM.")],
    custodian: Annotated[str, typer.Option(help="Id of who answers for it.")],
    reason: Annotated[str, typer.Option(help="Reference of why, e.g. of the court's order.")],
    by: By,
    approver: Annotated[str, typer.Option(help="Id of who approved it: another person.")],
    customer: Annotated[list[str] | None, _Many] = None,
    address: Annotated[list[str] | None, _Many] = None,
    tenant: Annotated[list[str] | None, _Many] = None,
    message: Annotated[list[str] | None, _Many] = None,
    workflow: Annotated[list[str] | None, _Many] = None,
    source: Annotated[list[str] | None, typer.Option(
        "--range", help="topic/generation/partition/first-last", show_default=False)] = None,
    as_json: Json = False, config: Config = None,
) -> None:  # fmt: skip
    """Declare a hold, by customer (or address) of a tenant, message, workflow or source range.

    It holds from now on: nothing of it is erased or disposed of, and the store is made to hold it.
    A customer never goes into WORM: what is spelled otherwise is another customer, so give each
    spelling. To repeat it is safe: the hold of the same matter and scope is found.
    """
    settings, out = Settings.load(config), Output(as_json)
    who = {"matter": matter, "custodian": custodian, "reason": reason, "declared_by": by,
           "approved_by": approver}  # fmt: skip
    values = {"message": message, "workflow": workflow, "range": source}
    persons = [("external", each) for each in customer or ()]
    persons += [("address", each) for each in address or ()]

    async def declare(keeper: HoldKeeper) -> tuple[Hold, bool]:
        wanted = _wanted(keeper, persons, tenant or [], values, who)
        hold = await keeper.file(wanted)
        log_act(settings, f"hold {hold.hold_id}: filed", by)
        hold = await _carried_out(keeper, hold, out)
        return hold, keeper.erased(wanted.tags)  # behind it: now no erasure can come between

    hold, erased = _run(settings, declare)
    _say(hold, out)
    if erased:
        out.note(
            "already erased: nothing links records to them any more; hold what is known of them "
            "by --message, --workflow or --range"
        )


def _wanted(
    keeper: HoldKeeper, persons: list[tuple[str, str]], tenants: list[str],
    values: dict[str, list[str] | None], who: dict[str, Any],
) -> Wanted:  # fmt: skip
    """What is to be filed."""
    from audit_stream.evidence.hold import Kind
    from audit_stream.holds.filing import Wanted, held_tags

    given = {kind: found for kind, found in values.items() if found}
    if len(given) + bool(persons) != 1:
        raise RequestError(
            "a hold is by one kind of thing",
            hint="one of --customer/--address, --message, --workflow, --range",
        )
    if not persons:
        [(kind, found)] = given.items()
        return Wanted(kind=Kind(kind), values=found, **who)
    if not tenants:
        raise RequestError("a customer is one of a tenant", hint="name it with --tenant")
    ring, nobody = keeper.ring.keyring, keeper.settings.placeholder_ids
    subjects = [(tenant, *person) for tenant in tenants for person in persons]
    tags = [tag for subject in subjects for tag in held_tags(ring, subject, nobody)]
    return Wanted(kind=Kind.CUSTOMER, tags=tags, **who)


@app.command()
def release(
    hold_id: HoldId, by: By,
    reason: Annotated[str, typer.Option(help="Reference of why it ends; it stands in WORM.")],
    as_json: Json = False, config: Config = None,
) -> None:  # fmt: skip
    """File a hold's release, a lost one's, too. It holds on until a second person approves:
    `hold approve`."""
    settings, out = Settings.load(config), Output(as_json)

    async def filing(keeper: HoldKeeper) -> Hold:
        from audit_stream.app.now import now

        entry = await keeper.entry(hold_id)
        return await keeper.holds.release(hold_id, by, now(), reason, entry)

    _say(_run(settings, filing), out)
    log_act(settings, f"hold {hold_id}: release filed", by)


@app.command()
def approve(hold_id: HoldId, by: By, as_json: Json = False, config: Config = None) -> None:
    """Approve a hold's release, as another person than filed it, and declare it released."""
    settings, out = Settings.load(config), Output(as_json)

    async def approving(keeper: HoldKeeper) -> Hold:
        from audit_stream.app.now import now

        entry = await keeper.entry(hold_id)
        hold = await keeper.holds.approve(hold_id, by, now(), entry)
        log_act(settings, f"hold {hold_id}: release approved", by)
        return await _carried_out(keeper, hold, out)

    _say(_run(settings, approving), out)


@app.command("list")
def list_holds(as_json: Json = False, config: Config = None) -> None:
    """Every hold: its state, and what is declared against what the store is known to hold."""
    _show(Settings.load(config), Output(as_json), read_back=False)


@app.command()
def status(as_json: Json = False, config: Config = None) -> None:
    """The same, every held object read back from the store. Exit 1: something is not held."""
    if _show(Settings.load(config), Output(as_json), read_back=True):
        raise typer.Exit(_FOUND)


@app.command("run")
def keep(
    every: Annotated[float | None, typer.Option(
        min=1, help="Go on, so many seconds after each pass; else once.", show_default=False,
    )] = None,
    as_json: Json = False, config: Config = None,
) -> None:  # fmt: skip
    """Declare what was filed, and make the store hold what is declared and nothing else.

    Needs the keyring with the segment key, and the right to set holds. Exit 1 (without --every):
    something declared is not held.
    """
    settings, out = Settings.load(config), Output(as_json)
    if every is not None:
        from audit_stream.app.holds import run_holds

        logging.config.dictConfig(logging_config(settings.log_level, settings.log_format))
        asyncio.run(run_holds(settings, every))
        return

    async def once(keeper: HoldKeeper) -> Any:
        return await keeper.carry_out_filed(), await keeper.enforce(recheck=True)

    done, found = _run(settings, once)
    out.document({
        "carried_out": [{"action": each.action.value, "hold_id": each.hold_id,
                         "number": each.number} for each in done],
        "declared": found.declared, "failures": list(found.failures), "level": found.level.value,
        "missing": list(found.missing), "segments": found.segments,
    })  # fmt: skip
    for each in done:
        out.say(f"{each.hold_id} {each.action.value} (entry {each.number})")
    out.say(f"{found.declared} declared, {len(found.missing)} of them not enforced; "
            f"the store holds by: {found.level.value}")  # fmt: skip
    for failure in found.failures:
        out.note(failure)
    if found.missing:
        raise typer.Exit(_FOUND)


def _run(settings: Settings, work: Callable[[HoldKeeper], Awaitable[R]]) -> R:
    from audit_stream.app.holds import open_holds

    async def run() -> R:
        async with open_holds(settings) as keeper:
            return await work(keeper)

    return asyncio.run(run())


async def _carried_out(keeper: HoldKeeper, hold: Hold, out: Output) -> Hold:
    """Declared at once where this view of the keyring may; else the keeper does it. What is filed
    holds by itself, so its id is said whatever keeps it from being declared."""
    if not keeper.may_declare:
        return hold
    try:
        await keeper.carry_out_filed()
    except AuditError:
        _say(hold, out)
        out.note(
            f"{hold.hold_id} is {hold.state.value} and holds, and is not in the register yet: "
            "the keeper's next pass does it, or audit-stream hold run"
        )
        raise
    return await keeper.holds.get(hold.hold_id) or hold


def _say(hold: Hold, out: Output) -> None:
    out.document({"hold_id": hold.hold_id, "scope": hold.scope.said(), "state": hold.state.value})
    out.say(f"{hold.hold_id} {hold.state.value}")


def _show(settings: Settings, out: Output, *, read_back: bool) -> int:
    """How many are declared and not enforced."""

    async def look(keeper: HoldKeeper) -> Any:
        return await keeper.standings(read_back=read_back)

    level, found = _run(settings, look)
    missing: int = sum(each.missing for each in found)
    out.document({"holds": list(map(_document, found)), "level": level.value, "missing": missing})
    out.table("Legal holds", _COLUMNS, list(map(_row, found)))
    declared = sum(each.declared for each in found)
    out.say(f"{declared} declared, {missing} of them not enforced; the store holds by: "
            f"{level.value}")  # fmt: skip
    return missing


def _row(each: HoldStanding) -> tuple[object, ...]:
    return (
        each.hold_id, each.state, _held(each.scope), each.matter, each.custodian, each.declared_by,
        each.approved_by, each.since, "yes" if each.declared else "no",
        "yes" if each.enforced else "no", each.segments,
    )  # fmt: skip


def _held(scope: Scope) -> str:
    if not scope.values:
        return scope.kind.value
    more = f" and {len(scope.values) - 1} more" if len(scope.values) > 1 else ""
    return f"{scope.kind.value} {scope.values[0]}{more}"


def _document(each: HoldStanding) -> dict[str, Any]:
    return {
        "approved_by": each.approved_by, "custodian": each.custodian, "declared": each.declared,
        "declared_by": each.declared_by, "enforced": each.enforced, "hold_id": each.hold_id,
        "matter": each.matter, "scope": each.scope.said(), "segments": each.segments,
        "since": each.since, "state": each.state,
    }  # fmt: skip
