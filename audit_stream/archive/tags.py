"""The tags of a segment's records, read from its subject object, which may be away."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from audit_stream.errors import FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.layout import SegmentName
from audit_stream.ports import SubjectStore
from audit_stream.privacy.subject_object import open_tags

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Tags:
    """A subject object as it is now: a tag for each record, `NO_TAG` for an erased subject's."""

    values: list[bytes] = field(repr=False)
    digest: bytes  # of the stored bytes: another one means it was rewritten


async def read_tags(
    subjects: SubjectStore | None, index_key: bytes, place: SegmentName, leaf: bytes, count: int
) -> Tags | None:
    """The tags of the segment with this leaf and so many records; None where nothing stands.

    `FormatError` when what stands there is not the segment's, or does not open with this keyring.
    """
    if subjects is None:
        return None
    name = layout.subject_name(place, leaf)
    stored = await subjects.get(name)
    if stored is None:
        return None
    values = open_tags(index_key, name, stored.data)
    if len(values) != count:
        raise FormatError(f"{name} has {len(values)} tags, its segment {count} records")
    return Tags(values, sha256(stored.data).digest()[:DIGEST_BYTES])
