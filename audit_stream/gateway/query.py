"""What may be asked: ids, never a range of time. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from audit_stream.gateway.problems import Problem

NAMES = {
    "message_uuid": "message", "customer_external_id": "customer", "carrier_message_id": "carrier",
    "platform_tenant_id": "tenant", "cursor": "cursor", "limit": "limit",
}  # fmt: skip
LONGEST, MOST, USUAL = 256, 100, 20
_TIME = re.compile(
    r"(?i)(^|_)(from|to|since|until|before|after|start|end|date|time|timestamp)($|_)"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A checked question; its repr shows no id."""

    message: str | None = None
    customer: str | None = None
    carrier: str | None = None
    tenant: str | None = None
    cursor: str | None = None
    limit: int = USUAL

    def __repr__(self) -> str:
        return f"Query({self.kind})"

    @property
    def is_page(self) -> bool:
        """By customer alone: many messages."""
        return self.message is None and self.carrier is None

    @property
    def kind(self) -> str:
        """Which ids were given: what the journal may say."""
        given = {"message": self.message, "carrier": self.carrier, "customer": self.customer}
        return "+".join(name for name, value in given.items() if value is not None)


def parse_pairs(pairs: Iterable[tuple[str, str]]) -> Query:
    """From a URL's query."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Problem(400, f"{_shown(name)} is given twice")
        number = name == "limit" and value.isascii() and value.isdigit() and len(value) < 9
        found[name] = int(value) if number else value
    return parse_fields(found)


def parse_page(pairs: Iterable[tuple[str, str]]) -> tuple[str | None, int]:
    """Cursor and limit of a list. `Problem` 400."""
    found = dict(pairs)
    limit = found.pop("limit", str(USUAL))
    cursor = found.pop("cursor", None)
    if found:
        raise Problem(400, "a list has the parameters cursor and limit")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= MOST):
        raise Problem(400, f"limit must be 1 to {MOST}")
    return cursor, int(limit)


def parse_fields(found: Mapping[str, Any]) -> Query:
    """From names and values. `Problem` 400 says which and why."""
    for name in found:
        if name not in NAMES:
            raise _unknown(name)
    for name, value in found.items():
        if name == "limit":
            if type(value) is not int or not 1 <= value <= MOST:
                raise Problem(400, f"limit must be 1 to {MOST}")
        elif not is_text(value):
            raise Problem(400, f"{name} must be 1 to {LONGEST} characters, none of them control")
    query = Query(**{NAMES[name]: value for name, value in found.items()})
    if not query.kind:
        raise Problem(400, "name message_uuid, customer_external_id or carrier_message_id")
    if not query.is_page and (query.cursor is not None or "limit" in found):
        raise Problem(400, "cursor and limit are for customer_external_id alone")
    return query


def is_text(value: Any) -> bool:
    """Whether it is 1 to `LONGEST` characters, none of them control."""
    return type(value) is str and 1 <= len(value) <= LONGEST and not _CONTROL.search(value)


def _unknown(name: str) -> Problem:
    if _TIME.search(name):
        return Problem(
            400,
            f"{_shown(name)}: there are no ranges of time, since clocks of carriers and platforms "
            "are skewed and a record outside of a range would look missing; ask by id, or use "
            "prove-complete for a period",
        )
    return Problem(400, f"{_shown(name)} is no parameter; there are {', '.join(NAMES)}")


def _shown(name: str) -> str:
    """A name a stranger chose, short and harmless."""
    return re.sub(r"[^A-Za-z0-9_.-]", "?", name[:40])
