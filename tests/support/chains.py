"""Chains of segments without records, for tests of what follows chains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from audit_stream.evidence import layout
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.segment import Header, encode
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.evidence.stream_object import StreamObject
from audit_stream.evidence.tree import EMPTY_ROOT, leaf_hash
from audit_stream.ports import WormStore
from audit_stream.seal.builder import Link

NAME = "audit.example/chains"
SIGNER = LineSigner(b"\x11" * 32)
TRUSTED = TrustedKeys(SIGNER.public)
_ZERO = "00" * 32


def stream_of(
    topic: str, partitions: int = 2, generation: int = 1, genesis: int = 0,
    ended: Sequence[dict[str, object]] | None = None,
) -> StreamObject:  # fmt: skip
    return StreamObject(
        archive=NAME, ended=ended, generation=generation, genesis=[genesis] * partitions,
        partitions=partitions, reason="first seen", stream=f"{generation:032x}", topic=topic,
        topic_id=None,
    )  # fmt: skip


@dataclass
class ChainMaker:
    """Stores one stream's object, and segments behind each other."""

    store: WormStore
    stream: StreamObject
    signer: LineSigner = SIGNER
    links: dict[int, Link] = field(default_factory=dict)

    async def found(self) -> None:
        name = layout.stream_name(self.stream.topic, self.stream.generation)
        await self.store.put_if_absent(name, self.stream.encode(self.signer), {})

    def header(self, partition: int, offsets: int) -> Header:
        link = self.links.get(partition) or Link(
            next=self.stream.genesis[partition], seq=0, leaf=None
        )
        return Header(
            archive=NAME, assurance="mutable", base=link.next, body=sha256(b"").hexdigest(),
            count=0, first_ts=1, generation=self.stream.generation, key_epoch=1,
            kid=self.signer.kid, last_ts=2, ledger=f"{offsets}i" if offsets > 1 else "i",
            next=link.next + offsets, partition=partition, prev=link.leaf, raw=_ZERO,
            root=EMPTY_ROOT.hex(), sealed_at="2026-11-25T00:00:00.000Z", seq=link.seq,
            status_map=_ZERO, stream=self.stream.stream, topic=self.stream.topic, void=[],
            writer="test",
        )  # fmt: skip

    async def add(self, partition: int = 0, offsets: int = 10, **changes: object) -> str:
        """Store the next segment, with `changes` to its header; its name."""
        header = replace(self.header(partition, offsets), **changes)  # type: ignore[arg-type]
        name = str(SegmentName(header.topic, header.generation, partition, header.base))
        line = header.line()
        data = encode(line, self.signer.signature_line(line), b"")
        await self.store.put_if_absent(name, data, {})
        self.links[partition] = Link(
            next=header.next, seq=header.seq + 1, leaf=leaf_hash(line).hex()
        )
        return name
