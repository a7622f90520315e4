"""Holds of a small archive: everything in memory but the subject objects, and what to declare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audit_stream.archive.private import PrivateObjects
from audit_stream.archive.register import RegisterReader, RegisterWriter
from audit_stream.evidence import layout
from audit_stream.evidence.hold import HoldEntry, Kind
from audit_stream.evidence.register import Register
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.holds.active import HoldsReader
from audit_stream.holds.declaring import Declaring
from audit_stream.holds.enforcing import Enforcing
from audit_stream.holds.filing import Holds, Wanted
from audit_stream.holds.hold import Hold, hold_name
from audit_stream.ports import ContainerHolds, WormStore
from audit_stream.privacy.named_object import NONCE_BYTES
from audit_stream.privacy.subject_object import seal_tags
from audit_stream.seal.builder import Link, Origin, Sealed, SegmentBuilder
from audit_stream.seal.judge import Chunk
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.subjects import FileSubjectStore
from tests.support import golden
from tests.support.chains import NAME, SIGNER, TRUSTED, stream_of

INDEX_KEY = b"\x40" * 32
AT, LATER = "2026-11-26T08:00:00.000Z", "2026-11-26T09:00:00.000Z"
TAG, OTHER = b"\x01" * 16, b"\x02" * 16


def wanted(kind: Kind = Kind.CUSTOMER, **more: Any) -> Wanted:
    """What counsel wants held."""
    what: dict[str, Any] = {"tags": (TAG,)} if kind is Kind.CUSTOMER else {}
    return Wanted(**{
        "kind": kind, "matter": "LIT-2026-17", "custodian": "legal-desk", "reason": "ORD-4",
        "declared_by": "counsel", "approved_by": "chief", **what, **more,
    })  # fmt: skip


@dataclass
class Holding:
    """One archive's holds; every property is a fresh process's."""

    folder: Path
    store: WormStore = field(default_factory=MemoryWormStore)
    container: ContainerHolds | None = None

    @property
    def subjects(self) -> FileSubjectStore:
        return FileSubjectStore(self.folder / "subjects")

    @property
    def private(self) -> PrivateObjects:
        return PrivateObjects(self.subjects, INDEX_KEY)

    @property
    def holds(self) -> Holds:
        return Holds(self.private)

    @property
    def reader(self) -> HoldsReader:
        register = RegisterReader(self.store, TRUSTED, NAME, Register.HOLDS)
        return HoldsReader(register, self.holds)

    @property
    def declaring(self) -> Declaring:
        register = RegisterWriter(self.store, TRUSTED, NAME, Register.HOLDS)
        return Declaring(register, self.reader, self.holds, SIGNER)

    @property
    def enforcing(self) -> Enforcing:
        return Enforcing(
            self.store, self.subjects, self.container, self.private, self.reader, TRUSTED, NAME,
            INDEX_KEY,
        )  # fmt: skip

    async def archive(self, topic: str = golden.TOPICS[0], span: int = 10) -> list[Sealed]:
        """Golden records as the segments of one partition, subject objects beside them."""
        stream = stream_of(topic, partitions=1)
        name = layout.stream_name(topic, stream.generation)
        await self.store.put_if_absent(name, stream.encode(SIGNER), {})
        return [await self.seal(stream, chunk) for chunk in golden.judged(topic, span)]

    async def seal(self, stream: StreamObject, chunk: Chunk) -> Sealed:
        """Store what a worker would of one chunk, without its hold."""
        builder = SegmentBuilder(chunk.base, INDEX_KEY)
        builder.add(chunk, 0)
        link = Link(next=chunk.base, seq=chunk.base, leaf="00" * 32 if chunk.base else None)
        origin = Origin(archive=NAME, assurance="mutable", writer="test", status_map="00" * 32,
                        key_epoch=1, raw_key=INDEX_KEY)  # fmt: skip
        sealed = builder.seal(link, stream, 0, origin, SIGNER, 0)
        tags = seal_tags(INDEX_KEY, sealed.subject_name, sealed.tags, bytes(NONCE_BYTES))
        await self.subjects.create(sealed.subject_name, tags)
        await self.store.put_if_absent(str(sealed.name), sealed.data, {})
        return sealed

    async def held(self, sealed: Sequence[Sealed]) -> list[int]:
        """Which of the segments the store holds, by their place in the list."""
        return [n for n, each in enumerate(sealed) if await self.store.held(str(each.name))]

    async def lose(self, *names: str) -> None:
        """Take private objects away."""
        for name in names:
            kept = await self.private.get(name)
            assert kept is not None
            await self.private.remove(kept)

    async def file_again(self, hold_id: str, what: Wanted) -> None:
        """As an earlier release did, which took what is released for declared: the private object
        is lost, and the hold is filed under the same id."""
        await self.lose(hold_name(hold_id))

        async def no_entry(_: str) -> None:
            return None

        assert (await self.holds.file(what, AT, no_entry)).hold_id == hold_id

    async def file(self, what: Wanted | None = None) -> Hold:
        """Only that."""

        async def entry_of(hold_id: str) -> HoldEntry | None:
            reader = self.reader
            await reader.entries()
            return reader.standing.get(hold_id)

        return await self.holds.file(what or wanted(), AT, entry_of)

    async def declare(self, what: Wanted | None = None) -> str:
        """File and carry out; the hold's id."""
        hold = await self.file(what)
        await self.declaring.carry_out_filed(AT)
        return hold.hold_id

    async def entry(self, hold_id: str) -> HoldEntry:
        """The newest of a hold in the register."""
        reader = self.reader
        await reader.entries()
        return reader.standing[hold_id]

    async def release(self, hold_id: str) -> None:
        """By two persons, carried out."""
        await self.holds.release(hold_id, "counsel", AT, "END-1")
        await self.holds.approve(hold_id, "chief", AT)
        await self.declaring.carry_out_filed(AT)
