"""The one place that spells an object name (formats.md sections 3 and 4)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SEGMENT = re.compile(
    r"segments/(?P<topic>[A-Za-z0-9._-]+)/(?P<generation>\d{5})/(?P<partition>\d{5})/"
    r"(?P<base>\d{20})(?:\.(?P<attempt>[1-9]\d*))?\.ndjson\.gz"
)
_DISPOSED = re.compile(r"disposed/(?P<rest>.+)\.json")
_STREAM = re.compile(r"streams/(?P<topic>[A-Za-z0-9._-]+)/(?P<generation>\d{5})\.json")
_SUBJECT = re.compile(
    r"subjects/(?P<topic>[A-Za-z0-9._-]+)/(?P<generation>\d{5})/(?P<partition>\d{5})/"
    r"(?P<base>\d{20})-(?P<leaf>[0-9a-f]{16})\.bin",
    re.ASCII,
)
_CANARY = re.compile(r"posture/[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*\.json")
#: The folder, with its slash, of every subject object.
SUBJECTS = "subjects/"
DISPOSED_FOLDER = "disposed/"
#: Base of a segment name as a part of the name: 20 decimal digits.
BASE_DIGITS = 20
#: The status map's hash in archives made before there was a map to name; no object has it.
STAND_IN_MAP = "0" * 64


@dataclass(frozen=True, slots=True, order=True)
class SegmentName:
    """The parts of a segment's object name; `attempt` counts the junk objects passed over."""

    topic: str
    generation: int
    partition: int
    base: int
    attempt: int = 0

    def __str__(self) -> str:
        suffix = f".{self.attempt}" if self.attempt else ""
        folder = segment_folder(self.topic, self.generation, self.partition)
        return f"{at_base(folder, self.base)}{suffix}.ndjson.gz"


def at_base(folder: str, base: int) -> str:
    """What names at a base begin with, in a folder of segments or of what belongs to them: before
    all of these, and behind every name at a lower base."""
    return f"{folder}{base:0{BASE_DIGITS}d}"


def segment_folder(topic: str, generation: int, partition: int) -> str:
    """The prefix, with its slash, of one stream and partition's segments."""
    return f"segments/{topic}/{generation:05d}/{partition:05d}/"


def parse_segment_name(name: str) -> SegmentName | None:
    """The parts of a segment name, or None when `name` is not one."""
    match = _SEGMENT.fullmatch(name)
    if match is None:
        return None
    return SegmentName(
        match["topic"],
        int(match["generation"]),
        int(match["partition"]),
        int(match["base"]),
        int(match["attempt"] or 0),
    )


def disposed_name(segment: SegmentName) -> str:
    """Name of the object that keeps the first two lines of a segment that was disposed of."""
    kept = str(segment).removeprefix("segments/").removesuffix(".ndjson.gz")
    return f"{DISPOSED_FOLDER}{kept}.json"


def disposed_folder(topic: str, generation: int, partition: int) -> str:
    """The prefix, with its slash, of what is kept of one stream and partition's segments."""
    return segment_folder(topic, generation, partition).replace("segments/", DISPOSED_FOLDER, 1)


def parse_disposed_name(name: str) -> SegmentName | None:
    """The segment whose first lines lie under `name`, or None when it is no such name."""
    match = _DISPOSED.fullmatch(name)
    return match and parse_segment_name(f"segments/{match['rest']}.ndjson.gz")


def stream_name(topic: str, generation: int) -> str:
    """Name of the stream object of one topic and generation."""
    return f"streams/{topic}/{generation:05d}.json"


def stream_folder(topic: str) -> str:
    """The prefix, with its slash, of one topic's stream objects."""
    return f"streams/{topic}/"


def parse_stream_name(name: str) -> tuple[str, int] | None:
    """``(topic, generation)`` of a stream object's name, or None when `name` is not one."""
    match = _STREAM.fullmatch(name)
    return (match["topic"], int(match["generation"])) if match else None


def canary_name(release: str) -> str:
    """Name of the object with which workers of a release try what the store refuses."""
    return f"posture/{release}.json"


def is_canary_name(name: str) -> bool:
    """Whether a canary lies under `name`: known to the format, and proof of nothing."""
    return _CANARY.fullmatch(name) is not None


def map_name(map_hash: str) -> str:
    """Name of the status map with this hash."""
    return f"maps/{map_hash}.json"


def subject_folder(topic: str, generation: int, partition: int) -> str:
    """The prefix, with its slash, of the subject objects of one stream and partition."""
    return f"{SUBJECTS}{topic}/{generation:05d}/{partition:05d}/"


def subject_name(segment: SegmentName, leaf: bytes) -> str:
    """Name of the subject object of the segment whose header has this leaf hash."""
    folder = subject_folder(segment.topic, segment.generation, segment.partition)
    return f"{at_base(folder, segment.base)}-{leaf_prefix(leaf)}.bin"


def leaf_prefix(leaf: bytes) -> str:
    """What a subject object's name says of its segment's leaf hash."""
    return leaf.hex()[:16]


def parse_subject_name(name: str) -> tuple[SegmentName, str] | None:
    """The segment's place, its `attempt` 0 as unsaid, and `leaf_prefix`; None for another name."""
    match = _SUBJECT.fullmatch(name)
    if match is None:
        return None
    place = SegmentName(
        match["topic"], int(match["generation"]), int(match["partition"]), int(match["base"])
    )
    return place, match["leaf"]


def source_position(topic: str, generation: int, partition: int, offset: int) -> str:
    """The `source` of a record."""
    return f"{topic}/{generation}/{partition}/{offset}"
