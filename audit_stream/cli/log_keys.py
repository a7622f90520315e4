"""`audit-stream log keys`, `announce`, `revoke`: the archive's keys, as its log has them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit_stream.cli.options import Config, Json, LogKey
from audit_stream.cli.output import Output
from audit_stream.cli.verify import log_key_of
from audit_stream.errors import StoreError
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from audit_stream.app.keys import Registry
    from audit_stream.evidence.key_line import KeyLine
    from audit_stream.evidence.note import NoteKey
    from audit_stream.notary.keys import LoggedKeys

Reason = Annotated[str, typer.Option(help="Why; it stands in the log for ever: name no person.")]
_FOUND, _CANNOT_JUDGE = 1, 3


def keys(log_key: LogKey = None, as_json: Json = False, config: Config = None) -> None:
    """The keys that the log knows, and from which leaf to which each counts.

    Exit 1: it was not begun, or a line about a key breaks a rule. 3: the store cannot be read, or
    a newer release wrote a line about a key.
    """
    settings, out = Settings.load(config), Output(as_json)
    logged = asyncio.run(_read(settings, log_key_of(settings, log_key), out))
    _show(logged.history.keys, out, wrong=logged.wrong)
    for message in logged.wrong:
        out.note(message)
    if logged.wrong:
        raise typer.Exit(_FOUND)


def announce(
    reason: Reason,
    key_set: Annotated[Path | None, typer.Option(
        help="A gateway's key set, saved from /.well-known/jwks.json: its keys too.",
        show_default=False,
    )] = None,
    as_json: Json = False, config: Config = None,
) -> None:  # fmt: skip
    """Write into the log the archive's public keys that it does not know; to do so again is safe.

    Needs the keyring with the log key. The first time: the log key, the segment key. Later: what
    `keyring rotate` made. Keys count from behind their line on, the first of a use from the start.
    """
    from audit_stream.app.checks import load_archive_keyring
    from audit_stream.app.keys import keys_of
    from audit_stream.app.trust import read_given

    settings, out = Settings.load(config), Output(as_json)
    found = keys_of(
        load_archive_keyring(settings, closed=True), read_given(key_set) if key_set else None
    )
    _show(_written(settings, lambda log: log.announce(found, reason), out), out)


def revoke(
    kid: Annotated[str, typer.Argument(help="The key's id, as log keys has it.")],
    reason: Reason,
    start: Annotated[int | None, typer.Option(
        "--from", min=0, show_default=False,
        help="The first leaf it does not count for; else the one behind the line.",
    )] = None,
    as_json: Json = False, config: Config = None,
) -> None:  # fmt: skip
    """Write into the log that a key counts no longer: for ever. Another of its use must count.

    What it signed and is a leaf before stays good. Stop who signs with it first, for what comes
    after is refused by whoever verifies: a key that signed a moment ago is not revoked. A key that
    was stolen: --from the first leaf in doubt, which does not wait.
    """
    settings, out = Settings.load(config), Output(as_json)

    async def say(log: Registry) -> list[KeyLine]:
        return [await log.revoke(kid, start, reason)]

    _show(_written(settings, say, out), out)


def _show(lines: Sequence[KeyLine], out: Output, **more: Any) -> None:
    out.document(more | {"keys": [
        {"kid": key.kid, "not_before_size": key.not_before_size, "reason": key.reason,
         "revoked_at_size": key.revoked_at_size, "use": key.use}
        for key in lines
    ]})  # fmt: skip
    for key in lines:
        end = "" if key.revoked_at_size is None else f" and before {key.revoked_at_size}"
        out.say(f"{key.use:8} {key.kid}  from leaf {key.not_before_size} on{end}  {key.reason}")
    if not lines:
        out.say("nothing")


async def _read(settings: Settings, key: NoteKey, out: Output) -> LoggedKeys:
    from audit_stream.cli.log import begun, reading
    from audit_stream.notary.keys import LoggedKeys
    from audit_stream.notary.log import ArchiveLog

    async with reading(settings, out) as store:
        logged = LoggedKeys(ArchiveLog(store, key))
        await logged.catch_up(await begun(ArchiveLog(store, key)))
        return logged


def _written(
    settings: Settings, say: Callable[[Registry], Awaitable[Sequence[KeyLine]]], out: Output
) -> Sequence[KeyLine]:  # fmt: skip
    from audit_stream.app.checks import load_archive_keyring
    from audit_stream.app.keys import open_registry

    async def write() -> Sequence[KeyLine]:
        async with open_registry(settings, load_archive_keyring(settings, closed=True)) as log:
            lines = await say(log)
            for alarm in log.alarms.open():
                out.note(f"{alarm['key']}: {alarm['summary']}")
            return lines

    try:
        return asyncio.run(write())
    except StoreError as error:
        out.note(f"{error.code}: {error}")
        raise typer.Exit(_CANNOT_JUDGE) from error
