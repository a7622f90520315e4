"""Which bytes are right under a name, by the evidence of both stores.

    segment, end      V1 to V10 of `verify.segment`; junk, when the one that stands names its hash
    kept header       its signature
    stream object     its signature
    status map        the hash in its name
    register's entry  its signature and kind; junk, when the chain of the signed ones passes it over
    log batch         the signed root over all leaves up to it
    tile, anchor, part of an access journal   the hash the log has of it

What the log has another leaf of is wrong, signed or not: whoever stole a key can sign.
"""

from __future__ import annotations

from hashlib import sha256

from audit_stream.errors import FormatError, UnknownVersion
from audit_stream.evidence import layout
from audit_stream.evidence.disposal import Disposal, covered_by, decode_kept, disposal_of
from audit_stream.evidence.ending import End, signed_link
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.log_names import is_log_name, parse_batch_name
from audit_stream.evidence.note import NoteKey
from audit_stream.evidence.register import Entry, Register, decode_entry, parse_entry_name
from audit_stream.evidence.segment import Segment, inflate
from audit_stream.evidence.signing import TrustedKeys
from audit_stream.evidence.stream_object import StreamObject, decode_stream
from audit_stream.evidence.tree import leaf_hash
from audit_stream.redundancy.log_facts import LogFacts
from audit_stream.redundancy.log_walk import BatchJudge
from audit_stream.redundancy.sides import Sides
from audit_stream.redundancy.word import GOOD, Judgement, unproven, wrong
from audit_stream.verify.register import KINDS
from audit_stream.verify.report import Failed
from audit_stream.verify.segment import check_stream, open_link, verify_segment

_MAPS = "maps/"


def is_known(name: str) -> bool:
    """Whether a name is one of an object that both stores must have. A canary is each store's
    own."""
    parsers = (
        layout.parse_segment_name, layout.parse_stream_name, layout.parse_disposed_name,
        parse_entry_name,
    )  # fmt: skip
    if any(parse(name) is not None for parse in parsers):
        return True
    return is_log_name(name) or name.startswith(_MAPS)


