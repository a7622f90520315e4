"""What vouches for a checkpoint, by a reader's own trust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from audit_stream.errors import FormatError
from audit_stream.evidence.anchor_line import anchor_line
from audit_stream.evidence.checkpoint import Checkpoint, checkpoint_of
from audit_stream.evidence.note import Note, parse_note
from audit_stream.evidence.policy import Judgement, TrustPolicy
from audit_stream.evidence.renewal import counts
from audit_stream.evidence.timestamp import Timestamp, TrustedAuthorities, check_timestamp


@dataclass(frozen=True, slots=True)
class Trust:
    """What a reader trusts: nothing of it comes from the archive."""

    policy: TrustPolicy
    authorities: TrustedAuthorities = field(default_factory=TrustedAuthorities)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """What vouches for one checkpoint."""

    checkpoint: Checkpoint
    judgement: Judgement
    timestamps: Mapping[str, Timestamp]  # by the name of the reply's object
    useless: Sequence[str]  # why other objects do not count

    @property
    def is_anchored(self) -> bool:
        """Whether a trusted log signed it, and anyone outside vouches for it whom we trust."""
        stamped = self.judgement.log is not None and bool(self.timestamps)
        return stamped or self.judgement.witnessed


def judge_anchors(
    note: Note, anchors: Mapping[str, bytes], trust: Trust, what: str, now: datetime
) -> Vouched:
    """What objects, by their names, add to a checkpoint's note now. `FormatError`: it is none.

    A timestamp whose certificate has ended is useless here even if a later one renewed it: what
    renews it is over a later checkpoint, and vouches for that and so for all before it by itself.
    """
    checkpoint = checkpoint_of(note, what)
    timestamps: dict[str, Timestamp] = {}
    useless: list[str] = []
    whole = note
    for name, data in sorted(anchors.items()):
        try:
            if name.endswith(".tsr"):
                said = check_timestamp(data, note.encode(), trust.authorities, name)
                _check_counts(said, name, data, now)
                timestamps[name] = said
            else:
                whole = whole.with_signatures(_same(note, data, name).signatures)
        except FormatError as error:
            useless.append(error.message)
    return Vouched(
        checkpoint=checkpoint, judgement=trust.policy.judge(whole), timestamps=timestamps,
        useless=useless,
    )  # fmt: skip


def _check_counts(said: Timestamp, name: str, data: bytes, now: datetime) -> None:
    if not counts(anchor_line(name, data), said, (), now):
        end = said.certificate_ends.date().isoformat()
        raise FormatError(f"{name} counts no longer: its authority's certificate ended on {end}")


def _same(note: Note, data: bytes, name: str) -> Note:
    other = parse_note(data, name)
    if other.text != note.text:
        raise FormatError(f"{name} is not a note of this checkpoint")
    return other
