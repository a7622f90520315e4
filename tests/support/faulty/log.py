"""Which requests came in, from whom and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.support.faulty.faults import Fault


class Seen(NamedTuple):
    """A request that came in; status 0: it got no answer."""

    method: str
    path: str
    query: dict[str, str]
    status: int
    client: str = ""
    at: float = 0.0  # when it came: Unix seconds of this machine, not of a double's clock
    fault: str | None = None  # what the request met


def seen(
    method: str, path: str, query: Mapping[str, str], client: str, status: int,
    fault: Fault | None, at: float,
) -> Seen:  # fmt: skip
    """One line of the log."""
    met = None if fault is None else fault.kind
    return Seen(method, path, dict(query), status, client, at, met)


def counters(requests: list[Seen]) -> dict[str, Any]:
    """Requests by client and second, and by method, status and fault."""
    seconds: dict[str, Counter[str]] = {}
    kinds: Counter[str] = Counter()
    for each in requests:
        seconds.setdefault(each.client, Counter())[str(int(each.at))] += 1
        kinds[f"{each.method} {each.status} {each.fault or '-'}"] += 1
    return {"total": len(requests), "seconds": seconds, "kinds": kinds}
