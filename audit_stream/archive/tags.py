"""The tags of a segment's records, read from its subject object, which may be away."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from audit_stream.errors import FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.layout import SegmentName
from audit_stream.ports import SubjectStore
from audit_stream.privacy.keytree import TAG_BYTES
from audit_stream.privacy.subject_object import decrypt_tags, split_tags

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Tags:
    """A subject object as it is now: a tag for each record, `NO_TAG` for an erased subject's."""

    joined: bytes = field(repr=False)
    digest: bytes  # of the stored bytes: another one means it was rewritten

    def __getitem__(self, index: int) -> bytes:
        return self.joined[index * TAG_BYTES : (index + 1) * TAG_BYTES]

    @property
    def values(self) -> list[bytes]:
        """All of them."""
        return split_tags(self.joined)


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
    joined = decrypt_tags(index_key, name, stored.data)
    if len(joined) != count * TAG_BYTES:
        raise FormatError(
            f"{name} has {len(joined) // TAG_BYTES} tags, its segment {count} records"
        )
    return Tags(joined, sha256(stored.data).digest()[:DIGEST_BYTES])
