"""What the index counts as it takes segments in: offsets by day, quarantine, messages by status.

    day         d day place               `Counted` of that day
    total       D place                   `Counted` of all days
    quarantine  q day place offset        a run of quarantined offsets: its length
    retried     o topic/partition/offset  a quarantined event that was archived by a retry: the
                                          newest generation that has one
    group       n day tenant group        how many messages, and what is common to them

`day` is a UTC day by the broker's clock, counted from 1970. A segment is counted whole, on the day
of its first record. A message stands in one group: that of its effective record in its stream, on
the day the broker received that record. Each segment's counts are in one write with its rows, so
nothing is counted twice. The groups' members are what the records say in clear, and no ids of
messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple, Self

import orjson

from audit_stream.errors import FormatError
from audit_stream.evidence import ledger
from audit_stream.evidence.segment import ASSURANCES, Header, lowest_assurance

DAY, TOTAL, QUARANTINE, RETRIED, GROUP = b"d", b"D", b"q", b"o", b"n"
Get = Callable[[bytes], bytes | None]
Row = tuple[bytes, bytes | None]
#: A ledger taken apart: ``(count, letter)``.
Runs = list[tuple[int, str]]
_LETTERS = "".join(ledger.MEANING)
_COUNTED = Struct(f">{len(_LETTERS)}QQQQB")
_DAY, _NUMBER, _RUN, _MESSAGES = Struct(">I"), Struct(">Q"), Struct(">I8sQ"), Struct(">Q")
_GENERATION = Struct(">I")
_HASH_BYTES = 8
#: Bytes by which a message's row names its group: day and hash.
GROUP_BYTES = _DAY.size + _HASH_BYTES
_EPOCH, DAY_MS = date(1970, 1, 1), 86_400_000
_LAST_DAY = (date.max - _EPOCH).days


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Offsets of a stream and partition, of one day or of all. Times in ms, 0: none is known."""

    letters: tuple[int, ...] = (0,) * len(_LETTERS)  # in the order of `ledger.MEANING`
    retried: int = 0  # records that were in quarantine before
    delay: int = 0  # the longest from a segment's first record to its sealing
    last_ts: int = 0  # of the last record
    levels: int = 0  # a bit for each of `ASSURANCES`

    def __getitem__(self, letter: str) -> int:
        return self.letters[_LETTERS.index(letter)]

    @property
    def offsets(self) -> int:
        """All of them."""
        return sum(self.letters)

    @property
    def assurance(self) -> str | None:
        """The lowest level of its segments."""
        return lowest_assurance(
            level for bit, level in enumerate(ASSURANCES) if self.levels >> bit & 1
        )

    def plus(self, other: Counted) -> Counted:
        """Both together; `other` came later."""
        pairs = zip(self.letters, other.letters, strict=True)
        return Counted(
            letters=tuple(one + two for one, two in pairs), retried=self.retried + other.retried,
            delay=max(self.delay, other.delay), last_ts=max(self.last_ts, other.last_ts),
            levels=self.levels | other.levels,
        )  # fmt: skip

    def encode(self) -> bytes:
        """The row's value."""
        return _COUNTED.pack(*self.letters, self.retried, self.delay, self.last_ts, self.levels)

    @classmethod
    def decode(cls, value: bytes | None) -> Self:
        """The inverse of `encode`; of no row nothing is counted."""
        if value is None:
            return cls()
        *letters, retried, delay, last_ts, levels = _COUNTED.unpack(value)
        return cls(letters=tuple(letters), retried=retried, delay=delay, last_ts=last_ts,
                   levels=levels)  # fmt: skip


