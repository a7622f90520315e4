"""`audit-stream doctor --azure`: what only your own account can answer."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream.cli.output import Output
from audit_stream.errors import ConfigError
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.stores.azure_trial import Answer

_FOUND, _CANNOT_JUDGE = 1, 3


def doctor(
    azure: Annotated[
        bool, typer.Option("--azure", help="Ask the account of AUDIT_ARCHIVE.")
    ] = False,
    lock_version: Annotated[
        bool,
        typer.Option("--lock-version", help="Also lock an object for a minute; it may last a day."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
) -> None:
    """Ask an Azure account what its documentation leaves open, and compare with what we assume.

    Makes two containers audit-doctor-… with an unlocked policy of one day, tries each question
    with your own identity, and removes them. The archive's container is not touched.

    Exit 0: all answered, all as assumed. 1: an answer is another one, or something is left behind.
    2: wrong use. 3: something has no answer.
    """
    settings = Settings.load(config)
    if not azure:
        raise ConfigError("there is only one kind of question yet", hint="add --azure")
    out = Output(as_json)
    raise typer.Exit(asyncio.run(_doctor(settings, out, lock_version=lock_version, yes=yes)))


async def _doctor(settings: Settings, out: Output, *, lock_version: bool, yes: bool) -> int:
    from audit_stream.stores.azure_scratch import PREFIX
    from audit_stream.stores.azure_trial import ask_all
    from audit_stream.stores.open import azure_target

    target = azure_target(settings.archive, settings.store_access())
    if target.access.management is None:
        raise ConfigError(
            "the containers are made over the management plane",
            hint="set AUDIT_AZURE_SUBSCRIPTION and AUDIT_AZURE_RESOURCE_GROUP",
        )
    suffix = secrets.token_hex(4)
    if not yes:
        what = f"make and remove {PREFIX}{suffix} and {PREFIX}{suffix}-v in {target.account}"
        typer.confirm(f"This will {what}. Go on?", abort=True, err=True)
    answers, left = await ask_all(target, suffix, lock_version=lock_version)
    _show(out, answers, left)
    if left or any(each.agrees is False for each in answers):
        return _FOUND
    return _CANNOT_JUDGE if any(each.agrees is None for each in answers) else 0


def _show(out: Output, answers: list[Answer], left: list[str]) -> None:
    out.document({"answers": [asdict(each) for each in answers], "left": left})
    word = {True: "as assumed", False: "OTHERWISE", None: "unknown"}
    rows = [
        (each.key, word[each.agrees], each.question, each.answer or each.why, each.assumed)
        for each in answers
    ]
    out.table("Open questions", ["", "verdict", "question", "answer", "assumed"], rows)
    for each in left:
        out.note(each)
