"""Archives to index, and indexes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from audit_stream.index.database import ArchiveIndex
from audit_stream.index.tail import Archive, Tail, Taken
from audit_stream.ports import SubjectStore, WormStore
from audit_stream.stores.subjects import FileSubjectStore
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support import golden

Rows = dict[bytes, bytes]


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
