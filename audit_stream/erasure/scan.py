"""Which subject objects hold some persons' tags: one pass over all there are, orphans too.

An object that cannot be looked into is an answer of its own: no erasure may be certified over it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from audit_stream.archive.ahead import in_flight
from audit_stream.erasure.wanted import Wanted
from audit_stream.errors import FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.layout import SegmentName
from audit_stream.ports import Alerts, SubjectStore, Versioned
from audit_stream.privacy.keytree import TAG_BYTES
from audit_stream.privacy.subject_object import decrypt_tags

log = logging.getLogger(__name__)
_IN_FLIGHT = 16  # objects of up to some hundred kilobytes
_PAGE = 100_000  # names listed at once, some 15 MB: Azure begins each listing at its prefix


@dataclass(frozen=True, slots=True)
class Hit:
    """A subject object with wanted tags in it, as it was read: it holds its tags, so let it go."""

    name: str
    place: SegmentName  # where its segment stands, if it ever came to that; `attempt` is 0
    leaf: str  # `layout.leaf_prefix` of that segment
    etag: str
    joined: bytes = field(repr=False)
    found: Mapping[bytes, Sequence[int]] = field(repr=False)  # by tag, indexes of its records

    @property
    def count(self) -> int:
        """How many records its segment has."""
        return len(self.joined) // TAG_BYTES


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that may hold wanted tags: nobody could look."""

    name: str
    reason: str


@dataclass(slots=True)
class Looked:
    """How far a scan is."""

    objects: int = 0
    tags: int = 0
    unreadable: int = 0


async def scan(
    subjects: SubjectStore, index_key: bytes, wanted: Collection[bytes], alarms: Alerts,
    looked: Looked | None = None, names: AsyncIterator[str] | None = None,
) -> AsyncGenerator[Hit | Unreadable, None]:  # fmt: skip
    """Every object that holds one of these tags or cannot be looked into, in the order of names.

    Objects created behind the name it has come to are seen, others not: for the last word let it
    begin when nobody can create any more. An unreadable one raises the alarm
    ``unreadable:subjects``, which the next scan closes that ends without one. `StoreError` when the
    store cannot be read. Who does not take all of it closes it (`contextlib.aclosing`). `names`: of
    all subject objects, for who lists them anyway.
    """
    looked = Looked() if looked is None else looked
    names = names_of_subjects(subjects) if names is None else names
    look = _Look(subjects, index_key, Wanted(wanted), looked)
    async with aclosing(in_flight(names, look.at, _IN_FLIGHT)) as answers:
        async for answer in answers:
            if isinstance(answer, Unreadable):
                _alarm(alarms, answer)
            if answer is not None:
                yield answer
    if not looked.unreadable:
        alarms.close_alarm("unreadable:subjects", "every subject object can be read")


def _alarm(alarms: Alerts, unreadable: Unreadable) -> None:
    log.error("a subject object cannot be looked into: %s", unreadable.reason)
    alarms.raise_alarm(
        "unreadable:subjects",
        f"no erasure can be completed: {unreadable.reason}; the log names all such objects",
    )


async def names_of_subjects(subjects: SubjectStore) -> AsyncIterator[str]:
    """The names of all subject objects there are, ascending: those of one place stand together."""
    after = ""
    while page := await subjects.names(layout.SUBJECTS, after=after, limit=_PAGE):
        for name in page:
            yield name
        after = page[-1]


@dataclass(frozen=True, slots=True)
class _Look:
    subjects: SubjectStore
    index_key: bytes = field(repr=False)
    wanted: Wanted
    looked: Looked

    async def at(self, name: str) -> Hit | Unreadable | None:
        """None: no wanted tag is in it, or it was removed since it was listed."""
        self.looked.objects += 1
        stored = await self.subjects.get(name)
        if stored is None:
            return None
        try:
            hit = await asyncio.to_thread(self._into, name, stored)
        except FormatError as error:
            self.looked.unreadable += 1
            return Unreadable(name, error.message)
        self.looked.tags += hit.count
        return hit if hit.found else None

    def _into(self, name: str, stored: Versioned) -> Hit:
        parsed = layout.parse_subject_name(name)
        if parsed is None:
            raise FormatError(f"{name} is not a subject object's name")
        joined = decrypt_tags(self.index_key, name, stored.data)
        return Hit(name, *parsed, stored.etag, joined, self.wanted.find(joined))
