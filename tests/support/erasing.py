"""The golden archive to erase from, and whose its records are, read without any code of ours."""

from __future__ import annotations

import json
import secrets
import shutil
from collections import defaultdict
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit_stream.erasure.scan import Hit, Unreadable, scan
from audit_stream.erasure.segments import Segments
from audit_stream.ports import WormStore
from audit_stream.privacy.subject_object import open_tags, seal_tags
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.subjects import FileSubjectStore
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support import golden
from tests.support.indexing import PUBS, TAGS
from tests.support.resealed import OBJECTS

INDEX_KEY = golden.KEYRING.index_key
Pub = Mapping[str, Any]


def _subject(pub: Pub) -> tuple[str, str, str]:
    """Tenant, kind and id by the raw event that the record came from."""
    topic, _, _, offset = pub["source"].split("/")
    event = json.loads(golden.raw_records(topic)[int(offset)].value or b"")
    for kind, text in (
        ("external", event["recipient"].get("external_id")),
        ("address", event["recipient"].get("address")),
    ):
        if text and not text.isspace():
            return pub["platform_tenant_id"], kind, text
    return pub["platform_tenant_id"], "message", pub["message_uuid"]


#: By tag, what of everybody is in the archive.
RECORDS: dict[bytes, list[Pub]] = defaultdict(list)
for _pub in PUBS:
    RECORDS[TAGS.tag(_subject(_pub))].append(_pub)
#: Who has most records, and another one.
SOMEBODY, ANOTHER = sorted(RECORDS, key=lambda tag: (-len(RECORDS[tag]), tag))[:2]
assert len(RECORDS[ANOTHER]) > 1


@dataclass
class Erasing:
    """A copy of the golden subject objects, and the archive they belong to."""

    folder: Path
    objects: dict[str, bytes] = field(default_factory=lambda: dict(OBJECTS))
    alarms: AlarmBoard = field(default_factory=lambda: AlarmBoard("erasure"))

    def __post_init__(self) -> None:
        shutil.copytree(golden.GOLDEN / "subjects", self.folder / "subjects")
        self.subjects = FileSubjectStore(self.folder)

    @property
    def names(self) -> list[str]:
        return self.subjects.names_sync("subjects/")

    @property
    def alarmed(self) -> list[str]:
        return [alarm["key"] for alarm in self.alarms.open()]

    async def hits(self, *tags: bytes) -> list[Hit]:
        """What a scan finds where everything can be read."""
        return [each async for each in self.each_hit(*tags)]

    async def each_hit(self, *tags: bytes) -> AsyncIterator[Hit]:
        async for each in scan(self.subjects, INDEX_KEY, tags, self.alarms):
            assert not isinstance(each, Unreadable), each
            yield each

    async def segments(self) -> Segments:
        return segments_of(await stored(self.objects))

    def tags(self, name: str) -> list[bytes]:
        found = self.subjects.get_sync(name)
        assert found is not None
        return open_tags(INDEX_KEY, name, found.data)

    def everywhere(self) -> set[bytes]:
        """Every tag that stands in some object."""
        return {tag for name in self.names for tag in self.tags(name)}

    def orphan(self, name: str, leaf: str, tags: list[bytes], base: int | None = None) -> str:
        """Leave the subject object of a writer that lost, beside `name`; its name."""
        folder, _, last = name.rpartition("/")
        made = f"{folder}/{int(last[:20]) if base is None else base:020d}-{leaf}.bin"
        assert self.subjects.create_sync(made, sealed(made, tags))
        return made


def sealed(name: str, tags: list[bytes]) -> bytes:
    return seal_tags(INDEX_KEY, name, b"".join(tags), secrets.token_bytes(12))


async def stored(objects: Mapping[str, bytes], store: WormStore | None = None) -> WormStore:
    store = store or MemoryWormStore()
    for name, data in objects.items():
        await store.put_if_absent(name, data, {})
    return store


def segments_of(store: WormStore) -> Segments:
    return Segments(store, golden.trusted(), golden.KEYRING.archive)


async def listed(items: AsyncIterable[Any]) -> list[Any]:
    return [each async for each in items]
