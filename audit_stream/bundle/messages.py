"""A bundle's facts for messages that were looked up in the index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from audit_stream.bundle.anchors import vouched_head
from audit_stream.bundle.certificates import CertificateFinder, epochs_of, fact_of, proven
from audit_stream.bundle.collect import Wanted, collect, stored_at
from audit_stream.bundle.disposals import covering, superseded
from audit_stream.bundle.facts import BundleFacts, CertificateFact, Certified, Custody
from audit_stream.errors import FormatError
from audit_stream.evidence.checkpoint import Checkpoint
from audit_stream.evidence.note import NoteKey
from audit_stream.evidence.record import Record
from audit_stream.evidence.register import Entry, Register
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.tree import leaf_hash
from audit_stream.index.lookup import Message, Revision
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.ports import WormStore

_NOT_LOGGED = "the notary logs what is stored within a minute or two: try again then"


def _unknown(_: bytes) -> None:
    """Nobody followed the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Reads one archive; `segment_keys` are its trusted public keys, 32 bytes each."""

    store: WormStore
    log: ArchiveLog
    segment_keys: Sequence[bytes]
    #: Where a header's leaf is in the log, if it is known; else the log is read for it.
    place_of: Callable[[bytes], int | None] = _unknown
    #: Those whose lines can be judged here: what claims to be theirs and is not, is left out.
    witnesses: Collection[NoteKey] = ()

    async def collect(
        self, messages: Iterable[Message], custody: Custody, *, answer: str | None = None,
        answer_keys: bytes | None = None, kept: Iterable[Checkpoint] = (),
    ) -> BundleFacts:  # fmt: skip
        """All that proves the messages' records, and that the log continues the checkpoints that
        its reader has `kept`. `FormatError` when it does not, or has not all of it yet."""
        revisions = [each for message in messages for each in message.revisions]
        leaves = {each.segment: leaf_hash(each.header_line) for each in revisions}
        keys = TrustedKeys(*self.segment_keys)
        disposals = await covering(
            self.store, keys, self.log.key.name, superseded(revisions)
        )  # fmt: skip
        places = await self._places({*leaves.values(), *(each.leaf for each in disposals)})
        shown = {each.record.pub["source"]: each.personal.disclosures for each in revisions}
        records: dict[str, list[int]] = defaultdict(list)
        for each in revisions:
            records[each.segment].append(each.index)
        wanted = [
            Wanted(segment=name, log_index=places[leaves[name]], records=indexes)
            for name, indexes in records.items()
        ]

        def disclose(record: Record) -> Sequence[str]:
            return shown[record.pub["source"]]

        index = max(places.values())
        head, anchors = await vouched_head(self.store, self.log, index, self.witnesses)
        facts = await collect(
            self.store, self.log, head, wanted, disclose=disclose, custody=custody,
            segment_keys=self.segment_keys, anchors=anchors,
        )  # fmt: skip
        return replace(
            facts, answer=answer, answer_keys=answer_keys,
            certificates=await self._certificates(revisions, head),
            disposals=[await self._disposal(each, places, head) for each in disposals],
            consistency=await self._consistency(kept, head),
        )  # fmt: skip

    async def _consistency(
        self, kept: Iterable[Checkpoint], head: Head
    ) -> dict[tuple[int, int], Sequence[bytes]]:
        """Proofs by (old size, new size); a checkpoint of the head's size needs none."""
        found: dict[tuple[int, int], Sequence[bytes]] = {}
        for each in kept:
            there = head if each.size <= head.size else await self.log.head_at(each.size)
            if there is None or (there.size == each.size and there.root != each.root):
                raise FormatError(
                    f"the archive log has no such checkpoint of {each.size} leaves",
                    hint="keep both: audit-stream log check KEPT says more",
                )
            old = each if each.size < head.size else head
            if 0 < old.size < there.size:
                path = await self.log.consistency(old.size, old.root, there)
                found[old.size, there.size] = path
        return found

    async def _certificates(
        self, revisions: Sequence[Revision], head: Head
    ) -> Certified | None:  # fmt: skip
        """Those that can be an erased record's; None where none is erased."""
        if (epochs := epochs_of(revisions)) is None:
            return None
        keys = TrustedKeys(*self.segment_keys)
        finder = CertificateFinder(self.store, keys, self.log.key.name)
        found = await finder.find(head.digest.registers.get(Register.REDACTIONS), epochs)
        places = await self._places({each.leaf for each in found.entries})
        return await proven(found, epochs, places, self.log, head)

    async def _disposal(
        self, entry: Entry, places: Mapping[bytes, int], head: Head
    ) -> CertificateFact:  # fmt: skip
        return await fact_of(entry, await stored_at(self.store, entry.name), places, self.log, head)

    async def _places(self, leaves: set[bytes]) -> dict[bytes, int]:
        known = ((leaf, self.place_of(leaf)) for leaf in leaves)
        found = {leaf: place for leaf, place in known if place is not None}
        if found.keys() != leaves:
            async for batch in self.log.batches(0):
                for at, leaf in enumerate(batch.leaves, start=batch.old_size):
                    if leaf.hash in leaves:
                        found[leaf.hash] = at
                if found.keys() == leaves:
                    break
        if found.keys() != leaves:
            raise FormatError(
                "a record's segment, or a certificate, is not in the archive log yet",
                hint=_NOT_LOGGED,
            )
        return found
