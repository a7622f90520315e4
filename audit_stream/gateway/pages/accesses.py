"""The access log, the newest first: what is sealed in the archive, and this gateway's own last
minutes, which wait for it.

Each sealed part is held against the one behind it, or against the head in the archive's log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, TypeVar

import orjson

from audit_stream.errors import FormatError, Tampered, UnknownVersion
from audit_stream.evidence.access import (
    JournalHead,
    check_entry,
    decode_access_line,
    decode_part,
    is_access_line,
)
from audit_stream.evidence.encoding import b64u, b64u_decode
from audit_stream.evidence.log_names import (
    access_folder,
    access_name,
    is_journal,
    parse_access_name,
)
from audit_stream.gateway.followed import Followed
from audit_stream.gateway.parts import identity, part_lines, part_numbers
from audit_stream.gateway.problems import Problem

T = TypeVar("T")
PAGE = 50
_MOST_JOURNALS, _AT_ONCE = 200, 16
#: Where a journal is to be read on, backwards: part, and how many of its entries are left.
Mark = tuple[int, int]
_ALL = 1 << 30


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, the newest first; `cursor` leads to older ones, unless `more` of them are of
    too many journals for one."""

    entries: list[dict[str, Any]]
    cursor: str | None
    more: bool


@dataclass(slots=True)
class Accesses:
    """Reads the journals of all gateways; `folder` is this one's own."""

    service: Followed
    folder: Path
    _heads: Mapping[str, JournalHead] = field(default_factory=dict)

    async def page(self, cursor: str | None) -> Page:
        """`Tampered` when a part is not what was sealed, `UnknownVersion`, `StoreError`, `Problem`
        400."""
        try:
            return await self._page(cursor)
        except UnknownVersion:
            raise
        except FormatError as error:
            raise Tampered(error.message) from error

    async def _page(self, cursor: str | None) -> Page:
        own, _ = identity(self.folder)
        self._heads = await self._logged()
        marks = await self._begin(own)
        if cursor is not None:
            marks = _within(_parse_cursor(cursor), marks)
        newest: list[tuple[str, str, dict[str, Any], Mark]] = []  # a heap, of one entry a journal
        journals = {journal: self._backwards(journal, mark, own) for journal, mark in marks.items()}
        await _each(lambda journal: _advance(newest, journals, journal), journals)
        found: list[dict[str, Any]] = []
        while newest and len(found) < PAGE:
            _, journal, entry, mark = heappop(newest)
            found.append(entry)
            marks[journal] = mark
            await _advance(newest, journals, journal)
        left = {each[1]: marks[each[1]] for each in newest}
        fits = 0 < len(left) <= _MOST_JOURNALS
        return Page(found, _cursor(left) if fits else None, bool(left) and not fits)

    async def _logged(self) -> Mapping[str, JournalHead]:
        """How far each journal is in the archive's log."""
        head = self.service.head
        batch = None if head is None else await self.service.archive_log.batch(head.old_size)
        for leaf in () if batch is None else batch.leaves:
            if leaf.name is None and is_access_line(leaf.line):
                return decode_access_line(leaf.line, "the access line").heads
        return {}

    async def _begin(self, own: str) -> dict[str, Mark]:
        """Behind the last part there is of each journal."""
        names = await self.service.archive.store.names(access_folder(0))
        places = filter(None, map(parse_access_name, names))
        first = {journal: 0 for journal, _ in places}
        first |= {journal: head.next for journal, head in self._heads.items()}
        ends = await _each(lambda journal: self._end(journal, first[journal]), first)
        marks = {journal: (end, _ALL) for journal, end in zip(first, ends, strict=True)}
        here = await asyncio.to_thread(part_numbers, self.folder)
        marks[own] = max(marks.get(own, (0, _ALL)), (here[-1] if here else 0, _ALL))
        return marks

    async def _end(self, journal: str, number: int) -> int:
        """The first number from there on that nothing is sealed under."""
        while await self.service.archive.store.get(access_name(journal, number)) is not None:
            number += 1
        return number

    async def _backwards(
        self, journal: str, mark: Mark, own: str
    ) -> AsyncIterator[tuple[dict[str, Any], Mark]]:
        """Entries from a mark on, each with the mark behind it."""
        number, left = mark
        leaf = await self._expected(journal, number)
        while number >= 0:
            here = journal == own
            lines = await asyncio.to_thread(part_lines, self.folder, number) if here else None
            if lines is None:
                lines, leaf = await self._sealed(journal, number, leaf)
            else:
                leaf = None
            for at in range(min(left, len(lines)) - 1, -1, -1):
                entry = check_entry(lines[at], f"entry {at} of part {number}")
                yield entry, (number, at)
            number, left = number - 1, _ALL

    async def _expected(self, journal: str, number: int) -> bytes | None:
        """The leaf that the part must have, by the one behind it or the log, if either is there."""
        head = self._heads.get(journal)
        if head is not None and head.next == number + 1:
            return head.leaf
        data = await self.service.archive.store.get(access_name(journal, number + 1))
        if data is None:
            return None
        return (await asyncio.to_thread(decode_part, data, f"part {number + 1}")).prev

    async def _sealed(
        self, journal: str, number: int, leaf: bytes | None
    ) -> tuple[list[bytes], bytes | None]:
        """A part's entries, and the leaf that the one before it must have."""
        name = access_name(journal, number)
        data = await self.service.archive.store.get(name)
        if data is None:
            head = self._heads.get(journal)
            if leaf is not None or (head is not None and number < head.next):
                raise Tampered(f"{name} is gone")
            return [], None  # closed, and not sealed yet: by another gateway, or just now
        part = await asyncio.to_thread(decode_part, data, name)
        head = self._heads.get(journal)
        if head is not None and head.next == number + 1:
            leaf = head.leaf
        if leaf is not None and part.leaf != leaf:
            raise Tampered(f"{name} is not the part that was sealed")
        return list(part.entries), part.prev


