"""The report: messages by workflow, channel, status and error code, without personal data.

A message counts once, with its effective status, on the day the broker received it. Days are the
broker's, so no skewed clock hides a message; over all days the report has every message.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from datetime import date

from audit_stream.gateway.caller import EVERY_TENANT, Caller
from audit_stream.gateway.problems import Problem
from audit_stream.index.counts import Group, number_of_day
from audit_stream.index.database import ArchiveIndex

MOST_DAYS, MOST_LINES = 366, 20_000
#: Rows of the index that a report may be made from: some seconds of work.
MOST_ROWS = 500_000
COLUMNS = ("tenant", "workflow", "channel", "status", "error_code", "messages")
#: With one of these a spreadsheet would take a cell for a formula; some take the wide ones, too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@dataclass(frozen=True, slots=True)
class Days:
    """From and to, both included."""

    first: date
    last: date


def days_of(first: str | None, last: str | None, today: date, usual: int) -> Days:
    """What was asked for, else the `usual` days up to today. `Problem` 400."""
    try:
        end = date.fromisoformat(last) if last else today
        begin = date.fromisoformat(first) if first else date.fromordinal(
            max(1, end.toordinal() - usual + 1)
        )  # fmt: skip
    except ValueError:
        raise Problem(400, "a day is written YYYY-MM-DD") from None
    if not 0 <= (end - begin).days < MOST_DAYS:
        raise Problem(400, f"name two days, the earlier first, {MOST_DAYS} days apart at most")
    if begin.year < 1970:
        raise Problem(400, "there is nothing before 1970")
    return Days(begin, end)


def lines(index: ArchiveIndex, days: Days, caller: Caller) -> list[tuple[Group, int]]:
    """What the caller may see of it, sorted. `Problem` 400 when it is too much for one report."""
    found: Counter[Group] = Counter()
    first, last = (number_of_day(each.isoformat()) for each in (days.first, days.last))
    tenants = None if EVERY_TENANT in caller.tenants else caller.tenants
    for row, (_, group, count) in enumerate(index.grouped(first, last, tenants)):
        if caller.sees(group.tenant):  # rows have a tenant by a short hash
            found[group] += count
        if len(found) > MOST_LINES or row >= MOST_ROWS:
            raise Problem(400, f"more than {MOST_LINES:,} lines, or too many to add up: choose "
                               "fewer days")  # fmt: skip
    return sorted(found.items(), key=lambda each: tuple(part or "" for part in each[0]))


def by_status(found: list[tuple[Group, int]]) -> list[tuple[str, int]]:
    """How many messages have each status, the most first."""
    sums: Counter[str] = Counter()
    for group, count in found:
        sums[group.status] += count
    return sums.most_common()


def as_csv(found: list[tuple[Group, int]]) -> bytes:
    """RFC 4180, UTF-8. A text that a spreadsheet would compute gets an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for group, count in found:
        writer.writerow([*(harmless(each or "") for each in group), count])
    return text.getvalue().encode()


def harmless(text: str) -> str:
    """The text as a cell that is no formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
