"""`audit-stream show`: one message's history, each hash recomputed."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from audit_stream.archive.history import History, Sighting
from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output
from audit_stream.precedence.matrix import RANK
from audit_stream.settings import Settings


async def history_of(
    settings: Settings, message: str, tenant: str | None, customer: str | None
) -> list[Sighting]:
    """All records of a message in the archive."""
    from audit_stream.app.checks import check_reader
    from audit_stream.app.covers import cover_opener, open_keyring
    from audit_stream.app.places import archive_to_read, subject_store
    from audit_stream.app.topics import archived_topics
    from audit_stream.archive.private import PrivateObjects

    ring = open_keyring(settings)
    store = archive_to_read(settings)
    subjects = subject_store(settings)
    history = History(store, subjects, ring.trusted, ring.keyring, cover_opener(settings))
    topics = list(archived_topics(settings).values())
    private = PrivateObjects(subjects, ring.keyring.index_key)
    try:
        await check_reader(store, private, ring)
        found = await history.of(message, topics, tenant, customer)
        await check_reader(store, private, ring)  # who was erased meanwhile is not shown
        return found
    finally:
        await store.close()
        await subjects.close()


def show(
    message_uuid: Annotated[str, typer.Argument(help="The message id.")],
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    customer: Annotated[
        str | None, typer.Option(help="Customer id, to open personal fields without tags.")
    ] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Show what happened to a message: every revision, the effective status, personal fields.

    Exit 1 when the archive has no such message or a stored line was tampered with.
    """
    settings = Settings.load(config)
    found = asyncio.run(history_of(settings, message_uuid, tenant, customer))
    out = Output(as_json)
    out.document({"message_uuid": message_uuid, "effective": effective(found),
                  "history": [_as_json(item) for item in found]})  # fmt: skip
    print_history(out, message_uuid, found)
    if not found:
        raise typer.Exit(1)


def effective(found: list[Sighting]) -> str | None:
    """The highest status reached, over all topics."""
    statuses = [item.record.pub["delivery_status"] for item in found]
    return max(statuses, key=RANK.__getitem__, default=None)


def print_history(out: Output, message: str, found: list[Sighting]) -> None:
    """The history as a table."""
    if not found:
        out.say(f"no record of {message} is archived; newer events may not be archived yet")
        return
    rows = [
        (
            item.record.pub["revision"], item.record.pub["delivery_status"],
            item.record.pub["carrier_receipt_timestamp"], item.record.pub["ingestion_timestamp"],
            item.record.pub["carrier_error_code"] or "", item.record.pub["source"],
            item.personal.fields.get("customer_external_id", _why_closed(item)),
            item.personal.fields.get("recipient_address", ""),
            f"verified {item.record.integrity_hash.hex()[:12]}…",
        )
        for item in found
    ]  # fmt: skip
    columns = ["rev", "status", "carrier time", "ingested", "error", "source", "customer",
               "address", "integrity"]  # fmt: skip
    out.table(f"Message {message}: {effective(found)}", columns, rows)


def _as_json(item: Sighting) -> dict[str, object]:
    closed = item.personal.closed
    return {
        **item.record.pub, "customer_external_id": None, "recipient_address": None,
        **item.personal.fields, "integrity_hash": f"sha256:{item.record.integrity_hash.hex()}",
        "segment": item.name, "index": item.index,
        "personal_fields": closed.value if closed else "opened",
    }  # fmt: skip


def _why_closed(item: Sighting) -> str:
    closed = item.personal.closed
    return f"({closed.value})" if closed else ""