async def _each(call: Callable[[str], Awaitable[T]], journals: Iterable[str]) -> list[T]:
    """What the call gives for each journal, in order; some of them wait for the store at once."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(journal: str) -> T:
        async with room:
            return await call(journal)

    return await asyncio.gather(*map(one, journals))


async def _advance(
    newest: list[Any], journals: Mapping[str, AsyncIterator[tuple[dict[str, Any], Mark]]],
    journal: str,
) -> None:  # fmt: skip
    async for entry, mark in journals[journal]:
        heappush(newest, (_backwards_key(entry["time"]), journal, entry, mark))
        return


def _backwards_key(text: str) -> str:
    """Sorts later times first, in a heap of the smallest."""
    return "".join(chr(0x10FFFF - ord(each)) for each in text)


def _cursor(marks: Mapping[str, Mark]) -> str:
    return b64u(orjson.dumps(marks))


def _parse_cursor(text: str) -> dict[str, Mark]:
    try:
        found = orjson.loads(b64u_decode(text, "the cursor"))
        marks = {journal: (number, left) for journal, (number, left) in found.items()}
    except (FormatError, ValueError, TypeError, AttributeError):
        raise _no_cursor() from None
    sound = len(marks) <= _MOST_JOURNALS and all(
        is_journal(journal) and type(number) is type(left) is int
        and 0 <= number < 1 << 53 and 0 <= left <= _ALL
        for journal, (number, left) in marks.items()
    )  # fmt: skip
    if not sound:
        raise _no_cursor()
    return marks


def _within(given: dict[str, Mark], ends: dict[str, Mark]) -> dict[str, Mark]:
    """A cursor comes from a browser: none leads behind the end of a journal there is."""
    if any(journal not in ends or mark > ends[journal] for journal, mark in given.items()):
        raise _no_cursor()
    return given


def _no_cursor() -> Problem:
    return Problem(400, "the cursor is none that a page was given with")
