"""What an evidence bundle is made of, as facts handed in; nothing here reads a store or a clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from audit_stream.evidence.note import NoteKey
from audit_stream.evidence.record import parse_record
from audit_stream.evidence.register import Entry
from audit_stream.evidence.segment import Header, parse_header


@dataclass(frozen=True, kw_only=True)
class SegmentFact:
    """A segment's two first lines, and where its header is a leaf of the archive log."""

    header_line: bytes  # without its newline
    signature_line: bytes  # without its newline
    log_index: int
    log_path: Sequence[bytes]  # inclusion proof to the checkpoint's root

    @cached_property
    def header(self) -> Header:
        """Line 1, parsed. `FormatError`."""
        return parse_header(self.header_line, "the header of a bundle's segment")

    @property
    def key(self) -> str:
        """Its name among the bundle's files."""
        header = self.header
        return f"{header.topic}.{header.generation}.{header.partition}.{header.base}"


@dataclass(frozen=True, kw_only=True)
class RecordFact:
    """A record line, and the way from it to its segment's root."""

    line: bytes  # without its newline
    segment: SegmentFact
    index: int  # among the segment's records
    path: Sequence[bytes]  # inclusion proof to the segment's root
    disclosures: Sequence[str] = ()  # of the personal fields that may be shown (RFC 9901, b64u)

    @cached_property
    def pub(self) -> Mapping[str, Any]:
        """The immutable fields. `FormatError` when they do not fit the integrity hash."""
        return parse_record(self.line, "a bundle's record").pub

    @property
    def key(self) -> str:
        """Its name among the bundle's files: its source, with dots."""
        return str(self.pub["source"]).replace("/", ".")


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFact:
    """An entry of a register, and the way from it to the log's root."""

    entry: Entry
    stored: bytes  # its object
    log_index: int
    log_path: Sequence[bytes]

    @property
    def key(self) -> str:
        """Its name among the bundle's files."""
        return f"{self.entry.register.folder[:-1]}.{self.entry.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """The redaction certificates that can be an erased record's, and which of how many they are:
    those that led to a key epoch `above` one and `up_to` another have the numbers from `first` to
    below `next`."""

    above: int | None
    up_to: int | None
    first: int
    next: int
    shown: Sequence[CertificateFact]  # the newest, oldest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """Who had the bundle made, when, with what, and on which request."""

    exported_by: str
    exported_at: str  # RFC 3339, Z
    request: str  # the requester's reference: a matter, a ticket
    software: str  # name and version


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFacts:
    """All of a bundle. Every record is proven to the one checkpoint."""

    records: Sequence[RecordFact]
    checkpoint: bytes  # the signed note, as the batch has it
    streams: Sequence[bytes]  # stored bytes of the streams' objects
    status_maps: Sequence[bytes]
    segment_keys: Sequence[bytes]  # Ed25519 public keys, 32 bytes each
    log_keys: Sequence[NoteKey]
    custody: Custody
    anchors: Mapping[str, bytes] = field(default_factory=dict)  # *.tsr, *.note, *-chain.pem
    #: Consistency proofs by (old size, new size); one of the two is the checkpoint's.
    consistency: Mapping[tuple[int, int], Sequence[bytes]] = field(default_factory=dict)
    certificates: Certified | None = None  # where a record's personal fields were erased
    disposals: Sequence[CertificateFact] = ()  # of what stood before the first revisions here
    answer: str | None = None  # the signed answer, a compact JWS (see `attached`)
    answer_keys: bytes | None = None  # JWKS
