"""Erasure notices: what tells a receiver which records to erase. Pure (formats.md section 6).

A notice is of a whole batch and in parts, and names neither a request nor a certificate: beside the
list of records, either would say for ever whose they were (ADR 0024).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from audit_stream.archive.receivers import Receiver
from audit_stream.delivery.body import KeyForm, key_of
from audit_stream.errors import FormatError
from audit_stream.evidence.canonical import canonical

VERSION = "audit-erasure-notice/1"
MOST_RECORDS = 1_000  # in one post, which stays below a mebibyte


class Listed(NamedTuple):
    """A record, as a receiver can find it."""

    integrity_hash: str  # hexadecimal, without its prefix: what a list is sorted by
    message_uuid: str
    delivery_status: str
    source: str

    def key(self, form: str) -> str:
        """The idempotency key it was posted under. `form`: of `delivery.body.KeyForm`."""
        try:
            return key_of(self._asdict(), KeyForm(form))
        except ValueError as error:
            raise FormatError(f"an idempotency key of the form {form} cannot be made") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a batch has to tell, and to whom."""

    notice_id: str = field(repr=False)  # `en-` and 16 random hexadecimal digits
    parts: int
    receivers: Sequence[Receiver]

    @classmethod
    def decode(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of `dataclasses.asdict`; raises as a constructor does."""
        found = [
            Receiver(name=each["name"], fields=tuple(each["fields"]), keys=tuple(each["keys"]),
                     since=each["since"])
            for each in value["receivers"]
        ]  # fmt: skip
        return cls(notice_id=value["notice_id"], parts=value["parts"], receivers=found)


def encode_part(records: Iterable[Listed]) -> dict[str, Any]:
    """A part of the list as a private object's value. Sorted by hash: the order of the archive
    would say which records lie together, and so which may be of one person."""
    return {"records": [list(each) for each in sorted(records)], "v": "audit-notice-part/1"}


def decode_part(value: Mapping[str, Any]) -> list[Listed]:
    """The inverse of `encode_part`."""
    return [Listed(*each) for each in value["records"]]


def notice_key(notice: Notice, part: int) -> str:
    """The idempotency key of one post; parts are counted from 1."""
    return f"erasure-notice:{notice.notice_id}:{part}"


def notice_body(
    archive: str, notice: Notice, part: int, receiver: Receiver, records: Sequence[Listed]
) -> bytes:
    """One post to one receiver: nothing in it that the receiver was not sent before, save that
    these records are to be erased."""
    return canonical({
        "archive": archive, "fields": list(receiver.fields), "notice_id": notice.notice_id,
        "part": part, "parts": notice.parts, "records": [
            {
                "delivery_status": each.delivery_status,
                "integrity_hash": f"sha256:{each.integrity_hash}",
                "keys": [each.key(form) for form in receiver.keys],
                "message_uuid": each.message_uuid,
            }
            for each in records
        ], "v": VERSION,
    })  # fmt: skip


def acknowledged(at: str, target: str, parts: int) -> dict[str, str]:
    """A certificate's target that took every part."""
    return {"at": at, "receipt": f"acknowledged: {parts} of {parts} parts", "target": target}


def waived(at: str, target: str, by: str, reason: str, said: tuple[int, int]) -> dict[str, str]:
    """A certificate's target that a person excused; `said`: parts acknowledged, of how many."""
    done, parts = said
    receipt = f"excused by {by}: {reason} (acknowledged: {done} of {parts} parts)"
    return {"at": at, "receipt": receipt, "target": target}
