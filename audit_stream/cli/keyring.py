"""`audit-stream keyring`: make the archive's keys, look after them, hand them out, renew them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audit_stream.app.covers import cover_wrapper
from audit_stream.cli import keyring_backup, keyring_status
from audit_stream.cli.options import Config, KeyringPath
from audit_stream.cli.output import Output
from audit_stream.errors import ConfigError
from audit_stream.evidence.signing import key_id
from audit_stream.keys.file import (
    ROLES,
    create_keyring,
    load_closed,
    public_key,
    write_successor,
    write_view,
)
from audit_stream.settings import Settings

app = typer.Typer(
    help="Make the archive's keys; look after them; hand them out; renew them.",
    no_args_is_help=True,
)


@app.command()
def init(
    path: KeyringPath = None,
    archive_name: Annotated[str | None, typer.Option(help="AUDIT_ARCHIVE_NAME.")] = None,
    config: Config = None,
) -> None:
    """Make a keyring of thirty years and its cover file; refuses to overwrite."""
    settings = Settings.load(config, keyring=path, archive_name=archive_name)
    covers = cover_wrapper(settings)
    ring = create_keyring(settings.keyring, settings.archive_name, covers)
    public_bytes = public_key(ring)
    out = Output()
    out.say(f"made {settings.keyring} and {ring.trees[-1].cover} beside it, for {ring.archive}")
    out.say(f"public key {public_bytes.hex()} (kid {key_id(public_bytes)})")
    out.say(
        "Back it up now, with keyring backup: without it no personal field can be opened again."
    )


@app.command()
def public(path: KeyringPath = None, config: Config = None) -> None:
    """Print the public segment key, hex: what `verify --key` takes."""
    settings = Settings.load(config, keyring=path)
    Output().say(public_key(load_closed(settings.keyring).keyring).hex())


@app.command()
def view(
    role: Annotated[str, typer.Argument(help="worker, notary or gateway.")],
    folder: Annotated[Path, typer.Argument(help="A new folder; its files are for that role.")],
    path: KeyringPath = None,
    config: Config = None,
) -> None:
    """Write what a role may hold: a worker has no log key, a notary no segment key, a gateway
    neither. Who must not sign has the public keys in a file beside."""
    settings = Settings.load(config, keyring=path)
    if role not in ROLES:
        raise ConfigError(f"there is no role {role}", hint=f"there are {', '.join(ROLES)}")
    ring = load_closed(settings.keyring)
    write_view(ring, settings.keyring, role, folder, cover_wrapper(settings))
    Output().say(f"wrote the view of a {role} to {folder}: AUDIT_KEYRING is a file in it")


@app.command()
def rotate(
    folder: Annotated[Path, typer.Argument(help="A new folder, for the keyring to go on with.")],
    path: KeyringPath = None,
    config: Config = None,
) -> None:
    """Write the keyring anew with another segment key; the one in use is left as it is.

    The folder's public.txt trusts both keys. Nobody may seal with the new one before everybody
    trusts it and the archive log knows it: docs/how-to/rotate-the-signing-key.md has the order.
    """
    settings = Settings.load(config, keyring=path)
    ring = load_closed(settings.keyring)
    new = write_successor(ring, settings.keyring, folder, cover_wrapper(settings))
    out = Output()
    out.say(f"wrote the next keyring to {folder}; its public key is {new.hex()}")
    out.say(f"its kid is {key_id(new)}; {folder / 'public.txt'} trusts both")


for _name, _command in (
    ("status", keyring_status.status), ("backup", keyring_backup.backup),
    ("restore", keyring_backup.restore),
):  # fmt: skip
    app.command(name=_name)(_command)
