"""Archives to index, and indexes of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit_stream.evidence.record import parse_record
from audit_stream.evidence.segment import decode
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.lookup import Lookup, Message
from audit_stream.index.tail import Archive, Tail, Taken
from audit_stream.ports import SubjectStore, WormStore
from audit_stream.privacy.derivation import TagMaker
from audit_stream.stores.subjects import FileSubjectStore
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support import golden
from tests.support.resealed import OBJECTS

Rows = dict[bytes, bytes]
TAGS = TagMaker(golden.KEYRING.trees[0].pepper)
PUBS = [
    parse_record(line, "x").pub
    for each, data in sorted(OBJECTS.items())
    if each.startswith("segments/")
    for line in decode(data, "x").record_lines()
]
Key = tuple[str, str]  # tenant, message id


def by_message() -> dict[Key, list[str]]:
    """Sources of each message's records, in the order of the archive."""
    found: dict[Key, list[str]] = defaultdict(list)
    for pub in PUBS:
        found[pub["platform_tenant_id"], pub["message_uuid"]].append(pub["source"])
    return found


def customer_of(pub: Mapping[str, Any]) -> str | None:
    """What the raw event says, read without any code of ours."""
    topic, _, _, offset = pub["source"].split("/")
    event = json.loads(golden.raw_records(topic)[int(offset)].value or b"")
    found = event["recipient"].get("external_id")
    return found if found and not found.isspace() else None


CUSTOMERS: dict[Key, list[Key]] = defaultdict(list)  # tenant, customer -> messages, first first
for _pub in sorted(PUBS, key=lambda pub: pub["ingestion_timestamp"]):
    if (_customer := customer_of(_pub)) is not None:
        _message = (_pub["platform_tenant_id"], _pub["message_uuid"])
        if _message not in CUSTOMERS[_pub["platform_tenant_id"], _customer]:
            CUSTOMERS[_pub["platform_tenant_id"], _customer].append(_message)


def golden_archive(store: WormStore, subjects: SubjectStore | None) -> Archive:
    return Archive(store, subjects, golden.trusted(), golden.KEYRING)


def golden_subjects() -> FileSubjectStore:
    return FileSubjectStore(golden.GOLDEN)


def rows_of(index: ArchiveIndex) -> Rows:
    """Every row there is."""
    return dict(index.rows())


@dataclass
class Indexing:
    """A golden archive, its index in a folder, and the tail between them."""

    archive: Archive
    folder: Path
    alarms: AlarmBoard = field(default_factory=lambda: AlarmBoard("index"))
    index: ArchiveIndex = field(init=False)
    tail: Tail = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        ring = self.archive.keyring
        self.index = ArchiveIndex.open(self.folder, ring.archive, ring.index_key)
        self.tail = Tail(self.archive, self.index, self.alarms)

    def reopen(self) -> None:
        """As another process would."""
        self.index.close()
        self.open()

    async def catch_up(self, limit: int | None = None) -> Taken:
        return await self.tail.catch_up(limit=limit)

    @property
    def alarmed(self) -> list[str]:
        return [alarm["key"] for alarm in self.alarms.open()]

    @property
    def rows(self) -> Rows:
        return rows_of(self.index)


@dataclass
class Asking(Indexing):
    """An index that is caught up, and look-ups in it."""

    cover: bytes = golden.COVER

    @property
    def lookup(self) -> Lookup:
        return Lookup(self.index, self.archive, lambda _: self.cover)


def message_keys(messages: Sequence[Message]) -> list[Key]:
    return [(each.tenant, each.message_uuid) for each in messages]