class Judge:
    """Judges objects; asked in the order of names it reads the log twice at most. Raises what the
    stores raise. `log_key` None: of the log's objects nothing can be told. `against_log`: signed
    objects are held against it, too."""

    def __init__(
        self, sides: Sides, keys: TrustedKeys, log_key: NoteKey | None, *, against_log: bool = True
    ) -> None:
        self._sides, self._keys, self._log_key = sides, keys, log_key
        self._against_log = against_log and log_key is not None
        if log_key is not None:
            self._batches, self._facts = BatchJudge(sides, log_key), LogFacts(sides, log_key)
        self._streams: dict[str, StreamObject | None] = {}
        self._disposals: list[Disposal] | None = None  # None: not read yet

    async def judge(self, name: str, data: bytes) -> Judgement:
        """Of bytes that lie under a known name."""
        try:
            found = await self._judge(name, data)
            if found.is_good and await self._is_contradicted(name, data):
                return wrong("is signed, and not what was logged")
            return found
        except Failed as failed:
            said = f"{failed.step}: {failed.what}"
            return unproven(said) if failed.unknown else wrong(said)
        except UnknownVersion as error:
            return unproven(error.message.removeprefix(f"{name} "))
        except FormatError as error:
            return wrong(error.message.removeprefix(f"{name} "))

    async def _judge(self, name: str, data: bytes) -> Judgement:
        if (segment := layout.parse_segment_name(name)) is not None:
            return await self._judge_segment(segment, data)
        if (stream := layout.parse_stream_name(name)) is not None:
            said = decode_stream(data, name, self._keys)
            same = (said.topic, said.generation) == stream
            return GOOD if same else wrong(f"says it is {said.topic}/{said.generation}")
        if (kept := layout.parse_disposed_name(name)) is not None:
            signed = decode_kept(data, kept).is_signed(self._keys)
            return GOOD if signed else wrong("is not signed by a trusted key")
        if (entry := parse_entry_name(name)) is not None:
            return await self._judge_entry(name, entry, data)
        if name.startswith(_MAPS):
            same = layout.map_name(sha256(data).hexdigest()) == name
            return GOOD if same else wrong("does not have the hash that its name says")
        return await self._judge_logged(name, data)

    async def _is_contradicted(self, name: str, data: bytes) -> bool:
        """Whether the log has another first line under the name."""
        if not self._against_log or parse_batch_name(name) is not None:
            return False
        kept = layout.parse_disposed_name(name)
        leaf = await self._facts.leaf_of(name if kept is None else str(kept))
        return leaf is not None and _first_leaf(name, data) != leaf

    async def _judge_logged(self, name: str, data: bytes) -> Judgement:
        if self._log_key is None:
            return unproven("the archive log's key was not given")
        if parse_batch_name(name) is not None:
            return await self._batches.judge(name, data)
        return await self._facts.judge(name, data)

    # Segments

    async def _judge_segment(self, name: SegmentName, data: bytes) -> Judgement:
        try:
            link = open_link(name, data, self._keys)
        except Failed as failed:
            if failed.signed or failed.unknown or not await self._is_junk(name, data):
                raise
            return GOOD
        stream = await self._stream(name)
        if stream is None:
            return unproven("neither store has a good stream object for it")
        if isinstance(link, End):
            check_stream(link.ending, stream)
        else:
            verify_segment(link, stream)
        return GOOD

    async def _is_junk(self, name: SegmentName, data: bytes) -> bool:
        """Whether the signed one behind it names these bytes as passed over."""
        told = {"name": str(name), "sha256": sha256(data).hexdigest()}
        folder = layout.segment_folder(name.topic, name.generation, name.partition)
        base = f"{layout.at_base(folder, name.base)}."
        for each in await self._sides.names(base):
            place = layout.parse_segment_name(each)
            if place is None or place.attempt <= name.attempt:
                continue
            for other in await self._sides.candidates(each):
                link = signed_link(other, each, self._keys)
                if link is not None and told in _void(link):
                    return True
        return False

    async def _stream(self, segment: SegmentName) -> StreamObject | None:
        name = layout.stream_name(segment.topic, segment.generation)
        if name not in self._streams:
            self._streams[name] = None
            for data in await self._sides.candidates(name):
                if (await self.judge(name, data)).is_good:
                    self._streams[name] = decode_stream(data, name, self._keys)
        return self._streams[name]

    # Registers

    async def _judge_entry(
        self, name: str, place: tuple[Register, int], data: bytes
    ) -> Judgement:  # fmt: skip
        entry = self._signed_entry(data, name)
        if entry is None:
            passed = await self._is_passed_over(*place)
            return GOOD if passed else wrong("is not signed by a trusted key")
        if self._log_key is not None and entry.archive != self._log_key.name:
            return wrong(f"is of the archive {entry.archive}")
        KINDS[entry.register](entry)
        return GOOD

    def _signed_entry(self, data: bytes, name: str) -> Entry | None:
        try:
            entry = decode_entry(data, name)
        except UnknownVersion:
            raise
        except FormatError:
            return None
        return entry if entry.is_signed(self._keys) else None

    async def _is_passed_over(self, register: Register, number: int) -> bool:
        """Whether the signed entries around a number follow one another without it."""
        behind = await self._next_signed(register, range(number + 1, number + 1 + _MOST_JUNK))
        before = await self._next_signed(register, range(number - 1, -1, -1))
        if behind is None or (before is None and number > 0 and behind.prev is not None):
            return False
        return behind.prev == (None if before is None else before.leaf)

    async def _next_signed(self, register: Register, numbers: range) -> Entry | None:
        for number in numbers:
            name = register.entry_name(number)
            candidates = await self._sides.candidates(name)
            if not candidates:
                return None
            for data in candidates:
                entry = self._signed_entry(data, name)
                if entry is not None:
                    return entry
        return None

    async def is_disposed(self, name: str) -> bool:
        """Whether a certificate says that an object was disposed of, and its header is kept."""
        segment = layout.parse_segment_name(name)
        if segment is None:
            return False
        kept = layout.disposed_name(segment)
        headers = await self._sides.candidates(kept)
        if not any([(await self.judge(kept, data)).is_good for data in headers]):
            return False
        if self._disposals is None:
            self._disposals = await self._certificates()
        return covered_by(self._disposals, segment)

    async def _certificates(self) -> list[Disposal]:
        found = []
        for name in await self._sides.names(Register.DISPOSALS.folder):
            for data in await self._sides.candidates(name):
                entry = self._signed_entry(data, name)
                if entry is not None:
                    found.append(disposal_of(entry))
        return found


def _first_leaf(name: str, data: bytes) -> bytes:
    """Leaf hash of the first line of good bytes."""
    plain = inflate(data, name) if layout.parse_segment_name(name) is not None else data
    return leaf_hash(plain.partition(b"\n")[0])


_MOST_JUNK = 64  # unsigned objects behind one another under a register's numbers


def _void(link: Segment | End) -> list[dict[str, str]]:
    return list(link.ending.void if isinstance(link, End) else link.header.void)
