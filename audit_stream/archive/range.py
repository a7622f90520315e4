"""Which segments of a partition are wanted: from and to an offset or a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from audit_stream.errors import ConfigError, FormatError
from audit_stream.evidence.encoding import milliseconds
from audit_stream.evidence.segment import Header

_CLOCKS_MS = 3_600_000  # by which a producer's clock may be ahead of a worker's


@dataclass(frozen=True, slots=True)
class Bound:
    """An offset, or a Kafka time (Unix ms)."""

    value: int
    is_time: bool

    def __str__(self) -> str:
        return f"{self.value} ms" if self.is_time else str(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Whole segments: from the one that holds `start` up to the one that holds what is before
    `stop`; None is open."""

    start: Bound | None = None
    stop: Bound | None = None

    def is_before(self, header: Header) -> bool:
        """Whether the whole segment lies before the range."""
        if self.start is None:
            return False
        if self.start.is_time:
            return header.last_ts is None or header.last_ts < self.start.value
        return header.next <= self.start.value

    def is_behind(self, header: Header) -> bool:
        """Whether the whole segment lies behind the range."""
        if self.stop is None:
            return False
        if self.stop.is_time:
            return header.first_ts is not None and header.first_ts >= self.stop.value
        return header.base >= self.stop.value

    def meets(self, after: int | None, until: int | None) -> bool:
        """Whether what has no time of its own can be of the range: it came between two times (ms),
        None where nothing is known."""
        ends_before = self.start is not None and until is not None and until < self.start.value
        return not (ends_before or self.begins_behind(after))

    def begins_behind(self, after: int | None) -> bool:
        """Whether what came after a time (ms) lies behind the range."""
        return self.stop is not None and after is not None and after >= self.stop.value

    def meets_gap(self, after: int | None, until: int | None) -> bool:
        """As `meets`, of offsets that two generations left open between them."""
        return self.meets(after, until)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinRange(Range):
    """The same of a rekeyed topic, whose records come in another order than that of their times:
    each has the time of its original and may follow long behind it.

    So only what was sealed before the range began lies before it, and nothing lies behind it.
    """

    def is_before(self, header: Header) -> bool:
        """Whether the whole segment lies before the range."""
        assert self.start is not None
        try:
            sealed = milliseconds(header.sealed_at)
        except FormatError:
            return False
        return sealed + _CLOCKS_MS < self.start.value

    def is_behind(self, header: Header) -> bool:
        """No segment is known to."""
        return False

    def meets(self, after: int | None, until: int | None) -> bool:
        """What was lost counts with the segment that says so."""
        return False

    def begins_behind(self, after: int | None) -> bool:
        """Nothing is known to."""
        return False

    def meets_gap(self, after: int | None, until: int | None) -> bool:
        """Where nothing with a time was archived behind it, it may be of the range."""
        return until is None


EVERYTHING = Range()


def parse_bound(text: str, option: str) -> Bound:
    """An offset in digits or an RFC 3339 time (UTC unless it says otherwise), or `ConfigError`."""
    if text.isascii() and text.isdecimal() and len(text) <= 19:
        return Bound(int(text), is_time=False)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{option} is neither an offset nor a time",
            hint="write 41 or 2026-11-25T00:00:00Z",
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Bound(round(moment.timestamp() * 1000), is_time=True)
