"""Which part of an archive to verify: all, a topic, one of its partitions, one object."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from audit_stream.evidence import layout
from audit_stream.evidence.log_names import LOG_FOLDER
from audit_stream.evidence.register import Register, parse_entry_name

_FOLDER = re.compile(
    r"(?:segments/)?(?P<topic>[A-Za-z0-9._-]+)(?:/(?P<generation>[0-9]{1,9}))??"
    r"(?:/(?P<partition>[0-9]{1,9}))?/?"
)
#: A full tile and an anchor are of batches, a batch names every other object.
_BEFORE_ALL = ("tile/", "anchor/", LOG_FOLDER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """None stands for all. A `base` names one segment, with the junk passed over before it."""

    topic: str | None = None
    generation: int | None = None
    partition: int | None = None
    base: int | None = None
    stream_only: bool = False

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Prefixes that hold every name of the part (and perhaps others), in the order in which an
        archive that is being written has to be listed: what names something before what it names,
        which then is there. Of everything, disposals once more, behind segments."""
        if self.topic is None:
            return (*_BEFORE_ALL, "", Register.DISPOSALS.folder, layout.DISPOSED_FOLDER)
        streams = (layout.stream_folder(self.topic),)
        if self.stream_only:
            return streams
        kept = (Register.DISPOSALS.folder, f"{layout.DISPOSED_FOLDER}{self.topic}/")
        return (f"segments/{self.topic}/", *streams, *kept)

    def names(self, listed: Callable[[str], Iterable[str]]) -> list[str]:
        """The names of the part; `listed` asks the archive for those with a prefix."""
        found: list[str] = []
        folders: tuple[str, ...] = ()
        for prefix in self.prefixes:
            known = {name for name in found if name.startswith(prefix)} if prefix else set()
            found += [
                name for name in listed(prefix)
                if self.holds(name) and name not in known
                and not name.startswith(folders)  # else it was stored since its folder was listed
            ]  # fmt: skip
            folders += (prefix,) if prefix else ()
        return found

    @property
    def has_whole_topics(self) -> bool:
        """Whether generations can be held against each other."""
        return self.generation is None and not self.stream_only

    def holds(self, name: str) -> bool:
        """Whether the object belongs to the part."""
        if self.topic is None:
            return True
        stream = layout.parse_stream_name(name)
        if stream is not None:
            return stream[0] == self.topic and self.generation in {None, stream[1]}
        segment = _place(name)
        if segment is None or self.stream_only:
            entry = parse_entry_name(name)
            return entry is not None and entry[0] is Register.DISPOSALS
        wanted = (self.topic, self.generation, self.partition, self.base)
        found = (segment.topic, segment.generation, segment.partition, segment.base)
        return all(want in {None, have} for want, have in zip(wanted, found, strict=True))

    def is_there(self, names: Iterable[str]) -> bool:
        """Whether the names hold what was asked for.

        A folder of other things is no archive, and a stream object no partition: nothing would be
        verified, and nothing found wrong.
        """
        of_streams = self.stream_only or self.partition is None
        return any(
            _place(name) or (of_streams and layout.parse_stream_name(name)) for name in names
        )


def _place(name: str) -> layout.SegmentName | None:
    """Of a segment, or of what is kept of one that was disposed of."""
    return layout.parse_segment_name(name) or layout.parse_disposed_name(name)


def parse_part(text: str) -> Part | None:
    """``topic``, ``topic/partition``, ``topic/generation/partition`` or an object's name."""
    if not text:
        return Part()
    segment = layout.parse_segment_name(text)
    if segment is not None:
        return Part(
            topic=segment.topic, generation=segment.generation, partition=segment.partition,
            base=segment.base,
        )  # fmt: skip
    stream = layout.parse_stream_name(text)
    if stream is not None:
        return Part(topic=stream[0], generation=stream[1], stream_only=True)
    match = _FOLDER.fullmatch(text)
    if match is None:
        return None
    return Part(
        topic=match["topic"],
        generation=_number(match["generation"]),
        partition=_number(match["partition"]),
    )


def _number(digits: str | None) -> int | None:
    return None if digits is None else int(digits)
