"""`audit-stream archive check` and `archive lock`: what the store enforces, and making it so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit_stream.cli.output import Output
from audit_stream.errors import ConfigError, StoreError
from audit_stream.posture import Assurance, Finding, Posture, Standing
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.stores.azure_facts import Container
    from audit_stream.stores.azure_lock import LockPlan
    from audit_stream.stores.azure_target import AzureTarget

_FOUND, _CANNOT_JUDGE = 1, 3


def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
) -> None:
    """Every fact about how the archive is protected, and the level it comes to.

    Asks the store, what manages it (Azure's management plane and its roles, a bucket's settings and
    policy), and attacks an object of its own (the canary, under posture/) with the identity of the
    settings: run it with the worker's.

    Exit 0: the level is what AUDIT_ALLOW_ASSURANCE asks for, and nothing has to be mended. 1:
    something has. 2: wrong use. 3: the store cannot be asked.
    """
    settings = Settings.load(config)
    out = Output(as_json)
    try:
        posture, subjects = asyncio.run(_ask(settings))
    except StoreError as error:
        out.note(f"{error.code}: {error}")
        raise typer.Exit(_CANNOT_JUDGE) from error
    findings = [*posture.findings, *subjects]
    good = posture.assurance >= settings.allow_assurance and not _to_mend(findings)
    out.document(_document(settings, posture, findings, good))
    _show(out, findings)
    asked = settings.allow_assurance.label
    out.say(f"{'GOOD' if good else 'NOT GOOD'}: {posture.assurance.label}, {asked} is asked for")
    for finding in posture.missing(Assurance.WORM_LOCKED):
        out.say(f"worm_locked lacks: {finding}")
    if not good:
        raise typer.Exit(_FOUND)


def _to_mend(findings: Sequence[Finding]) -> list[Finding]:
    """What is bad in itself; what only costs assurance is for the level to say."""
    return [
        each for each in findings
        if each.standing is Standing.BAD and each.ceiling is Assurance.WORM_LOCKED
    ]  # fmt: skip


async def _ask(settings: Settings) -> tuple[Posture, Sequence[Finding]]:
    from audit_stream.app.places import archive_to_write, subject_store

    archive, subjects = archive_to_write(settings), subject_store(settings)
    try:
        return await archive.posture(), await subjects.findings()
    finally:
        await archive.close()
        await subjects.close()


def _show(out: Output, findings: Sequence[Finding]) -> None:
    rows = [(each.standing.value, each.fact, each.value, each.advice) for each in findings]
    out.table("How the archive is protected", ["verdict", "fact", "found", "what to do"], rows)


def _document(
    settings: Settings, posture: Posture, findings: Sequence[Finding], good: bool
) -> dict[str, Any]:
    return {
        "archive": settings.archive, "good": good, "assurance": posture.assurance.label,
        "asked": settings.allow_assurance.label,
        "findings": [
            {
                "fact": each.fact, "found": each.value, "verdict": each.standing.value,
                "advice": each.advice, "allows": each.ceiling.label,
            }
            for each in findings
        ],
    }  # fmt: skip


def lock(
    days: Annotated[int, typer.Option(help="How long each object is kept, from its creation.")],
    tag: Annotated[str | None, typer.Option(
        "--class", help="Of the container of this retention class; else the main one.",
        show_default=False,
    )] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
) -> None:  # fmt: skip
    """Set the retention policy of the archive's Azure container and lock it. For ever.

    Shows what will happen and asks for the container's name. A policy is never shortened; one that
    somebody changes meanwhile is left alone. Needs a person's right to
    immutabilityPolicies/write and .../lock/action; workers must not have it.

    An S3 bucket needs no such step: each object is locked when it is put.

    Exit 0: it is locked for so many days. 1: it is not. 2: wrong use. 3: the management plane
    cannot be asked.
    """
    settings = Settings.load(config)
    target = archive_target(settings, tag)
    raise typer.Exit(asyncio.run(_lock(target, days, Output())))


def archive_target(settings: Settings, tag: str | None) -> AzureTarget:
    """The container of a class with one of its own, or the main one. `ConfigError`."""
    from audit_stream.stores.open import azure_target

    return azure_target(archive_url(settings, tag), settings.store_access(tag=tag))


def archive_url(settings: Settings, tag: str | None) -> str:
    """Of the store of a class with one of its own; None: of the main one. `ConfigError`."""
    if tag is not None and tag not in settings.archives:
        raise ConfigError(f"{tag} has no container of its own", hint="see AUDIT_ARCHIVES")
    return settings.archive if tag is None else settings.archives[tag]


async def _lock(target: AzureTarget, days: int, out: Output) -> int:
    from audit_stream.stores.azure_arm import open_arm
    from audit_stream.stores.azure_lock import carry_out, plan_lock

    async with open_arm(target) as arm:
        try:
            plan = plan_lock(await arm.container(), days)
        except StoreError as error:
            out.note(f"{error.code}: {error}")
            return _CANNOT_JUDGE
        _announce(out, target, plan)
        if not plan.steps:
            return 0
        typed = typer.prompt("To do it for ever, type the container's name", err=True)
        if typed != target.container:
            out.note("that is not its name: nothing was changed")
            return _FOUND
        try:
            after = await carry_out(arm, plan)
        except StoreError as error:
            out.note(f"{error.code}: {error}")
            out.note("look at what stands now: audit-stream archive check")
            return _FOUND
    return _read_back(out, after, days)


def _announce(out: Output, target: AzureTarget, plan: LockPlan) -> None:
    before = "none" if plan.before is None else _policy(plan.before.locked, plan.before.days)
    level = "each new version's" if plan.versioned else "the container's"
    out.say(f"{target.url}: {level} retention policy is {before}")
    if not plan.steps:
        out.say(f"nothing to do: it is locked for {plan.days} days already")
        return
    for step in plan.steps:
        out.say(f"will {step.value}: {plan.days} days")
    out.say(
        f"After that nobody, Microsoft included, can delete or change an object for {plan.days} "
        "days from its creation, shorten the policy or remove it; the account cannot be deleted "
        "while objects are in it, and is paid for to the end."
    )
    if plan.extensions_left is not None:
        out.say(f"It can be extended {plan.extensions_left} more times.")


def _policy(locked: bool, days: int) -> str:
    return f"{'Locked' if locked else 'Unlocked'}, {days} days"


def _read_back(out: Output, found: Container, days: int) -> int:
    policy = found.policy
    if policy is None:
        out.say("read back: there is no policy")
        return _FOUND
    out.say(f"read back: {_policy(policy.locked, policy.days)}")
    return 0 if policy.locked and policy.days >= days else _FOUND
