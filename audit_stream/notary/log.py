"""Reading the archive log from a store: its head, its leaves, and proofs about it.

The batches are the log. Tiles are a cache of hashes: what is missing there, or not full yet, is
worked out from the batches; a proof is checked against the signed root before it leaves.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from audit_stream.archive.newest import newest_number
from audit_stream.errors import ForkAlarm, FormatError
from audit_stream.evidence.batch import MOST_LEAVES, Batch, decode_batch
from audit_stream.evidence.digest import Digest, decode_digest
from audit_stream.evidence.log_names import (
    LOG_FOLDER,
    SIZE_DIGITS,
    TILE_HEIGHT,
    TILE_WIDTH,
    batch_name,
    parse_batch_name,
    tile_name,
)
from audit_stream.evidence.log_tree import (
    Frontier,
    NodeAt,
    complete_nodes,
    consistency_proof,
    inclusion_proof,
)
from audit_stream.evidence.note import Note, NoteKey
from audit_stream.evidence.tree import root_hash, verify_consistency, verify_inclusion
from audit_stream.ports import WormStore

_AT_A_TIME = 32  # batches, a few hundred kB each at most
_LISTED = 1024  # names of batches
_BLOCK = len(LOG_FOLDER) + SIZE_DIGITS - 5  # what names of a hundred thousand leaves start with
_CACHED = 64  # tiles, some 10 kB each
_HASH = 32
R = TypeVar("R")
_FORKED = "stop the notaries and read docs/runbooks/fork.md"


class _Unproven(FormatError):
    """What was read does not lead to the signed root."""


@dataclass(frozen=True, slots=True)
class Head:
    """The log behind one of its batches, checked: signature, root, digest."""

    frontier: Frontier
    note: Note
    digest: Digest
    old_size: int  # the batch begins there

    @property
    def size(self) -> int:
        """Leaves in the log."""
        return self.frontier.size

    @property
    def root(self) -> bytes:
        """Root of the log."""
        return self.frontier.root


def head_of(before: Frontier, batch: Batch, key: NoteKey, name: str) -> Head:
    """Check a batch behind a log that is known up to it. `FormatError`, `ForkAlarm`."""
    checkpoint, note = batch.open(key, name)
    after = before.add(leaf.hash for leaf in batch.leaves)
    digest = decode_digest(batch.leaves[-1].line, f"{name} last leaf")
    if batch.old_size != before.size or after.root != checkpoint.root:
        raise ForkAlarm(f"{name} is signed and does not have the root of its leaves", hint=_FORKED)
    if digest.prev_root != before.root or digest.archive != key.name:
        raise ForkAlarm(f"{name} is signed and its digest is of another log", hint=_FORKED)
    return Head(after, note, digest, before.size)


class ArchiveLog:
    """The log of one archive; `key` is the public key of its checkpoints."""

    def __init__(self, store: WormStore, key: NoteKey) -> None:
        self._store, self.key = store, key
        self._hashes: OrderedDict[tuple[int, int], tuple[bytes, ...]] = OrderedDict()
        self._tiled = True  # until one is found wrong

    async def head(self) -> Head | None:
        """The newest state; None of a log that was not begun. `FormatError`, `ForkAlarm`."""
        newest = await newest_number(self._store, LOG_FOLDER, SIZE_DIGITS)
        if newest is None:
            return None
        name, batch = batch_name(newest), await self.batch(newest)
        if batch is None:
            raise FormatError(f"{name} was listed and cannot be read")
        batch.open(self.key, name)  # else any name there is would be gone up to, leaf by leaf
        return await self.follow(await self._head_with(batch))

    async def head_at(self, size: int) -> Head | None:
        """The state at a size that some batch ended with; None for another size."""
        async for batch in self.batches(size - 1):
            if batch.new_size != size:
                break
            return await self._head_with(batch)
        return None

    async def _head_with(self, batch: Batch) -> Head:
        async def head() -> Head:
            name = batch_name(batch.old_size)
            return head_of(await self.frontier(batch.old_size), batch, self.key, name)

        return await self._checked(head)

    async def follow(self, head: Head) -> Head:
        """The head with every batch that was stored since."""
        while (batch := await self.batch(head.size)) is not None:
            head = self.head_behind(head, batch)
        return head

    def head_behind(self, head: Head | None, batch: Batch) -> Head:
        """The head with one more batch, checked. `FormatError`, `ForkAlarm`."""
        before = Frontier() if head is None else head.frontier
        return head_of(before, batch, self.key, batch_name(batch.old_size))

    async def batch(self, old_size: int) -> Batch | None:
        """The batch that begins there, or None. `FormatError` when another stands there."""
        name = batch_name(old_size)
        data = await self._store.get(name)
        if data is None:
            return None
        batch = decode_batch(data, name)
        if batch.old_size != old_size:
            raise FormatError(f"{name} is the batch that begins with leaf {batch.old_size}")
        return batch

    async def batches(self, start: int) -> AsyncIterator[Batch]:
        """From the batch that holds leaf `start` on, in order, one behind the other. Looked for in
        its block: not every store can begin a listing in the middle of a folder."""
        at = start
        after = batch_name(start - MOST_LEAVES) if start >= MOST_LEAVES else LOG_FOLDER
        ends = max(0, start - MOST_LEAVES), start
        for block in dict.fromkeys(batch_name(each)[:_BLOCK] for each in ends):
            for name in await self._store.names(block, after=after, limit=MOST_LEAVES):
                old_size = parse_batch_name(name)
                if old_size is not None and old_size <= start:
                    at = old_size
        while (batch := await self.batch(at)) is not None:
            if batch.new_size > start:
                yield batch
            at = batch.new_size

    async def whole_batches(self, start: int, end: int) -> AsyncIterator[Batch]:
        """Those of [start, end), where one begins and one ends, many read at a time: for who needs
        them all. `FormatError` when one is missing.

        Listed block by block: not every store can begin a listing in the middle of a folder.
        """
        after = batch_name(start - 1) if start else LOG_FOLDER
        while start < end:
            names = await self._store.names(
                batch_name(start)[:_BLOCK], after=after, limit=min(_LISTED, end - start)
            )
            sizes = [size for name in names if (size := parse_batch_name(name)) is not None]
            for some in _by(_AT_A_TIME, [size for size in sizes if size < end]):
                for batch in await asyncio.gather(*map(self.batch, some)):
                    if batch is not None and start == batch.old_size:
                        yield batch
                        start = batch.new_size
                if start <= some[-1]:
                    raise _missing(start)
            if not names:
                raise _missing(start)
            after = max(names[-1], batch_name(start - 1)) if start else names[-1]

    async def frontier(self, size: int) -> Frontier:
        """The frontier of the first `size` leaves, from tiles and batches. Not checked yet."""
        nodes = [await self._node(*node) for node in complete_nodes(0, size)]
        return Frontier(size, tuple(nodes))

    async def inclusion(self, index: int, head: Head) -> list[bytes]:
        """The audit path of leaf `index` in the log of the head, checked against its root."""

        async def proof() -> list[bytes]:
            path = await self._prove(lambda node_at: inclusion_proof(index, head.size, node_at))
            leaf = await self._node(0, index)
            if not verify_inclusion(leaf, index, head.size, path, head.root):
                raise _Unproven(f"tiles and batches do not prove leaf {index} of the archive log")
            return path

        return await self._checked(proof)

    async def consistency(self, old: int, old_root: bytes, head: Head) -> list[bytes]:
        """The proof that the log of size `old` is a prefix of the head's, checked."""

        async def proof() -> list[bytes]:
            path = await self._prove(lambda node_at: consistency_proof(old, head.size, node_at))
            if not verify_consistency(old, head.size, old_root, head.root, path):
                raise _Unproven(
                    f"the archive log of size {old} is no prefix of that of {head.size}"
                )
            return path

        return await self._checked(proof)

    async def _checked(self, attempt: Callable[[], Awaitable[R]]) -> R:
        """Once more without tiles, where they do not lead to what was signed: the batches tell,
        also to whoever was reading tiles meanwhile."""
        tiled = self._tiled
        try:
            return await attempt()
        except (ForkAlarm, _Unproven):
            self._tiled = False
            self._hashes.clear()
            if not tiled:
                raise
        return await self._checked(attempt)

    async def _prove(self, proof: Callable[[NodeAt], R]) -> R:
        """A proof takes its nodes one after the other: the first time round only to name them."""
        wanted: dict[tuple[int, int], bytes] = {}

        def name(level: int, index: int) -> bytes:
            return wanted.setdefault((level, index), bytes(_HASH))

        proof(name)
        for node in wanted:
            wanted[node] = await self._node(*node)
        return proof(lambda level, index: wanted[level, index])

    async def _node(self, level: int, index: int) -> bytes:
        """Root of a complete subtree."""
        tile_level, height = divmod(level, TILE_HEIGHT)
        return root_hash(await self.hashes(tile_level, index << height, 1 << height))

    async def hashes(self, tile_level: int, start: int, count: int) -> Sequence[bytes]:
        """`count` hashes of one tile: roots of subtrees of 256^tile_level leaves."""
        index, offset = divmod(start, TILE_WIDTH)
        tile = self._hashes.get((tile_level, index), ())
        if len(tile) < offset + count:
            tile = await self._tile(tile_level, index) or ()
        if not tile and tile_level == 0:
            tile = await self._leaf_hashes(index)
        if tile:
            if len(tile) < offset + count:
                raise FormatError(f"the archive log does not hold leaf {start + count - 1}")
            return tile[offset : offset + count]
        return [
            root_hash(await self.hashes(tile_level - 1, child * TILE_WIDTH, TILE_WIDTH))
            for child in range(start, start + count)
        ]

    async def _tile(self, level: int, index: int) -> tuple[bytes, ...] | None:
        data = await self._store.get(tile_name(level, index)) if self._tiled else None
        if data is None or len(data) != TILE_WIDTH * _HASH or not self._tiled:
            return None
        return self._kept(
            (level, index), tuple(data[at : at + _HASH] for at in range(0, len(data), _HASH))
        )

    async def _leaf_hashes(self, index: int) -> tuple[bytes, ...]:
        """A tile's hashes as far as there are leaves, from the batches."""
        start, found = index * TILE_WIDTH, list[bytes]()
        async for batch in self.batches(start):
            found += [leaf.hash for leaf in batch.leaves[max(0, start - batch.old_size) :]]
            if len(found) >= TILE_WIDTH:
                break
        return self._kept((0, index), tuple(found[:TILE_WIDTH]))

    def _kept(self, place: tuple[int, int], tile: tuple[bytes, ...]) -> tuple[bytes, ...]:
        self._hashes[place] = tile
        while len(self._hashes) > _CACHED:
            self._hashes.popitem(last=False)
        return tile


def _by(count: int, sizes: Sequence[int]) -> Iterator[Sequence[int]]:
    for at in range(0, len(sizes), count):
        yield sizes[at : at + count]


def _missing(size: int) -> FormatError:
    return FormatError(f"{batch_name(size)} is missing from the archive log")
