"""`audit-stream archive mirror` and `repair`, and comparing two stores of one archive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from audit_stream.cli.options import Config, Json, LogKey
from audit_stream.cli.output import Output
from audit_stream.cli.verify import (
    archive_verifier,
    log_key_of,
    report,
    trusted_keys,
    with_log,
)
from audit_stream.errors import StoreError
from audit_stream.settings import Settings
from audit_stream.verify.part import Part
from audit_stream.verify.report import Verdict

if TYPE_CHECKING:
    from audit_stream.app.redundant import Keys
    from audit_stream.redundancy.composing import Composed
    from audit_stream.redundancy.pairing import Difference, Outcome, Told
    from audit_stream.redundancy.sides import Sides

Done = TypeVar("Done")
_FOUND, _CANNOT_JUDGE = 1, 3
_SHOWN = 20
Key = Annotated[
    list[str] | None, typer.Option(help="Trusted public key, or a file with it; repeatable.")
]


def mirror(
    every: Annotated[
        float | None,
        typer.Option(min=1, help="As a service: again after so many seconds, until SIGTERM."),
    ] = None,
    after: Annotated[
        str, typer.Option(help="Go on behind this name, where a run was cut off.")
    ] = "",
    key: Key = None,
    log_key: LogKey = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Copy to the second store what it lacks: what a crash left out, or all of an archive.

    Each object is verified before it is copied; what does not verify is named and left. Objects
    that stand on both are not read: `compare` reads them. It only adds, and may be cut off.

    Exit 0: the second store has everything. 1: something could not be copied, or stands there
    alone. 2: wrong use. 3: a store cannot be read.
    """
    settings, out = Settings.load(config), Output(as_json)
    keys = keys_of(settings, key, log_key)
    from audit_stream.app.redundant import add_missing, keep_mirrored, open_sides

    if every is not None:
        asyncio.run(keep_mirrored(settings, keys, every))
        return

    async def work(sides: Sides, told: Told) -> Outcome:
        return await add_missing(
            sides, keys, "secondary", told, dry=False, whole=False, after=after
        )

    found = _walk(out, "copying", open_sides(settings, "secondary"), work)
    _say(out, found, "copied", ("MIRRORED", "NOT MIRRORED"))
    raise typer.Exit(0 if found.is_equal else _FOUND)


def compare_stores(
    settings: Settings, out: Output, pair: tuple[str, str] | None, keys: Keys
) -> int:  # fmt: skip
    """Compare every object of two stores of one archive; None: of the settings' two. The exit
    code."""
    from audit_stream.app.redundant import compare, open_archives, open_sides

    async def work(sides: Sides, told: Told) -> Outcome:
        return await compare(sides, keys, told)

    opened = open_sides(settings) if pair is None else open_archives(settings, *pair)
    found = _walk(out, "comparing", opened, work)
    _say(out, found, "added", ("EQUAL", "DIFFERS"))
    if not found.objects:
        return _CANNOT_JUDGE
    return 0 if found.is_equal else _FOUND


def repair(
    source: Annotated[
        Literal["primary", "secondary"],
        typer.Option("--from", help="The store that has what the other one lacks."),
    ] = "secondary",
    add: Annotated[bool, typer.Option("--add", help="Do it; else only say what it would.")] = False,
    into: Annotated[
        str | None,
        typer.Option(help="Compose a whole archive in the fresh store at this URL instead, from "
                     "the good bytes of both, and verify it."),
    ] = None,
    key: Key = None,
    log_key: LogKey = None,
    as_json: Json = False,
    config: Config = None,
) -> None:  # fmt: skip
    """Add to a damaged store what the other one has, once it verifies. Says what it would do; does
    it with --add.

    It only adds. An object that stands with wrong bytes cannot be overwritten by anyone: --into
    composes a whole archive elsewhere, to be the archive or the second store from then on. What
    neither store has good is listed.

    Exit 0: nothing is wrong, or is left wrong. 1: something is. 2: wrong use. 3: a store cannot be
    read.
    """
    settings, out = Settings.load(config), Output(as_json)
    keys = keys_of(settings, key, log_key)
    if into is not None:
        raise typer.Exit(_compose(settings, out, keys, into if add else None))
    from audit_stream.app.redundant import add_missing, open_sides
    from audit_stream.redundancy.sides import other

    target = other(source)

    async def work(sides: Sides, told: Told) -> Outcome:
        return await add_missing(sides, keys, target, told, dry=not add, whole=True)

    found = _walk(out, "repairing", open_sides(settings, target if add else None), work)
    _say(out, found, "added" if add else "to be added with --add", ("WHOLE", "NOT WHOLE"))
    if found.differing:
        out.say("wrong bytes cannot be overwritten: repair --into URL composes a whole archive")
    whole = found.is_equal and (add or not found.added_count)
    raise typer.Exit(0 if whole else _FOUND)


