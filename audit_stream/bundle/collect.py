"""Collecting a bundle's facts: from looked-up messages, the stores and the archive log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from audit_stream.bundle.facts import BundleFacts, Custody, RecordFact, SegmentFact
from audit_stream.errors import FormatError, Tampered
from audit_stream.evidence import layout
from audit_stream.evidence.ending import decode_link
from audit_stream.evidence.log_names import anchor_name, parse_anchor_name
from audit_stream.evidence.segment import Segment
from audit_stream.evidence.signing import encode_signature
from audit_stream.evidence.tree import leaf_hash
from audit_stream.index.lookup import Message, Revision
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.ports import WormStore

_ANCHORS = "anchor/"
_NOT_LOGGED = "the notary logs what is stored within a minute or two: try again then"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Reads one archive; `segment_keys` are its trusted public keys, 32 bytes each."""

    store: WormStore
    log: ArchiveLog
    segment_keys: Sequence[bytes]
    #: Where headers' leaves are in the log, if it is known; else the log is read for them.
    places: Mapping[bytes, int] = field(default_factory=dict)

    async def collect(
        self, messages: Iterable[Message], custody: Custody, *, answer: str | None = None,
        answer_keys: bytes | None = None,
    ) -> BundleFacts:  # fmt: skip
        """All that proves the messages' records. `FormatError` when some are not logged yet."""
        revisions = [each for message in messages for each in message.revisions]
        leaves = {leaf_hash(each.header_line) for each in revisions}
        places = await self._places(leaves)
        head = await self._vouched(max(places.values()))
        segments = {
            each.segment: await self._segment(each, places, head)
            for each in {revision.segment: revision for revision in revisions}.values()
        }
        headers = [each.header for each in revisions]
        return BundleFacts(
            records=[_record(each, segments[each.segment]) for each in revisions],
            checkpoint=head.note.encode(), custody=custody, segment_keys=self.segment_keys,
            log_keys=[self.log.key], answer=answer, answer_keys=answer_keys,
            streams=[
                await self._object(layout.stream_name(topic, generation))
                for topic, generation in sorted({(h.topic, h.generation) for h in headers})
            ],
            status_maps=[
                await self._object(layout.map_name(found))
                for found in sorted({h.status_map for h in headers} - {layout.STAND_IN_MAP})
            ],
            anchors=await self._anchors(head.size),
        )  # fmt: skip

    async def _places(self, leaves: set[bytes]) -> dict[bytes, int]:
        found = {leaf: self.places[leaf] for leaf in leaves if leaf in self.places}
        if found.keys() != leaves:
            async for batch in self.log.batches(0):
                for at, leaf in enumerate(batch.leaves, start=batch.old_size):
                    if leaf.hash in leaves:
                        found[leaf.hash] = at
                if found.keys() == leaves:
                    break
        if found.keys() != leaves:
            raise FormatError("a record's segment is not in the archive log yet", hint=_NOT_LOGGED)
        return found

    async def _vouched(self, index: int) -> Head:
        """The newest state somebody outside vouches for that holds the leaf; else the newest."""
        sizes = [
            anchor[0] for name in await self.store.names(_ANCHORS, after=anchor_name(index, "~"))
            if (anchor := parse_anchor_name(name)) is not None and anchor[0] > index
        ]  # fmt: skip
        head = await (self.log.head() if not sizes else self.log.head_at(max(sizes)))
        if head is None:
            raise FormatError("the archive log was not begun", hint="run: audit-stream notary")
        return head

    async def _segment(
        self, revision: Revision, places: Mapping[bytes, int], head: Head
    ) -> SegmentFact:
        found = decode_link(await self._object(revision.segment), revision.segment)
        if not isinstance(found, Segment) or found.header_line != revision.header_line:
            raise Tampered(f"{revision.segment} is not what it was a moment ago")
        index = places[found.leaf]
        return SegmentFact(
            header_line=found.header_line, signature_line=encode_signature(found.signature),
            log_index=index, log_path=await self.log.inclusion(index, head),
        )  # fmt: skip

    async def _object(self, name: str) -> bytes:
        data = await self.store.get(name)
        if data is None:
            raise Tampered(f"{name} is gone")
        return data

    async def _anchors(self, size: int) -> dict[str, bytes]:
        names = await self.store.names(anchor_name(size, ""))
        return {name.rpartition("/")[2]: await self._object(name) for name in names}


def _record(revision: Revision, segment: SegmentFact) -> RecordFact:
    return RecordFact(
        line=revision.line, segment=segment, index=revision.index, path=revision.path,
        disclosures=revision.personal.disclosures,
    )  # fmt: skip
