"""What a report costs and may read: of an index whose groups a test writes itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import orjson
import pytest

from audit_stream.gateway.caller import Caller
from audit_stream.gateway.pages import report
from audit_stream.gateway.pages.report import Days, lines
from audit_stream.gateway.problems import Problem
from audit_stream.index.counts import GROUP, day_prefix, number_of_day
from audit_stream.index.database import ArchiveIndex

FIRST = number_of_day("2026-03-01")
DAYS = Days(date(2026, 3, 1), date(2026, 3, 4))


def caller(*tenants: str) -> Caller:
    return Caller(id="c", tenants=tenants, scopes=("audit:read",))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[ArchiveIndex]:
    """Three tenants with five workflows each, on six days: the report's are four of them."""
    made = ArchiveIndex.open(tmp_path / "index", "archive.example/x", bytes(32))
    made.write(
        (day_prefix(GROUP, FIRST - 1 + day) + made.ids.tenant(tenant) + bytes([number] * 8),
         (1).to_bytes(8, "big") + orjson.dumps([tenant, f"wf{number}", "sms", "READ", None]))
        for day in range(6) for tenant in ("a", "b", "c") for number in range(5)
    )  # fmt: skip
    yield made
    made.close()


@pytest.mark.parametrize("tenants", [("a",), ("b", "c"), ("c", "c", "nobody"), ("*",), ("*", "a")])
def test_each_sees_their_tenants_alone(index: ArchiveIndex, tenants: tuple[str, ...]) -> None:
    wanted = sorted({"a", "b", "c"} if "*" in tenants else {"a", "b", "c"} & set(tenants))
    found = lines(index, DAYS, caller(*tenants))
    assert [(group.tenant, group.workflow, count) for group, count in found] == [
        (tenant, f"wf{number}", 4) for tenant in wanted for number in range(5)
    ]


def test_rows_of_others_are_not_even_read(
    index: ArchiveIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MOST_ROWS", 20)
    assert len(lines(index, DAYS, caller("a"))) == 5
    with pytest.raises(Problem, match="choose fewer days"):
        lines(index, DAYS, caller("a", "b"))


def test_a_report_has_an_end(index: ArchiveIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_LINES", 14)
    with pytest.raises(Problem, match="choose fewer days"):
        lines(index, DAYS, caller("*"))
    monkeypatch.setattr(report, "MOST_LINES", 15)
    assert len(lines(index, DAYS, caller("*"))) == 15
