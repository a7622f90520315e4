"""Entries and parts of an access journal."""

from __future__ import annotations

from typing import Any

from audit_stream.evidence.access import JournalPart
from audit_stream.evidence.canonical import canonical
from tests.support.chains import NAME

JOURNAL = "00112233aabbccdd"


def members(message: str) -> dict[str, Any]:
    """An entry about one message."""
    return {
        "caller": "c0ffee", "found": 1, "kind": "read", "messages": [message], "query": "message",
        "status": 200, "tenants": ["t"], "time": "2026-11-25T00:00:00.000Z",
        "v": "audit-access-entry/1",
    }  # fmt: skip


def entry(message: str) -> bytes:
    """Its line, without a newline."""
    return canonical(members(message))


def part(number: int, *entries: bytes, prev: bytes | None = None) -> JournalPart:
    """Of `JOURNAL`."""
    return JournalPart(
        archive=NAME, journal=JOURNAL, number=number, prev=prev, entries=tuple(entries)
    )


def chained(count: int) -> list[JournalPart]:
    """So many parts, one behind the other."""
    parts: list[JournalPart] = []
    for number in range(count):
        prev = parts[-1].leaf if parts else None
        parts.append(part(number, entry(f"m{number}"), prev=prev))
    return parts
