"""Gathering a bundle's facts from an archive and its log; where the records lie, the caller knows.

What is gathered is checked on the way: an export of something tampered is refused, not handed out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from audit_stream.bundle.facts import BundleFacts, Custody, RecordFact, SegmentFact
from audit_stream.errors import FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.record import Record, parse_record
from audit_stream.evidence.segment import Segment, decode
from audit_stream.evidence.signing import TrustedKeys, encode_signature
from audit_stream.evidence.stream_object import decode_stream
from audit_stream.evidence.tree import inclusion_path, root_hash, verify_inclusion
from audit_stream.index.groups import leaves_of
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.ports import WormStore

#: Disclosures of a record that may be shown; none of an erased subject's, or without the right.
Disclose = Callable[[Record], Sequence[str]]
_HINT = "audit-stream verify says more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Records of one segment, and where its header stands in the log."""

    segment: str  # object name
    log_index: int
    records: Sequence[int]  # by their place among the segment's record lines


async def collect(
    store: WormStore, log: ArchiveLog, head: Head, wanted: Iterable[Wanted], *,
    disclose: Disclose, custody: Custody, segment_keys: Sequence[bytes],
    anchors: Mapping[str, bytes],
) -> BundleFacts:  # fmt: skip
    """The facts of these records, proven to `head`, for which `anchors` vouch. `FormatError`,
    `StoreError`."""
    records: list[RecordFact] = []
    keys = TrustedKeys(*segment_keys)
    for each in wanted:
        records += await _records(store, log, head, each, disclose, keys)
    headers = [each.segment.header for each in records]
    streams = dict.fromkeys(layout.stream_name(each.topic, each.generation) for each in headers)
    named = [each.status_map for each in headers if each.status_map != layout.STAND_IN_MAP]
    maps = dict.fromkeys(layout.map_name(each) for each in named)
    return BundleFacts(
        records=records, checkpoint=head.note.encode(), custody=custody,
        streams=[await _stream(store, name, keys) for name in streams],
        status_maps=[await _map(store, name) for name in maps],
        segment_keys=segment_keys, log_keys=[log.key], anchors=anchors,
    )  # fmt: skip


async def _records(
    store: WormStore, log: ArchiveLog, head: Head, wanted: Wanted, disclose: Disclose,
    keys: TrustedKeys,
) -> list[RecordFact]:  # fmt: skip
    segment = decode(await stored_at(store, wanted.segment), wanted.segment)
    path = await prove(log, head, segment.leaf, wanted.log_index, wanted.segment)
    if not segment.is_signed(keys):
        raise FormatError(f"{wanted.segment} is not signed by a trusted key", hint=_HINT)
    fact = SegmentFact(
        header_line=segment.header_line, log_index=wanted.log_index, log_path=path,
        signature_line=encode_signature(segment.signature),
    )  # fmt: skip
    lines, leaves = segment.record_lines(), _leaves(segment, wanted.segment)
    return [
        RecordFact(
            line=lines[at], segment=fact, index=at, path=inclusion_path(leaves, at),
            disclosures=disclose(parse_record(lines[at], f"record {at} of {wanted.segment}")),
        )
        for at in wanted.records
    ]  # fmt: skip


async def prove(log: ArchiveLog, head: Head, leaf: bytes, index: int, name: str) -> list[bytes]:
    """The inclusion proof of an object's leaf. `FormatError` when the log has another there."""
    path = await log.inclusion(index, head)
    if not verify_inclusion(leaf, index, head.size, path, head.root):
        raise FormatError(f"{name} is not what the archive log has of it", hint=_HINT)
    return path


def _leaves(segment: Segment, name: str) -> list[bytes]:
    """Of its records, as they were signed: `root` does not cover `pii`, and `body` does."""
    try:
        leaves = leaves_of(segment.record_lines())
    except ValueError:
        leaves = []
    said = (segment.header.root, segment.header.body)
    if (root_hash(leaves).hex(), sha256(segment.body).hexdigest()) != said:
        raise FormatError(f"{name} does not hold the records its header says", hint=_HINT)
    return leaves


async def _stream(store: WormStore, name: str, keys: TrustedKeys) -> bytes:
    data = await stored_at(store, name)
    decode_stream(data, name, keys)
    return data


async def _map(store: WormStore, name: str) -> bytes:
    data = await stored_at(store, name)
    if layout.map_name(sha256(data).hexdigest()) != name:
        raise FormatError(f"{name} has another hash", hint=_HINT)
    return data


async def stored_at(store: WormStore, name: str) -> bytes:
    """An object that must be there. `FormatError`, `StoreError`."""
    data = await store.get(name)
    if data is None:
        raise FormatError(f"the archive does not have {name}", hint=_HINT)
    return data
