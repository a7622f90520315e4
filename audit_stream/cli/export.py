"""`audit-stream export`: an evidence bundle of a message or a customer's messages."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream import __version__
from audit_stream.cli.acting import login
from audit_stream.cli.options import Config
from audit_stream.cli.output import Output, write_result
from audit_stream.errors import ConfigError, FormatError
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit_stream.bundle.facts import Custody
    from audit_stream.index.lookup import Lookup, Message

_FOUND, _PAGE = 1, 100


def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip to write.")],
    message: Annotated[str | None, typer.Option(help="A message id.")] = None,
    customer: Annotated[
        str | None, typer.Option(help="A customer's id: all of their messages, or opens --message.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose; needed with --customer alone.")] = None,
    request: Annotated[str, typer.Option(help="The requester's reference.")] = "none given",
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            help="A checkpoint that the reader kept, from an older bundle for one: the proof that "
            "the log continues it is packed, too; repeatable."
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Write an evidence bundle: records, proofs, checkpoint, keys, and programs that check it.

    From the index, which a gateway or `index rebuild` keeps; personal fields that can be opened are
    in it. How to check one: docs/how-to/check-a-bundle.md.

    Exit 0: written. 1: nothing was found, or what was found is not logged yet. 2: wrong use.
    """
    from audit_stream.app.now import now
    from audit_stream.app.trust import read_given
    from audit_stream.bundle.facts import Custody

    if message is None and (customer is None or tenant is None):
        raise ConfigError("name --message, or --customer and --tenant")
    settings, out = Settings.load(config), Output()
    custody = Custody(
        exported_by=login(), exported_at=now(), request=request,
        software=f"audit-stream {__version__}",
    )  # fmt: skip
    try:
        kept = [read_given(path) for path in checkpoint or ()]
        count, data = asyncio.run(_export(settings, custody, kept, message, tenant, customer))
    except FormatError as error:
        out.note(f"{error.code}: {error}")
        raise typer.Exit(_FOUND) from error
    if not count:
        out.note("nothing is archived under these ids, as far as the index is")
        raise typer.Exit(_FOUND)
    write_result(output, data)
    out.say(f"wrote {output}: {count:,} messages, {len(data):,} bytes")


async def _export(
    settings: Settings, custody: Custody, kept: Sequence[bytes], message: str | None,
    tenant: str | None, customer: str | None,
) -> tuple[int, bytes]:  # fmt: skip
    from audit_stream.app.checks import check_reader, load_archive_keyring
    from audit_stream.app.covers import cover_opener
    from audit_stream.app.places import archive_to_read, subject_store
    from audit_stream.archive.private import PrivateObjects
    from audit_stream.bundle.build import build_bundle
    from audit_stream.bundle.messages import Collector
    from audit_stream.evidence.checkpoint import open_checkpoint
    from audit_stream.index.database import ArchiveIndex
    from audit_stream.index.lookup import Lookup
    from audit_stream.index.tail import Archive
    from audit_stream.notary.log import ArchiveLog

    ring, store = load_archive_keyring(settings), archive_to_read(settings)
    keyring, subjects = ring.keyring, subject_store(settings)
    index = ArchiveIndex.open(
        settings.index_dir, keyring.archive, keyring.index_key, read_only=True
    )  # fmt: skip
    private = PrivateObjects(subjects, keyring.index_key)
    try:
        await check_reader(store, private, ring)
        archive = Archive(store, subjects, ring.trusted, keyring)
        lookup = Lookup(index, archive, cover_opener(settings))
        found = await _messages(lookup, message, tenant, customer)
        if not found:
            return 0, b""
        collector = Collector(
            store=store, log=ArchiveLog(store, ring.log_key),
            segment_keys=ring.trusted.publics, place_of=index.logged_at,
            witnesses=[key for key, _ in settings.witnesses()],
        )  # fmt: skip
        opened = [open_checkpoint(each, ring.log_key, "the kept checkpoint")[0] for each in kept]
        facts = await collector.collect(found, custody, kept=opened)
        await check_reader(store, private, ring)  # who was erased meanwhile is not handed out
        return len(found), build_bundle(facts)
    finally:
        index.close()
        await store.close()
        await subjects.close()


async def _messages(
    lookup: Lookup, message: str | None, tenant: str | None, customer: str | None
) -> list[Message]:
    if message is not None:
        return await lookup.by_message(tenant, message, customer)
    assert tenant is not None
    assert customer is not None
    found: list[Message] = []
    cursor: str | None = None
    while True:
        page = await lookup.by_customer(tenant, customer, cursor=cursor, limit=_PAGE)
        found += page.messages
        if (cursor := page.cursor) is None:
            return found