class Group(NamedTuple):
    """What is common to messages that are counted together."""

    tenant: str
    workflow: str
    channel: str
    status: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Quarantined offsets, one behind the other."""

    day: int
    place: bytes
    offset: int
    length: int

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> Self:
        """The run of a row."""
        day, place, offset = _RUN.unpack_from(key, 1)
        return cls(day=day, place=place, offset=offset, length=_NUMBER.unpack(value)[0])


@dataclass(slots=True)
class Counting:
    """One group in one segment."""

    named: bytes  # as a message's row has it: day and hash
    members: tuple[str | None, ...] | None = None  # of a group that is met in it
    change: int = 0


class Tally:
    """Takes one segment's records and makes the rows that count them."""

    def __init__(self, header: Header, runs: Runs, place: bytes, get: Get) -> None:
        self._header, self._runs, self._place, self._get = header, runs, place, get
        self._by_key: dict[bytes, Counting] = {}
        self._retried: dict[bytes, bool] = {}  # whether it is the position's first

    def group(self, tenant: bytes, day: str, members: tuple[str | None, ...]) -> Counting:
        """Where messages with these members are counted, `Group`'s in their order. A call for each
        record is too dear: whoever has met them in this segment keeps what this gives."""
        hashed = blake2b(orjson.dumps(members), digest_size=_HASH_BYTES).digest()
        found = self._counting(tenant + _DAY.pack(number_of_day(day)) + hashed)
        found.members = members
        return found

    def take_away(self, tenant: bytes, named: bytes) -> None:
        """A message is in that group no more: a later record of it was counted."""
        self._counting(tenant + named).change -= 1

    def _counting(self, key: bytes) -> Counting:
        found = self._by_key.get(key)
        if found is None:
            found = self._by_key[key] = Counting(key[-GROUP_BYTES:])
        return found

    def retry(self, origin: str) -> None:
        """A record whose event first stood at `origin`.

        A copy of a rekeyed topic has one of another topic: none that quarantine knew. Positions do
        not say of which generation they are: of several only one is counted.
        """
        if origin.startswith(f"{self._header.topic}/"):
            key = RETRIED + origin.encode()
            before = retried_in(self._get(key))
            if before < self._header.generation:
                self._retried[key] = not before

    def rows(self) -> list[Row]:
        """All of them."""
        total = Counted.decode(self._get(TOTAL + self._place))
        day, counted = _day_of(self._header, total), self._counted()
        day_key = DAY + _DAY.pack(day) + self._place
        return [
            (day_key, Counted.decode(self._get(day_key)).plus(counted).encode()),
            (TOTAL + self._place, total.plus(counted).encode()),
            *((key, _GENERATION.pack(self._header.generation)) for key in sorted(self._retried)),
            *self._quarantined(day),
            *self._grouped(),
        ]

    def _counted(self) -> Counted:
        header = self._header
        counts = ledger.totals(header.ledger, header.next - header.base)
        first = header.first_ts or 0
        return Counted(
            letters=tuple(counts.values()), retried=sum(self._retried.values()),
            delay=max(0, milliseconds(header.sealed_at) - first) if first > 0 else 0,
            last_ts=_sound(header.last_ts), levels=1 << ASSURANCES.index(header.assurance),
        )  # fmt: skip

    def _quarantined(self, day: int) -> Iterator[Row]:
        offset = self._header.base
        for count, letter in self._runs:
            if letter == ledger.QUARANTINED:
                yield QUARANTINE + _RUN.pack(day, self._place, offset), _NUMBER.pack(count)
            offset += count

    def _grouped(self) -> Iterator[Row]:
        for key, counting in sorted(self._by_key.items()):
            if not counting.change:
                continue
            tenant, day, hashed = key[:-GROUP_BYTES], key[-GROUP_BYTES:-8], key[-8:]
            row = GROUP + day + tenant + hashed
            value = self._get(row)
            before, members = (0, b"") if value is None else _split(value)
            members = members or orjson.dumps(counting.members)
            count = before + counting.change
            yield row, _MESSAGES.pack(count) + members if count > 0 else None


def decode_group(key: bytes, value: bytes) -> tuple[int, Group, int]:
    """A group row: day, what is common, how many messages."""
    count, members = _split(value)
    return _DAY.unpack_from(key, 1)[0], Group(*orjson.loads(members)), count


def retried_in(value: bytes | None) -> int:
    """The newest generation that has a retry of a position, by its row; 0: none has."""
    return 0 if value is None else int(_GENERATION.unpack(value)[0])


def day_prefix(kind: bytes, day: int) -> bytes:
    """How the keys of a day begin, of rows that are sorted by day."""
    return kind + _DAY.pack(day)


def day_of(key: bytes) -> int:
    """The day in a key of such a row."""
    return int(_DAY.unpack_from(key, 1)[0])


def number_of_day(text: str) -> int:
    """Days from 1970 to ``YYYY-MM-DD``. `FormatError` for any other text."""
    try:
        found = (date.fromisoformat(text) - _EPOCH).days
    except ValueError as error:
        raise FormatError(f"{text!r} is no day") from error
    if found < 0:
        raise FormatError(f"{text} is before 1970")
    return found


def date_of(day: int) -> date:
    """The inverse."""
    return _EPOCH + timedelta(days=day)


def milliseconds(text: str) -> int:
    """Since 1970, of an RFC 3339 time with an offset or Z. `FormatError` for any other text."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise FormatError(f"{text[:40]!r} is no time") from error
    if found.tzinfo is None or found.year < _EPOCH.year:
        raise FormatError(f"{text[:40]!r} is no time since 1970")
    return max(0, round(found.timestamp() * 1000))


def _sound(timestamp: int | None) -> int:
    """A time that the calendar has, else 0: some are whatever a producer wrote."""
    return timestamp if timestamp and 0 < timestamp <= _LAST_DAY * DAY_MS else 0


def _day_of(header: Header, total: Counted) -> int:
    """Of a segment without records it is the day of what was before it."""
    moment = _sound(header.first_ts) or total.last_ts or milliseconds(header.sealed_at)
    return moment // DAY_MS


def _split(value: bytes) -> tuple[int, bytes]:
    return int(_MESSAGES.unpack_from(value)[0]), value[_MESSAGES.size :]
