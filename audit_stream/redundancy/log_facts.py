"""What a proven log says of objects.

Tiles, anchors and parts of access journals carry no signature. Of each the log gives a hash; those
hashes are kept here, some hundred bytes an object. Of what is signed its leaf is kept.
"""

from __future__ import annotations

from hashlib import sha256

from audit_stream.errors import FormatError
from audit_stream.evidence.access import decode_access_line, decode_part, is_access_line
from audit_stream.evidence.anchor_line import KIND as ANCHOR
from audit_stream.evidence.anchor_line import decode_anchor_line
from audit_stream.evidence.batch import Batch
from audit_stream.evidence.canonical import kind_of
from audit_stream.evidence.log_names import (
    TILE_WIDTH,
    access_name,
    parse_access_name,
    parse_anchor_name,
    parse_tile_name,
    tile_name,
)
from audit_stream.evidence.note import NoteKey, parse_note
from audit_stream.evidence.tree import root_hash
from audit_stream.redundancy.leaves import Leaves
from audit_stream.redundancy.log_walk import LogWalk
from audit_stream.redundancy.sides import Sides
from audit_stream.redundancy.word import GOOD, Judgement, unproven, wrong

Part = tuple[str, int]  # journal, number


class LogFacts:
    """Judges what the log has the hash of; reads the whole log when it is first asked."""

    def __init__(self, sides: Sides, key: NoteKey) -> None:
        self._sides, self._key = sides, key
        self._read = False
        self._level: list[list[bytes]] = []  # of each level of tiles the hashes not in one yet
        self._tiles: dict[str, bytes] = {}  # name -> SHA-256 of the tile
        self._anchors: dict[str, bytes] = {}  # name -> SHA-256
        self._notes: dict[int, bytes] = {}  # size -> SHA-256 of the checkpoint's text
        self._parts: dict[Part, bytes] = {}  # leaf hash
        self._ends: dict[str, int] = {}  # journal -> the first number that is not logged
        self._size = 0
        self._leaves = Leaves()

    async def leaf_of(self, name: str) -> bytes | None:
        """The leaf hash of an object whose first line is a leaf; None: it is not in the log."""
        await self._gather()
        return self._leaves.of(name)

    async def judge(self, name: str, data: bytes) -> Judgement:
        """Of bytes under the name of a tile, an anchor or a journal's part."""
        await self._gather()
        if parse_tile_name(name) is not None:
            return self._judge_tile(name, data)
        if (anchor := parse_anchor_name(name)) is not None:
            return self._judge_anchor(name, anchor[0], data)
        return await self._judge_part(name, data)

    async def _gather(self) -> None:
        if self._read:
            return
        walk = LogWalk(self._sides, self._key)
        while (batch := await walk.next()) is not None:
            self._take(batch)
        self._size, self._read = walk.size, True

    def _take(self, batch: Batch) -> None:
        _, note = batch.open(self._key, "a batch")
        self._notes[batch.new_size] = sha256(note.text.encode()).digest()
        for index, leaf in enumerate(batch.leaves, batch.old_size):
            self._add(0, index, leaf.hash)
            if leaf.name is not None:
                self._leaves.add(leaf.name, leaf.hash)
            elif is_access_line(leaf.line):
                for journal, head in decode_access_line(leaf.line, "a leaf").heads.items():
                    self._parts[journal, head.next - 1] = head.leaf
                    self._ends[journal] = head.next
            elif kind_of(leaf.line, "a leaf") == ANCHOR:
                line = decode_anchor_line(leaf.line, "a leaf")
                self._anchors[line.name] = line.sha256

    def _add(self, level: int, index: int, value: bytes) -> None:
        """A hash of a level of tiles; a full tile's root is one of the level above."""
        if level == len(self._level):
            self._level.append([])
        waiting = self._level[level]
        waiting.append(value)
        if len(waiting) == TILE_WIDTH:
            tile = index // TILE_WIDTH
            self._tiles[tile_name(level, tile)] = sha256(b"".join(waiting)).digest()
            root = root_hash(waiting)
            waiting.clear()
            self._add(level + 1, tile, root)

    def _judge_tile(self, name: str, data: bytes) -> Judgement:
        known = self._tiles.get(name)
        if known is None:
            return unproven(f"the log is good up to leaf {self._size} alone")
        same = sha256(data).digest() == known
        return GOOD if same else wrong("does not hold the hashes of its leaves")

    def _judge_anchor(self, name: str, size: int, data: bytes) -> Judgement:
        logged = self._anchors.get(name)
        if logged is not None:
            return GOOD if sha256(data).digest() == logged else wrong("is not what was logged")
        text = self._notes.get(size)
        if text is None or not name.endswith(".note"):
            return unproven("it is not in the log yet")
        try:
            same = sha256(parse_note(data, name).text.encode()).digest() == text
        except FormatError as error:
            return wrong(error.message.removeprefix(f"{name} "))
        return GOOD if same else wrong("vouches for another checkpoint of this size")

    async def _judge_part(self, name: str, data: bytes) -> Judgement:
        place = parse_access_name(name)
        assert place is not None
        try:
            part = decode_part(data, name)
        except FormatError as error:
            return wrong(error.message.removeprefix(f"{name} "))
        if part.name != name or part.archive != self._key.name:
            return wrong(f"is the part {part.name} of {part.archive}")
        known = await self._leaf_of(place)
        if known is None:
            return unproven("the log says nothing of it")
        return GOOD if part.leaf == known else wrong("is not the part that was logged")

    async def _leaf_of(self, place: Part) -> bytes | None:
        """What the log has, or what the parts behind it that it has name as the one before."""
        journal, number = place
        missing = number
        while (journal, missing) not in self._parts:
            missing += 1
            if missing >= self._ends.get(journal, 0):
                return None
        for behind in range(missing, number, -1):
            known = self._parts[journal, behind]
            before = await self._before(access_name(journal, behind), known)
            if before is None:
                return None
            self._parts[journal, behind - 1] = before
        return self._parts[place]

    async def _before(self, name: str, known: bytes) -> bytes | None:
        for data in await self._sides.candidates(name):
            try:
                part = decode_part(data, name)
            except FormatError:
                continue
            if part.leaf == known:
                return part.prev
        return None
