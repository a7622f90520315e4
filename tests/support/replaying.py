"""The golden archive with its status map in place, and its raw log, to be compared again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audit_stream.archive.chain import Chain
from audit_stream.archive.range import EVERYTHING, Range
from audit_stream.evidence import layout, ledger
from audit_stream.evidence.rawmac import raw_key
from audit_stream.evidence.segment import decode
from audit_stream.flatten.status_map import StatusMap
from audit_stream.kafka.rawlog import RawBatch
from audit_stream.ports import WormStore
from audit_stream.privacy.derivation import TagMaker
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.keytree import Buffer, Cover, path_of
from audit_stream.privacy.subjects import choose_subject
from audit_stream.replay.compare import Comparison
from audit_stream.replay.keys import StreamKeys
from audit_stream.replay.rejudge import Maps, Rejudge, Rules
from audit_stream.replay.states import States
from audit_stream.replay.tally import Tally
from audit_stream.seal.builder import Link
from audit_stream.stores.memory import MemoryWormStore
from tests.support import golden, resealed
from tests.support.resealed import MESSAGES, name, relinked, resigned, stream_of

MAP = golden.STATUS_MAP
RECORDS = golden.raw_records(MESSAGES)
END = len(RECORDS)


def archived(status_map: StatusMap = MAP) -> dict[str, bytes]:
    """The golden archive's messages, whose headers name a map that lies in the archive."""
    objects = {
        each: resigned(data, status_map=status_map.hash) if each.startswith("segments/") else data
        for each, data in resealed.OBJECTS.items()
        if f"/{MESSAGES}/" in each
    }
    return relinked(objects) | {layout.map_name(status_map.hash): status_map.canonical_bytes}


OBJECTS = archived()


def letters(base: int) -> str:
    header = decode(OBJECTS[name(MESSAGES, base)], "x").header
    runs = ledger.decode(header.ledger, header.next - header.base)
    return "".join(letter * count for count, letter in runs)


def offset_of(base: int, index: int) -> int:
    """Offset of a segment's record line."""
    return [base + i for i, letter in enumerate(letters(base)) if letter == "a"][index]


def person(offset: int) -> tuple[str, str, str]:
    event = json.loads(RECORDS[offset].value or b"")
    recipient = event["recipient"]
    return choose_subject(
        event["tenant"]["id"], recipient.get("external_id"), recipient.get("address"),
        event["message_id"],
    )  # fmt: skip


def erased_cover(*people: tuple[str, str, str]) -> bytes:
    tags = TagMaker(golden.KEYRING.trees[0].pepper)
    return Cover(golden.COVER).puncture([path_of(tags.tag(subject)) for subject in people])


async def stored(objects: dict[str, bytes]) -> WormStore:
    """The objects in a store."""
    store = MemoryWormStore()
    for each, data in objects.items():
        await store.put_if_absent(each, data, {})
    return store


@dataclass
class ListLog:
    """A raw log of records in a list, given out in batches of so many offsets.

    `loses` maps an offset to a log start: reading there, retention turns out to have come by.
    """

    records: Sequence[golden.Raw] = field(default_factory=lambda: RECORDS)
    start: int = 0
    size: int = 25
    loses: dict[int, int] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.records[-1].offset + 1

    async def bounds(self) -> tuple[int, int]:
        return self.start, self.end

    async def batches(self, start: int, end: int) -> AsyncIterator[RawBatch]:
        at = start
        while at < end:
            if (lost := self.loses.pop(at, None)) is not None:
                self.start = lost
            if at < self.start:
                yield RawBatch(at, self.start, (), lost_before=self.start)
                at = self.start
                continue
            until = min(at + self.size, self.end)
            yield RawBatch(at, until, [r for r in self.records if at <= r.offset < until])
            at = until


@dataclass
class Replay:
    """One comparison of the golden messages."""

    objects: dict[str, bytes]
    folder: Path
    log: ListLog | None = field(default_factory=ListLog)
    keyring: Keyring = golden.KEYRING
    cover: Buffer = golden.COVER
    wanted: Range = EVERYTHING
    tag: str = "COMPLIANCE_ARCHIVE_V1"
    keep_going: bool = False
    dry_run: bool = False
    tally: Tally = field(default_factory=lambda: Tally(of="test"))
    link: Link | None = None
    done: list[int] = field(default_factory=list)

    async def run(self) -> Tally:
        states = States(self.folder, keep=True)
        try:
            await self._run(states)
        finally:
            states.close()
        return self.tally

    async def chain(self) -> Chain:
        store = await stored(self.objects)
        return Chain(store, golden.trusted(), stream_of(MESSAGES), 0, whole=False)

    async def _run(self, states: States) -> None:
        chain = await self.chain()
        rules = Rules(
            regulatory_tag=self.tag, placeholders=(), raw_key=raw_key(self.keyring.index_key)
        )
        keys = StreamKeys(self.keyring, lambda _: self.cover, chain.stream.stream)
        rejudge = Rejudge(chain.stream, 0, rules, keys, states.get)
        comparison = Comparison(
            chain, self.log, states, rejudge, rules, Maps(await stored(self.objects)), self.wanted,
            self.tally, told=lambda done, _: self.done.append(done), spend=_free,
            keep_going=self.keep_going, dry_run=self.dry_run,
        )  # fmt: skip
        await comparison.run(self.link or chain.genesis)


async def _free(records: int) -> None:
    """No rate limit."""
