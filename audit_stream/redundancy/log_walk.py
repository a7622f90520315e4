"""Following an archive log that stands in two stores: at each place the batch that is proven.

A batch is proven by the root that its checkpoint signs, over all leaves up to it. The names that it
gives its leaves are not hashed: they must be those that the leaves' own lines say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from audit_stream.errors import FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.batch import Batch, Leaf, decode_batch
from audit_stream.evidence.canonical import kind_of, parse_line
from audit_stream.evidence.digest import decode_digest
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.log_names import batch_name, parse_batch_name
from audit_stream.evidence.log_tree import Frontier
from audit_stream.evidence.note import NoteKey
from audit_stream.evidence.register import Register
from audit_stream.redundancy.sides import Sides
from audit_stream.redundancy.word import GOOD, Judgement, unproven, wrong


class LogWalk:
    """The log up to some batch. Raises what the stores raise."""

    def __init__(self, sides: Sides, key: NoteKey) -> None:
        self._sides, self._key = sides, key
        self._frontier = Frontier()

    @property
    def size(self) -> int:
        """Leaves that were followed."""
        return self._frontier.size

    async def next(self) -> Batch | None:
        """Follow one more batch; None where neither store has a good one."""
        name = batch_name(self.size)
        for data in await self._sides.candidates(name):
            try:
                batch = self.open(data, name)
            except FormatError:
                continue
            self._frontier = self._frontier.add(leaf.hash for leaf in batch.leaves)
            return batch
        return None

    def open(self, data: bytes, name: str) -> Batch:
        """The next batch from its bytes; `FormatError` when they are not it."""
        batch = decode_batch(data, name)
        checkpoint, _ = batch.open(self._key, name)
        digest = decode_digest(batch.leaves[-1].line, f"{name} digest")
        after = self._frontier.add(leaf.hash for leaf in batch.leaves)
        if batch.old_size != self.size or after.root != checkpoint.root:
            raise FormatError(f"{name} checkpoint does not have the root of its leaves")
        if digest.prev_root != self._frontier.root or digest.archive != self._key.name:
            raise FormatError(f"{name} digest does not name the log before it")
        for index, leaf in enumerate(batch.leaves):
            if leaf.name != name_of(leaf):
                raise FormatError(f"{name} leaf {index} has the name of another object")
        return batch


class BatchJudge:
    """Judges batches; asked in the order of their names it reads the log once."""

    def __init__(self, sides: Sides, key: NoteKey) -> None:
        self._sides, self._key = sides, key
        self._walk = LogWalk(sides, key)

    async def judge(self, name: str, data: bytes) -> Judgement:
        """Of bytes under a batch's name."""
        size = parse_batch_name(name)
        assert size is not None
        if self._walk.size > size:
            self._walk = LogWalk(self._sides, self._key)
        while self._walk.size < size:
            if await self._walk.next() is None:
                return unproven(f"no good log leads to it: {batch_name(self._walk.size)} is missing"
                                " or wrong on both")  # fmt: skip
        if self._walk.size != size:
            return wrong("no batch begins there")
        try:
            self._walk.open(data, name)
        except FormatError as error:
            return wrong(error.message.removeprefix(f"{name} "))
        return GOOD


def name_of(leaf: Leaf) -> str | None:
    """The name of the object whose first line a leaf is, as the line says it; None: of none.
    `FormatError` for a line that does not say it."""
    kind = kind_of(leaf.line, "a leaf")
    namer = _NAMERS.get(kind)
    if namer is None:
        return None
    try:
        return namer(parse_line(leaf.line, "a leaf"))
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError("a leaf does not say of which object it is") from error


def _link(said: Mapping[str, object]) -> str:
    void = said["void"]
    assert isinstance(void, list)
    return str(SegmentName(
        str(said["topic"]), int(str(said["generation"])), int(str(said["partition"])),
        int(str(said["base"])), len(void),
    ))  # fmt: skip


def _stream(said: Mapping[str, object]) -> str:
    return layout.stream_name(str(said["topic"]), int(str(said["generation"])))


def _entry(register: Register) -> Callable[[Mapping[str, object]], str]:
    return lambda said: register.entry_name(int(str(said["number"])))


_NAMERS: Mapping[str, Callable[[Mapping[str, object]], str]] = {
    "audit-segment/": _link, "audit-end/": _link, "audit-stream/": _stream,
    **{f"{each.value.partition('/')[0]}/": _entry(each) for each in Register},
}  # fmt: skip
