"""Opening the personal fields of archived records: by the subject object, or the customer's id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from audit_stream.errors import FormatError, NoYearKey
from audit_stream.evidence.record import Record
from audit_stream.evidence.segment import Header
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.sealer import disclosures, open_personal
from audit_stream.privacy.subject_object import NO_TAG
from audit_stream.privacy.subjects import EXTERNAL, CoverOf, KeyDeriver, SubjectKeys, era, tree_at


class Closed(Enum):
    """Why personal fields are not shown; the value says it to people."""

    ERASED = "erased"
    UNLINKED = "needs the customer's id (--customer)"  # the subject object is away
    ANOTHERS = "is not this customer's"
    SHREDDED = "the key of its year was destroyed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal:
    """What could be opened of a record. `disclosures` are RFC 9901 texts, in the fields' order."""

    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    disclosures: tuple[str, ...] = field(default=(), repr=False)
    closed: Closed | None = None


class Opener:
    """Derives subjects' keys from the keyring and opens records with them.

    Holds keys of those asked for before: make a new one when the key epoch changes.
    """

    def __init__(self, keyring: Keyring, cover_of: CoverOf) -> None:
        self._keyring, self._cover_of = keyring, cover_of
        self._derivers: dict[tuple[str, tuple[int, int]], KeyDeriver] = {}

    def open(
        self, header: Header, record: Record, tag: bytes | None, customer: str | None
    ) -> Personal:
        """Open a record of the segment with `header`.

        `tag` is the subject object's, None where that is away; without one, the named customer's is
        tried. `FormatError`: tampered, for a known subject's keys open what was sealed with them.
        """
        if record.erased:
            return Personal(closed=Closed.ERASED)
        known = tag if tag != NO_TAG else None
        if known is None and customer is None:
            return Personal(closed=Closed.UNLINKED if tag is None else Closed.ERASED)
        try:
            keys = self._keys(header, record, known, customer)
        except NoYearKey:
            return Personal(closed=Closed.SHREDDED)
        if keys is None:
            return Personal(closed=Closed.ERASED)
        offset = int(record.pub["source"].rpartition("/")[2])
        try:
            fields = open_personal(record, keys, header.partition, offset)
        except FormatError:
            if known is None:  # the customer was named by hand
                return Personal(closed=Closed.ANOTHERS)
            raise
        return Personal(
            fields=fields, disclosures=disclosures(keys, header.partition, offset, fields)
        )

    def wipe(self) -> None:
        """Overwrite every key it holds and let go of the covers: nobody may use it any more, and
        whoever does fails."""
        for deriver in self._derivers.values():
            deriver.wipe()
        self._derivers.clear()
        del self._cover_of, self._keyring

    def _keys(
        self, header: Header, record: Record, tag: bytes | None, customer: str | None
    ) -> SubjectKeys | None:
        deriver = self._deriver(header)
        year = int(record.pub["ingestion_timestamp"][:4])
        if tag is not None:
            return deriver.keys_of_tag(tag, year)
        assert customer is not None
        return deriver.keys((record.pub["platform_tenant_id"], EXTERNAL, customer), year)

    def _deriver(self, header: Header) -> KeyDeriver:
        tree = tree_at(self._keyring, header.key_epoch)
        key = (header.stream, era(self._keyring, header.key_epoch))
        if key not in self._derivers:
            self._derivers[key] = KeyDeriver(
                self._keyring, self._cover_of(tree), bytes.fromhex(header.stream), header.key_epoch
            )
        return self._derivers[key]
