"""`audit-stream log`: the newest checkpoint, who vouches for it, one that was kept, the keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream.cli import log_keys
from audit_stream.cli.options import Config, Json, LogKey
from audit_stream.cli.output import Output
from audit_stream.cli.verify import log_key_of
from audit_stream.errors import AuditError, FormatError, StoreError
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.evidence.note import NoteKey
    from audit_stream.evidence.vouching import Trust, Vouched
    from audit_stream.notary.log import ArchiveLog, Head
    from audit_stream.ports import WormStore

app = typer.Typer(
    help="The archive log: its checkpoint, its key, who vouches for it, what it says of one kept.",
    no_args_is_help=True,
)
_FOUND, _CANNOT_JUDGE = 1, 3
for _name, _command in (
    ("keys", log_keys.keys), ("announce", log_keys.announce), ("revoke", log_keys.revoke),
):  # fmt: skip
    app.command(name=_name)(_command)


@app.command()
def key(config: Config = None) -> None:
    """Print the log's public key: what verifiers and witnesses are given."""
    Output().say(str(log_key_of(Settings.load(config), None)))


@app.command()
def checkpoint(log_key: LogKey = None, as_json: Json = False, config: Config = None) -> None:
    """Print the newest checkpoint, checked: keep it somewhere else.

    Exit 1: the log is broken or was not begun. 3: the store cannot be read.
    """
    settings, out = Settings.load(config), Output(as_json)
    head, _ = asyncio.run(_look(settings, log_key_of(settings, log_key), None, out))
    note = head.note.encode().decode()
    out.document({
        "checkpoint": note, "root": head.root.hex(), "size": head.size, "time": head.digest.time,
    })  # fmt: skip
    out.say(note.removesuffix("\n"))


@app.command()
def check(
    kept: Annotated[Path, typer.Argument(help="A checkpoint that was kept elsewhere.")],
    log_key: LogKey = None, as_json: Json = False, config: Config = None,
) -> None:  # fmt: skip
    """Does the log of today continue the one that a kept checkpoint vouches for?

    Exit 0: it does. 1: it does not: what it held then was changed, dropped or reordered. 3: the
    store cannot be read.
    """
    from audit_stream.app.trust import read_given

    settings, out, given = Settings.load(config), Output(as_json), read_given(kept)
    head, old = asyncio.run(_look(settings, log_key_of(settings, log_key), given, out))
    out.document({"consistent": True, "kept_size": old, "size": head.size})
    out.say(f"the log of {head.size} leaves continues the kept one of {old}")


@app.command()
def anchors(
    policy: Annotated[Path | None, typer.Option(
        help="Your own trust policy (C2SP tlog-policy), FILE, with the roots of timestamp "
        "authorities beside it, FILE.tsa.pem; else the settings' witnesses and authorities.",
        show_default=False,
    )] = None,
    log_key: LogKey = None, as_json: Json = False, config: Config = None,
) -> None:  # fmt: skip
    """The newest checkpoint that anyone outside vouches for, and who.

    Exit 1: nobody does whom you trust. 3: the store cannot be read.
    """
    from audit_stream.app.anchoring import own_trust
    from audit_stream.app.trust import load_trust

    settings, out = Settings.load(config), Output(as_json)
    key = log_key_of(settings, log_key)
    trust = own_trust(settings, key) if policy is None else load_trust(policy)
    vouched = asyncio.run(_newest_vouched(settings, key, trust, out))
    if vouched is None:
        out.document({"size": None, "timestamps": {}, "witnesses": {}})
        out.say("without any outside anchor that counts by this trust")
        raise typer.Exit(_FOUND)
    seconds = vouched.judgement.witnesses.items()
    witnesses = {name: datetime.fromtimestamp(time, UTC) for name, time in seconds}
    timestamps = {each.authority: each.time for each in vouched.timestamps.values()}
    out.document({
        "size": vouched.checkpoint.size, "quorum": vouched.judgement.quorum,
        "timestamps": {name: time.isoformat() for name, time in timestamps.items()},
        "witnesses": {name: time.isoformat() for name, time in witnesses.items()},
    })  # fmt: skip
    out.say(f"the checkpoint of {vouched.checkpoint.size} leaves")
    for name, time in (*timestamps.items(), *witnesses.items()):
        out.say(f"  {time:%Y-%m-%d %H:%M:%S} UTC  {name}")


async def _newest_vouched(
    settings: Settings, key: NoteKey, trust: Trust, out: Output
) -> Vouched | None:  # fmt: skip
    from audit_stream.anchors.newest import newest_vouched
    from audit_stream.notary.log import ArchiveLog

    async with reading(settings, out) as store:
        return await newest_vouched(store, ArchiveLog(store, key), trust, datetime.now(UTC))


async def _look(
    settings: Settings, key: NoteKey, kept: bytes | None, out: Output
) -> tuple[Head, int]:  # fmt: skip
    """The head, and the size of a kept checkpoint that it continues."""
    from audit_stream.evidence.checkpoint import open_checkpoint
    from audit_stream.notary.log import ArchiveLog

    async with reading(settings, out) as store:
        log = ArchiveLog(store, key)
        head = await begun(log)
        if kept is None:
            return head, 0
        old, _ = open_checkpoint(kept, key, "the kept checkpoint")
        if old.size > head.size:
            raise FormatError(f"the log has {head.size} leaves, the kept checkpoint {old.size}")
        if old.size:
            await log.consistency(old.size, old.root, head)
        return head, old.size


async def begun(log: ArchiveLog) -> Head:
    """The head of a log that was begun; `FormatError` of another."""
    head = await log.head()
    if head is None:
        raise FormatError("the archive log was not begun", hint="run: audit-stream notary")
    return head


@asynccontextmanager
async def reading(settings: Settings, out: Output) -> AsyncIterator[WormStore]:
    """The archive, while it is read; what is wrong is said and becomes the exit code."""
    from audit_stream.app.places import archive_to_read

    store = archive_to_read(settings)
    try:
        yield store
    except AuditError as error:
        out.note(f"{error.code}: {error}")
        code = _CANNOT_JUDGE if isinstance(error, StoreError) else _FOUND
        raise typer.Exit(code) from error
    finally:
        await store.close()
