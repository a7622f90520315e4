"""`audit-stream archive retain`: keep what is stored longer. Never shorter."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output
from audit_stream.cli.posture import archive_target, archive_url
from audit_stream.errors import ConfigError, StoreError
from audit_stream.settings import Settings
from audit_stream.settings.retention import days_of
from audit_stream.stores.open import place_of
from audit_stream.stores.s3_target import S3Target

if TYPE_CHECKING:
    from audit_stream.ports import Disposer, Kept
    from audit_stream.stores.azure_target import AzureTarget

_FOUND, _CANNOT_JUDGE = 1, 3
_DAY_MS = 86_400_000


def retain(
    period: Annotated[str, typer.Option(
        "--for", metavar="PERIOD", help="How long from its creation, as 10y or 3653d."
    )],
    tag: Annotated[str | None, typer.Option(
        "--class", help="Only this retention class; else the main container, whole.",
        show_default=False,
    )] = None,
    do_it: Annotated[bool, typer.Option(
        "--run", help="Do it. Without, only what would be done is said."
    )] = False,
    as_json: Json = False, config: Config = None,
) -> None:  # fmt: skip
    """Keep what is stored longer, for ever: nothing here shortens, and nobody can take it back.

    Where objects have a retention each (S3, version-level immutability), each one that is kept
    shorter is extended, by its oldest version, which is the object. Where the container's policy
    keeps all of them, the policy is: Azure allows that five times. What has no write-once store
    cannot be retained. To do so again is safe.

    Exit 0: all of it is kept that long, or without --run, could be. 1: some is not. 2: wrong use.
    3: the store cannot be asked.
    """
    settings, out = Settings.load(config), Output(as_json)
    try:
        days = days_of(period)
    except ValueError as error:
        raise ConfigError(f"--for: {error}") from None
    try:
        code = asyncio.run(_retain(settings, tag, days, do_it, out))
    except StoreError as error:
        out.note(f"{error.code}: {error}")
        raise typer.Exit(_CANNOT_JUDGE) from error
    raise typer.Exit(code)


async def _retain(settings: Settings, tag: str | None, days: int, do_it: bool, out: Output) -> int:
    own = tag if tag in settings.archives else None
    if isinstance(place_of(archive_url(settings, own)), S3Target):
        return await _each(settings, tag, days, do_it, out)
    from audit_stream.stores.azure_arm import open_arm

    target = archive_target(settings, own)
    async with open_arm(target) as arm:
        found = await arm.container()
    if found.versioned:
        return await _each(settings, tag, days, do_it, out)
    if tag is not None and own is None and len(settings.classes) > 1:
        raise ConfigError(
            f"{target.url} keeps every class of it by one policy: {tag} alone cannot be retained",
            hint="leave out --class, or give the class a container (AUDIT_ARCHIVES)",
        )
    return await _policy(target, days, do_it, out)


async def _policy(target: AzureTarget, days: int, do_it: bool, out: Output) -> int:
    """The container's policy, extended if it is locked and shorter; read back."""
    from audit_stream.stores.azure_arm import open_arm
    from audit_stream.stores.azure_lock import Step, carry_out, plan_lock

    async with open_arm(target) as arm:
        found = await arm.container()
        policy = found.policy
        if policy is None or not policy.locked:
            raise ConfigError(f"{target.url} has no locked policy to extend",
                              hint=f"audit-stream archive lock --days {days}")  # fmt: skip
        plan = plan_lock(found, max(days, policy.days))
        out.say(f"{target.url}: the locked policy is {policy.days} days long")
        if Step.EXTEND not in plan.steps:
            out.say("nothing to do: it is as long already")
        elif not do_it:
            out.say(f"would extend it to {days} days, for ever; {plan.extensions_left} more "
                    "extensions would be left. Add --run")  # fmt: skip
        else:
            found = await carry_out(arm, plan)
    after = 0 if found.policy is None else found.policy.days
    out.document({"archive": target.url, "days": after, "asked": days, "done": do_it})
    if do_it:
        out.say(f"read back: {after} days")
    return 0 if after >= days or not do_it else _FOUND


async def _each(settings: Settings, tag: str | None, days: int, do_it: bool, out: Output) -> int:
    """Every object that is kept shorter; read back."""
    from audit_stream.app.places import archive_to_write
    from audit_stream.cli.retention_parts import disposer_of

    inventory, store = disposer_of(settings, tag), archive_to_write(settings)
    try:
        found = await _kept(settings, tag, inventory)
        kept = [each for each in found if each.oldest_stored_ms is not None]
        shorter = _shorter(kept, days)
        out.say(f"{inventory.url}: {len(kept):,} objects, {len(shorter):,} are kept for less than "
                f"{days} days")  # fmt: skip
        if gone := len(found) - len(kept):
            out.note(f"of {gone:,} names only markers of a removal are left: nothing to keep there")
        if shorter and not do_it:
            out.say("would extend each of them, for ever. Add --run")
        if do_it:
            for each in shorter:
                await store.extend_retention(each.name, _wanted_ms(each, days))
            shorter = _shorter(await _kept(settings, tag, inventory), days)
            out.say(f"read back: {len(shorter):,} are kept for less")
    finally:
        await inventory.close()
        await store.close()
    out.document({"archive": inventory.url, "objects": len(kept), "shorter": len(shorter),
                  "asked": days, "done": do_it})  # fmt: skip
    return _FOUND if do_it and shorter else 0


async def _kept(settings: Settings, tag: str | None, inventory: Disposer) -> list[Kept]:
    """Of a class its segments and streams; of a container of its own, or of none, all of it."""
    found = await inventory.kept("")
    if tag is None or tag in settings.archives:
        return list(found)
    return [each for each in found if _class_of(settings, each.name) == tag]


def _class_of(settings: Settings, name: str) -> str | None:
    folder, _, rest = name.partition("/")
    return settings.class_of(rest.partition("/")[0]) if folder in ("segments", "streams") else None


def _shorter(kept: Sequence[Kept], days: int) -> list[Kept]:
    """By the oldest version of each, which is the object; dates are kept to the second. What only
    markers are left of is none."""
    return [
        each for each in kept
        if each.oldest_stored_ms is not None
        and (each.oldest_until_ms or 0) < _wanted_ms(each, days) // 1000 * 1000
    ]  # fmt: skip


def _wanted_ms(each: Kept, days: int) -> int:
    return (each.oldest_stored_ms or 0) + days * _DAY_MS
