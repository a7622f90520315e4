"""The load file for review platforms: Concordance DAT, a convention, not a standard.

UTF-8 with a byte-order mark, fields in þ and parted by DC4, one record a line.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from audit_stream.bundle.facts import RecordFact
from audit_stream.evidence.canonical import canonical

_QUOTE, _PART, _END = "\N{LATIN SMALL LETTER THORN}", "\x14", "\r\n"
_FIELDS = ("BEGBATES", "ENDBATES", "CUSTODIAN", "DATESENT", "MESSAGEID", "STATUS", "SHA256HASH",
           "NATIVEPATH")  # fmt: skip


def loadfile(records: Iterable[RecordFact]) -> bytes:
    """One line for each record; SHA256HASH is of the file NATIVEPATH, and its integrity hash.

    The custodian is the archive: it is where the records were kept.
    """
    lines = [_line(_FIELDS)]
    for number, record in enumerate(records, 1):
        pub, bates = record.pub, f"AS{number:08d}"
        lines.append(_line((
            bates, bates, record.segment.header.archive, pub["carrier_receipt_timestamp"],
            pub["message_uuid"], pub["delivery_status"], sha256(canonical(dict(pub))).hexdigest(),
            f"records/{record.key}.json",
        )))  # fmt: skip
    return "\N{BYTE ORDER MARK}".encode() + "".join(lines).encode()


def _line(values: Iterable[str]) -> str:
    """A quote within a value is written twice."""
    return _PART.join(f"{_QUOTE}{v.replace(_QUOTE, _QUOTE * 2)}{_QUOTE}" for v in values) + _END
