"""`audit-stream keyring backup` and `restore`: one file, under a passphrase, of one epoch."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream.cli.options import Config, KeyringPath, Offline
from audit_stream.cli.output import Output
from audit_stream.cli.passphrase import PassphraseFile, read_passphrase
from audit_stream.errors import ConfigError, KeyringError
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.app.epoch import ArchiveEpoch
    from audit_stream.keys.backup import Backup

#: What backups cost those who were erased; said wherever one is made or looked for.
REPLACE = (
    "After each erasure, each destroyed year and each rotation make a new backup, and destroy "
    "every older one: it can open again what was erased since."
)
WRAPPED = (
    "Its covers are wrapped as they lie: without the key vault it opens nobody, and nobody at all "
    "once its epoch's key is destroyed. Make a new backup after each erasure, or there is none."
)
_WITHOUT = (
    "look for a newer backup, or a role's view of the newest epoch: it goes on in that role. "
    "Without one personal fields stay closed and nothing is sealed on; statuses, hashes and proofs "
    "need none (docs/how-to/keep-the-keyring.md)"
)


def backup(
    file: Annotated[Path, typer.Argument(help="A new file, on a medium of its own.")],
    clear_covers: Annotated[bool, typer.Option(
        "--clear-covers", help="Take covers that a vault wraps in clear: it outlives the vault, "
        "and every erasure.")] = False,
    passphrase_file: PassphraseFile = None, path: KeyringPath = None, config: Config = None,
) -> None:  # fmt: skip
    """Write keyring and covers to one file under a passphrase; refuses to overwrite.

    Says it is done only when the file was read back, opened and found the same. Its first line, in
    clear, names archive and epoch. Lose the passphrase, and it is no backup. A cover that a key
    vault wraps stays wrapped: without the vault the backup opens nobody.
    """
    from audit_stream.app.covers import cover_wrapper
    from audit_stream.keys.backup import write_backup

    settings, out = Settings.load(config, keyring=path), Output()
    made = write_backup(
        settings.keyring, file, read_passphrase(passphrase_file, twice=True),
        covers=cover_wrapper(settings), clear=clear_covers,
    )  # fmt: skip
    about = made.about
    out.say(
        f"wrote {file}, read it back and opened it: the {_named(about.role)} of {about.archive}, "
        f"epoch {about.epoch}"
    )
    out.say(WRAPPED if made.wrapped else REPLACE)


def restore(
    file: Annotated[Path, typer.Argument(help="What keyring backup wrote.")],
    passphrase_file: PassphraseFile = None, offline: Offline = False, path: KeyringPath = None,
    config: Config = None,
) -> None:  # fmt: skip
    """Put a backup in place, as AUDIT_KEYRING names it, covers beside it.

    Refused when the keyring in place is newer, of another archive, or has keys that would be lost;
    when the archive shows a newer epoch: an old keyring would bring back who was erased; and while
    an erasure or a hold is at work here.

    Exit 2: refused. 3: the archive cannot be read, so it cannot be told.
    """
    from audit_stream.app.covers import cover_wrapper
    from audit_stream.keys.backup import open_backup, read_about
    from audit_stream.keys.restore import restore as put_in_place

    settings, out = Settings.load(config, keyring=path), Output()
    about = read_about(file)
    if about.archive != settings.archive_name:
        raise KeyringError(
            f"the backup is of the archive {about.archive}, AUDIT_ARCHIVE_NAME says "
            f"{settings.archive_name}",
            hint="name the archive it is of, if that is meant",
        )
    opened = open_backup(file, read_passphrase(passphrase_file))
    if not offline:
        _check_epoch(opened, asyncio.run(ask_archive(settings, opened, out)))
    ring = put_in_place(opened, settings.keyring, cover_wrapper(settings))
    out.say(
        f"restored the {_named(about.role)} of {ring.archive}, epoch {ring.epoch}, made "
        f"{about.made_at}, to {settings.keyring}"
    )
    if offline:
        out.say(
            "The archive was not asked whether it has gone past this keyring: keyring status does."
        )
    out.say("Before anything runs with it: audit-stream keyring status")


def _named(role: str) -> str:
    from audit_stream.keys.file import WHOLE

    return "whole keyring" if role == WHOLE else f"{role}'s view of the keyring"


async def ask_archive(settings: Settings, opened: Backup, out: Output) -> ArchiveEpoch:
    """The epoch the archive has reached, as the backup's own keys can tell."""
    from audit_stream.app.epoch import archive_epoch
    from audit_stream.cli.log import reading

    try:
        async with reading(settings, out) as store:
            return await archive_epoch(store, opened.loaded.trusted, opened.keyring.archive)
    except ConfigError as error:
        raise ConfigError(
            error.message, hint=f"{error.hint}; without the archive at hand: --offline"
        ) from error


def _check_epoch(opened: Backup, found: ArchiveEpoch) -> None:
    mine = opened.keyring.epoch
    if found.proven > mine:
        raise KeyringError(
            f"the backup has the epoch {mine}, the archive is at {found.proven}: it would bring "
            "back who was erased since",
            hint=_WITHOUT,
        )
    if found.claimed > mine:
        raise KeyringError(
            f"the backup has the epoch {mine}, and what stands at the archive's end says "
            f"{found.claimed}, signed by a key the backup does not know",
            hint=f"either it is from before a rotation, then {_WITHOUT}; or somebody put that "
            "there: audit-stream verify tells, and --offline passes over it",
        )
