"""`audit-stream redact`: erase a person, in two hands, with a certificate."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream.cli import redact_more
from audit_stream.cli.acting import ByOrLogin, actor, log_act
from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output
from audit_stream.cli.redact_more import Ref, who, with_place
from audit_stream.errors import ConfigError
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit_stream.app.erasing import Erasing
    from audit_stream.erasure.filing import DryRun
    from audit_stream.erasure.request import Request

app = typer.Typer()


@app.callback(invoke_without_command=True)
def ask(
    context: typer.Context,
    customer: Annotated[str | None, typer.Option(
        help="The customer's id; - reads it from standard input, where no list of processes and no "
        "history shows it.",
    )] = None,
    address: Annotated[str | None, typer.Option(
        help="An address, of records without a customer's id; - reads it.",
    )] = None,
    message: Annotated[str | None, typer.Option(
        help="A message's id: whoever it was for.",
    )] = None,
    tenant: Annotated[str | None, typer.Option(
        help="Only this tenant's; else all there are.",
    )] = None,
    request_ref: Annotated[str | None, typer.Option(
        help="Your reference of the request, e.g. a ticket: it names no person.",
    )] = None,
    basis: Annotated[str | None, typer.Option(
        help='The legal basis, e.g. "GDPR Art.17(1)(b)" or "CCPA 1798.105".',
    )] = None,
    with_variants: Annotated[bool, typer.Option(
        help="Erase the other spellings that were found, too: look at them first.",
    )] = False,
    by: ByOrLogin = None,
    dry_run: Annotated[bool, typer.Option(help="Look only; nothing is filed.")] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:  # fmt: skip
    """Look what an erasure would reach, and file the request. Nothing is erased by it: a second
    person approves (redact approve), then redact run carries it out.

    The records stay, with every hash and proof; their personal fields can then be opened by nobody.
    A repeated reference finds what became of the first.
    """
    if context.invoked_subcommand is not None:
        return
    kind, typed = who(customer, address, message)
    settings, out = Settings.load(config), Output(as_json)
    if not dry_run and (request_ref is None or basis is None):
        raise ConfigError("name --request-ref and --basis", hint="or look only, with --dry-run")

    async def work(place: Erasing) -> tuple[DryRun, Sequence[str], Request | None]:
        from audit_stream.app.now import now
        from audit_stream.erasure.filing import new_request

        found = await place.find(kind, typed, tenant)
        tags = found.chosen(with_variants)
        held = await place.held_by(tags)
        if dry_run:
            return found, held, None
        request = new_request(
            ref=str(request_ref), kind=kind, basis=str(basis), tags=tags, found=found.found(tags),
            by=actor(by), at=now(),
        )  # fmt: skip
        return found, held, await place.requests.file(request, place.ring.keyring.epoch)

    found, held, request = with_place(settings, work)
    if request is not None:
        log_act(settings, f"request {request.ref}: filed", by)
    _tell_found(out, found, held, request, with_variants)


def _tell_found(
    out: Output, found: DryRun, held: Sequence[str], request: Request | None, with_variants: bool
) -> None:  # fmt: skip
    told = found.found(found.chosen(with_variants))
    out.document({
        "held_by": list(held), "records": told.records, "tenants": told.tenants,
        "first": told.first, "last": told.last,
        "spellings": [
            {"spelling": each.spelling.text, "reason": each.spelling.reason,
             "records": each.records}
            for each in found.spelled
        ],
        "request": None if request is None else _document(request),
    })  # fmt: skip
    out.table("Spellings", ["spelling", "how", "records"], [
        (each.spelling.text, each.spelling.reason, each.records) for each in found.spelled
    ])  # fmt: skip
    period = f", from {told.first} to {told.last}" if told.first else ""
    out.say(f"{told.records} records, tenants: {', '.join(told.tenants) or 'none'}{period}")
    if held:
        out.say(f"held by {', '.join(held)}: it waits until they are released")
    if told.variants and not with_variants:
        out.say(f"{told.variants} other spellings have records, which are not among these: "
                "--with-variants takes them along")  # fmt: skip
    if request is not None:
        out.say(f"request {request.ref} is {request.state.value}, due by {request.due}")
        if request.state.value == "filed":
            out.say(f"a second person approves it: audit-stream redact approve {request.ref}")


@app.command()
def approve(ref: Ref, by: ByOrLogin = None, as_json: Json = False, config: Config = None) -> None:
    """Approve a request, as a second person. The next run carries it out; there is no way back."""
    from audit_stream.app.now import now

    settings, out = Settings.load(config), Output(as_json)
    request = with_place(settings, lambda place: place.requests.approve(ref, actor(by), now()))
    log_act(settings, f"request {ref}: approved", by)
    out.document(_document(request))
    out.say(f"request {ref} is {request.state.value}: audit-stream redact run carries it out")


@app.command()
def withdraw(ref: Ref, as_json: Json = False, config: Config = None) -> None:
    """Withdraw a request, as long as it is not at work."""
    settings, out = Settings.load(config), Output(as_json)
    request = with_place(settings, lambda place: place.requests.withdraw(ref))
    log_act(settings, f"request {ref}: withdrawn")
    out.document(_document(request))
    out.say(f"request {ref} is {request.state.value}")


@app.command("list")
def list_(as_json: Json = False, config: Config = None) -> None:
    """Every request: its state, by when it is due, what stands against it, its certificate."""
    settings, out = Settings.load(config), Output(as_json)
    found = with_place(settings, lambda place: place.requests.all())
    out.document([_document(each) for each in found])
    columns = ["reference", "state", "records", "due", "held by", "certificate"]
    out.table("Requests", columns, [
        (each.ref, each.state.value, each.found.records, each.due, ", ".join(each.held_by),
         "" if each.certificate is None else f"{each.certificate} {each.certificate_id}")
        for each in found
    ])  # fmt: skip


def _document(request: Request) -> dict[str, object]:
    value = request.encode()
    del value["tags"]  # they link records, and are nobody's business
    return value


@app.command()
def run(
    every: Annotated[float | None, typer.Option(
        min=1, help="Again and again, so many seconds after the last.", show_default=False,
    )] = None,
    as_json: Json = False, config: Config = None,
) -> None:  # fmt: skip
    """Carry out what is approved: at most 1,000 requests, in one batch. Needs the whole keyring.

    Goes on with a batch that was cut off. Exit 1 when a process still holds the old keys, or a
    receiver has not said that it erases: the next run goes on waiting for it. With --every it
    serves metrics, health and alarms until SIGTERM, and no failure ends it.
    """
    settings, out = Settings.load(config), Output(as_json)
    if every is None:
        _run_once(settings, out)
        return
    from audit_stream.app.eraser import run_erasures

    asyncio.run(run_erasures(settings, every))


def _run_once(settings: Settings, out: Output) -> None:
    from audit_stream.erasure.keeper import Keeper
    from audit_stream.evidence.redaction import redaction_of

    ran = with_place(settings, lambda place: Keeper(place.installation()).run())
    certified = [redaction_of(entry) for entry in ran.certified]
    held = ran.held or {}
    out.document({
        "certificates": [
            {"certificate_id": said.certificate_id, "count": said.count, "number": entry.number,
             "request_ref": said.request_ref, "effective_at": said.effective_at,
             "targets": list(said.targets)}
            for said, entry in zip(certified, ran.certified, strict=True)
        ],
        "held": [{"request_ref": ref, "holds": list(holds)} for ref, holds in held.items()],
    })  # fmt: skip
    for said in certified:
        out.say(f"request {said.request_ref}: {said.count} records erased, certificate "
                f"{said.certificate_id}, effective {said.effective_at}")  # fmt: skip
        for told in said.targets:
            out.say(f"  told to erase: {told['target']}, {told['at']}, {told['receipt']}")
    for ref, holds in held.items():
        out.say(f"request {ref} waits: held by {', '.join(holds)}")
    if not certified and not held:
        out.say("nothing was approved")


for _name, _command in (
    ("fleet", redact_more.fleet), ("excuse", redact_more.excuse),
    ("receivers", redact_more.receivers), ("opening", redact_more.opening),
    ("return", redact_more.return_), ("sweep", redact_more.sweep),
):  # fmt: skip
    app.command(name=_name)(_command)