def _compose(settings: Settings, out: Output, keys: Keys, into: str | None) -> int:
    from audit_stream.app.redundant import compose, open_sides

    async def work(sides: Sides, told: Told) -> Composed:
        return await compose(sides, keys, into, settings, told)

    done = _walk(out, "composing", open_sides(settings), work)
    taken = ", ".join(f"{count:,} of them from the {side}" for side, count in done.taken.items())
    out.say(f"{'composed of' if into else 'to be composed with --add of'} {done.objects:,} "
            f"objects, {taken}")  # fmt: skip
    for name in done.lost[:_SHOWN]:
        out.say(f"LOST {name}: neither store has good bytes")
    for name in done.occupied[:_SHOWN]:
        out.say(f"OCCUPIED {name}: other bytes stand in the new store; take a fresh one")
    whole = not done.lost_count and not done.occupied
    if into is None:
        out.document({"lost": done.lost_count, "objects": done.objects, "taken": done.taken})
        return 0 if whole else _FOUND
    verdict = _verify(settings, out, keys, into)
    return verdict.value if whole else _FOUND


def _verify(settings: Settings, out: Output, keys: Keys, into: str) -> Verdict:
    """As `audit-stream verify --archive`, whose answer is the one that is printed."""
    from audit_stream.app.places import store_to_read
    from audit_stream.stores.blocking import open_reader

    began = time.monotonic()
    with open_reader(store_to_read(into, settings.store_access())) as reader:
        verifier = archive_verifier(reader, keys.segments, Part())
        for _ in verifier.run():
            pass
        found = with_log(verifier, reader, Part(), keys.log)
    report(out, found, time.monotonic() - began)
    return found.verdict


def keys_of(settings: Settings, key: Sequence[str] | None, log_key: str | None) -> Keys:
    """Those given, or the keyring's; without its own key the log is not judged."""
    from audit_stream.app.redundant import Keys

    log = None if key and log_key is None else log_key_of(settings, log_key)
    return Keys(trusted_keys(settings, list(key or ())), log)


def _walk(
    out: Output, what: str, opened: AbstractAsyncContextManager[Sides],
    work: Callable[[Sides, Told], Awaitable[Done]],
) -> Done:  # fmt: skip
    """Do it, with progress; exit 3 where a store cannot be read."""

    async def run() -> Done:
        async with opened as sides:
            with out.progress() as progress:
                task = progress.add_task(what, total=None, rate="")
                return await work(sides, lambda _: progress.advance(task))

    try:
        return asyncio.run(run())
    except StoreError as error:
        out.note(f"{error.code}: {error}")
        raise typer.Exit(_CANNOT_JUDGE) from error


def _say(out: Output, found: Outcome, verb: str, words: tuple[str, str]) -> None:
    out.document(_document(found, words[0] if found.is_equal else words[1]))
    for difference in found.differences[:_SHOWN]:
        out.say(f"DIFFERS {difference}")
    if len(found.differences) > _SHOWN:
        out.say(f"DIFFERS … and {found.alone + found.differing - _SHOWN:,} more: see --json")
    out.say(
        f"{words[0] if found.is_equal else words[1]}: {found.objects:,} objects, "
        f"{found.added_count:,} {verb}; {found.alone:,} on one store alone, {found.differing:,} "
        f"that differ, {found.lost:,} of these good on neither"
    )


def _document(found: Outcome, word: str) -> dict[str, Any]:
    return {
        "verdict": word.lower().replace(" ", "_"),
        "objects": found.objects,
        "added": found.added_count,
        "alone": found.alone,
        "differing": found.differing,
        "lost": found.lost,
        "disposed": found.disposed,
        "strangers": found.strangers,
        "last": found.last,
        "differences": [_difference(each) for each in found.differences],
    }


def _difference(each: Difference) -> dict[str, Any]:
    return {
        "name": each.name,
        "good": each.good,
        **{
            side: {"word": judgement.word.value, "why": judgement.why}
            for side, judgement in each.judged.items()
        },
    }
