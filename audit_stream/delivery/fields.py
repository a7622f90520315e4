"""The personal fields that a receiver is sent: opened just before each post, never kept."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from audit_stream.archive.chain import Found
from audit_stream.archive.opening import Opener
from audit_stream.archive.tags import Tags, read_tags
from audit_stream.delivery.parcel import Parcel
from audit_stream.errors import FormatError
from audit_stream.ports import SubjectStore
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.subjects import CoverOf

log = logging.getLogger(__name__)


class NoFields:
    """None is sent: no keys are needed."""

    async def tags(self, found: Found) -> Tags | None:
        """See `PersonalFields`."""
        return None

    def of(self, parcel: Parcel) -> Mapping[str, str]:
        """See `PersonalFields`."""
        return {}


class PersonalFields:
    """Opens the named fields through the keyring. Those of an erased person are not there."""

    def __init__(
        self, names: Collection[str], subjects: SubjectStore, keyring: Keyring, cover_of: CoverOf
    ) -> None:
        self._names, self._subjects = frozenset(names), subjects
        self._index_key, self._opener = keyring.index_key, Opener(keyring, cover_of)

    def use(self, keyring: Keyring, cover_of: CoverOf) -> None:
        """From now on these keys; the ones before are overwritten. While no post is under way."""
        before, self._opener = self._opener, Opener(keyring, cover_of)
        self._index_key = keyring.index_key
        before.wipe()

    async def tags(self, found: Found) -> Tags | None:
        """Whose each record of a segment is; None when its subject object is of no use."""
        if found.disposed:
            return None
        segment, tags = found.segment, None
        try:
            tags = await read_tags(
                self._subjects, self._index_key, found.name, segment.leaf, segment.header.count
            )
        except FormatError as error:
            log.warning("a segment's subject object is no use: %s", error.message)
        if tags is None and segment.header.count:
            log.warning("%s: sent without personal fields, its subject object is away", found.name)
        return tags

    def of(self, parcel: Parcel) -> Mapping[str, str]:
        """The fields to send, by name. `FormatError`: tampered."""
        personal = self._opener.open(parcel.header, parcel.record, parcel.tag, None)
        return {name: text for name, text in personal.fields.items() if name in self._names}


Fields = NoFields | PersonalFields
