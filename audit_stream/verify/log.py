"""Verification of the archive log against the objects it vouches for.

V16 each batch follows the one before; its checkpoint is signed by the log's key and has the
    root of all leaves so far; its last leaf is the digest, which names the root before
V17 each leaf that names an object is that object's first line
V18 each stream object, segment and entry of a register is a leaf, once, in the order of its chain;
    only what is newer than the last digest may be missing
V19 each digest covers what the leaves cover
V20 a checkpoint that was kept elsewhere is one this log has had
V21 each tile holds the hashes of its leaves
V22 each anchor vouches for a checkpoint of this log, and is the one that is a leaf
V23 the access journals (`verify.access`)
V24 the keys, as the log has them (`verify.keys`)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence import layout
from audit_stream.evidence.access import KIND as ACCESS
from audit_stream.evidence.access import AccessLine, decode_access_line
from audit_stream.evidence.anchor_line import KIND as ANCHOR
from audit_stream.evidence.anchor_line import AnchorLine, anchor_line, decode_anchor_line
from audit_stream.evidence.batch import Batch, Leaf, decode_batch
from audit_stream.evidence.canonical import kind_of, parse_line
from audit_stream.evidence.checkpoint import Checkpoint
from audit_stream.evidence.digest import decode_digest
from audit_stream.evidence.ending import decode_link
from audit_stream.evidence.key_line import KIND as KEY
from audit_stream.evidence.log_names import (
    ACCESS_FOLDER,
    TILE_WIDTH,
    batch_name,
    parse_anchor_name,
    parse_batch_name,
    parse_tile_name,
)
from audit_stream.evidence.log_tree import Frontier
from audit_stream.evidence.note import NoteKey, parse_note
from audit_stream.evidence.register import decode_entry, parse_entry_name
from audit_stream.evidence.segment import Segment
from audit_stream.evidence.tree import root_hash
from audit_stream.verify.access import access_problems
from audit_stream.verify.keys import KeyRules
from audit_stream.verify.register import LoggedRegisters
from audit_stream.verify.report import LogReport, Problem

Read = Callable[[str], bytes | None]
Place = tuple[str, int, int]


class LogVerifier:
    """Verifies the log objects among `names`; `leaves` has the leaf hash of each verified object.

    `kept`: checkpoints, already checked for the key's signature, that were kept elsewhere.
    """

    def __init__(
        self, names: Iterable[str], read: Read, key: NoteKey, leaves: Mapping[str, bytes],
        kept: Sequence[Checkpoint] = (),
    ) -> None:  # fmt: skip
        self._names, self._read, self._key, self._leaves = sorted(names), read, key, leaves
        self._kept = sorted(kept, key=lambda checkpoint: checkpoint.size)
        self._frontier = Frontier()
        self._hashes: list[bytes] = []
        self._logged: set[str] = set()
        self._covered: dict[Place, int] = {}
        self._registers = LoggedRegisters(key.name)
        self._anchors: list[AnchorLine] = []
        self._accessed: list[AccessLine] = []
        self._keys = KeyRules(key)
        self._notes_by_size: dict[int, str] = {}  # the text of each checkpoint
        self.report = LogReport()

    def run(self) -> LogReport:
        """Verify; the report."""
        sizes = sorted(size for name in self._names if (size := parse_batch_name(name)) is not None)
        intact = all(self._take(size) for size in sizes)
        self.report.size = self._frontier.size
        if intact:
            self._check_complete()
            for checkpoint in self._kept:
                self._check_kept(checkpoint)
            self._check_cache()
            self._check_access()
            self._check_keys()
        return self.report

    def _take(self, old_size: int) -> bool:
        """One batch; False when nothing behind it can be judged."""
        name = batch_name(old_size)
        if old_size != self._frontier.size:
            self._wrong("V16", batch_name(self._frontier.size), "is missing")
            return False
        try:
            batch = decode_batch(self._read(name) or b"", name)
            return self._follow(batch, name)
        except UnknownVersion as error:
            self.report.unknown.append(Problem("V16", name, _short(error, name)))
        except FormatError as error:
            self._wrong("V16", name, _short(error, name))
        return False

    def _follow(self, batch: Batch, name: str) -> bool:
        checkpoint, note = batch.open(self._key, name)
        digest = decode_digest(batch.leaves[-1].line, f"{name} digest")
        before = self._frontier
        if digest.prev_root != before.root or digest.archive != self._key.name:
            raise FormatError(f"{name} digest does not name the log before it")
        for kept in self._kept:
            if before.size < kept.size < batch.new_size:  # not one of ours: never signed that way
                part = before.add(leaf.hash for leaf in batch.leaves[: kept.size - before.size])
                self._compare(kept, part.root)
        self._frontier = before.add(leaf.hash for leaf in batch.leaves)
        self._hashes += [leaf.hash for leaf in batch.leaves]
        if self._frontier.root != checkpoint.root:
            raise FormatError(f"{name} checkpoint does not have the root of its leaves")
        self._notes_by_size[batch.new_size] = note.text
        for index, leaf in enumerate(batch.leaves[:-1], before.size):
            self._check_leaf(index, leaf, name)
        covered = {(c.topic, c.generation, c.partition): c.archived_next for c in digest.coverage}
        if covered != self._covered or digest.registers != self._registers.heads:
            self._wrong("V19", name, "digest does not cover what the leaves cover")
        self.report.time = digest.time
        return True

    def _check_leaf(self, index: int, leaf: Leaf, batch: str) -> None:
        if leaf.name is None:
            self._note_line(index, leaf.line, batch)
            return
        if leaf.name in self._logged:
            self._wrong("V18", leaf.name, f"is a leaf twice, again in {batch}")
        self._logged.add(leaf.name)
        self._cover(index, leaf, batch)
        standing = self._leaves.get(leaf.name)
        if standing is None:
            self._wrong("V17", leaf.name, "is in the archive log and not, or not intact, here")
        elif standing != leaf.hash:
            self._wrong("V17", leaf.name, "does not have the first line that was logged")

    def _note_line(self, index: int, line: bytes, batch: str) -> None:
        """Leaves of other kinds say nothing that can be held against an object."""
        kind = kind_of(line, f"{batch} leaf")
        if kind == ACCESS:
            self._accessed.append(decode_access_line(line, f"{batch} access line"))
        elif kind == ANCHOR:
            self._anchors.append(decode_anchor_line(line, f"{batch} leaf"))
        elif kind == KEY:
            self._keys.take_line(index, line)

    def _cover(self, index: int, leaf: Leaf, batch: str) -> None:
        """Follow the leaves as their digests must."""
        if (entry := parse_entry_name(str(leaf.name))) is not None:
            kid, in_order = self._registers.take(leaf, *entry)
            if not in_order:
                self._wrong("V18", str(leaf.name), f"is out of order in {batch}")
            self._keys.take_signed(index, kid, str(leaf.name))
            return
        said = parse_line(leaf.line, f"{batch} leaf of {leaf.name}")
        try:
            topic, generation = said["topic"], said["generation"]
            if layout.parse_stream_name(str(leaf.name)) is not None:
                for partition, base in enumerate(said["genesis"]):
                    self._covered[topic, generation, partition] = base
                self._note_stream(index, leaf)
                return
            place = (topic, generation, said["partition"])
            if self._covered.get(place) != said["base"]:
                self._wrong("V18", str(leaf.name), f"is out of order in {batch}")
            self._covered[place] = said["next"]
            self._keys.take_signed(index, str(said["kid"]), str(leaf.name))
        except (KeyError, TypeError) as error:
            raise FormatError(f"{batch} leaf of {leaf.name} is no line of its kind") from error

    def _note_stream(self, index: int, leaf: Leaf) -> None:
        """One that is not what was logged, or not a trusted key's, is wrong anyway."""
        if self._leaves.get(name := str(leaf.name)) == leaf.hash:
            self._keys.take_stream(index, self._read(name) or b"", name)

    def _check_complete(self) -> None:
        """Whatever the digests cover is logged; the rest is newer."""
        for name in self._leaves.keys() - self._logged:
            if self._is_covered(name):
                self._wrong("V18", name, "is older than the archive log's end and not in it")
            else:
                self.report.newer += 1
                self._take_newer(name)
        if self.report.newer:
            self.report.notes.append(
                f"V18: {self.report.newer} objects are newer than the log's last batch"
            )

    def _take_newer(self, name: str) -> None:
        """It will be a leaf behind the last one: who was revoked by then signs nothing any more."""
        index, data = self._frontier.size, self._read(name)
        if data is None:  # disposed of since: what is left of it is judged where disposals are
            return
        if layout.parse_stream_name(name) is not None:
            self._keys.take_stream(index, data, name)
        elif parse_entry_name(name) is not None:
            self._keys.take_signed(index, decode_entry(data, name).kid, name)
        elif isinstance(link := decode_link(data, name), Segment):
            self._keys.take_signed(index, link.header.kid, name)

    def _is_covered(self, name: str) -> bool:
        """Whether the leaves go beyond an object that is none."""
        segment = layout.parse_segment_name(name)
        if segment is None:
            return self._registers.covers(name)
        place = (segment.topic, segment.generation, segment.partition)
        return segment.base < self._covered.get(place, 0)

    def _check_kept(self, kept: Checkpoint) -> None:
        if kept.size > self._frontier.size:
            self._wrong(
                "V20", "log/", f"has {self._frontier.size} leaves, the kept checkpoint {kept.size}"
            )
        elif kept.size in self._notes_by_size:
            if self._notes_by_size[kept.size] != kept.text():
                self._differs(kept)
        elif kept.size == 0:
            self._compare(kept, Frontier().root)

    def _compare(self, kept: Checkpoint, root: bytes) -> None:
        if kept.root != root:
            self._differs(kept)

    def _differs(self, kept: Checkpoint) -> None:
        self._wrong("V20", "log/", f"had another root at {kept.size} leaves, says the kept one")

    def _check_cache(self) -> None:
        """Tiles and anchors, as far as there is a log to hold them against."""
        for name in self._names:
            if (tile := parse_tile_name(name)) is not None:
                self._check_tile(name, *tile)
            elif (anchor := parse_anchor_name(name)) is not None:
                self._check_anchor(name, anchor[0])
        for line in self._anchors:
            if anchor_line(line.name, self._read(line.name) or b"") != line:
                self._wrong("V22", line.name, "is a leaf, and is missing or another here")

    def _check_access(self) -> None:
        try:
            self.report.problems += access_problems(
                self._names, self._read, self._key.name, self._accessed
            )
        except UnknownVersion as error:
            self.report.unknown.append(Problem("V23", ACCESS_FOLDER, error.message))

    def _check_keys(self) -> None:
        self._keys.judge(self._notes_by_size)
        self.report.problems += self._keys.problems
        self.report.unknown += self._keys.unknown

    def _check_tile(self, name: str, level: int, index: int) -> None:
        width = TILE_WIDTH**level
        start, end = index * TILE_WIDTH * width, (index + 1) * TILE_WIDTH * width
        if end > self._frontier.size:
            self._wrong("V21", name, "is beyond the log's end")
            return
        hashes = (root_hash(self._hashes[at : at + width]) for at in range(start, end, width))
        if self._read(name) != b"".join(hashes):
            self._wrong("V21", name, "does not hold the hashes of its leaves")

    def _check_anchor(self, name: str, size: int) -> None:
        text = self._notes_by_size.get(size)
        if text is None:
            self._wrong("V22", name, "vouches for a checkpoint this log does not have")
        elif name.endswith(".note"):
            try:
                same = parse_note(self._read(name) or b"", name).text == text
            except FormatError as error:
                self._wrong("V22", name, _short(error, name))
            else:
                if not same:
                    self._wrong("V22", name, "vouches for another checkpoint of this size")

    def _wrong(self, step: str, name: str, what: str) -> None:
        self.report.problems.append(Problem(step, name, what))


def _short(error: Any, name: str) -> str:
    return str(error.message).removeprefix(f"{name} ")
