"""Runbooks: one for each alert, alarm and error code, and none for nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from audit_stream.errors import AuditError
from tests.support.prometheus import ROOT, alerts

ALERTS = alerts()
RUNBOOKS = ROOT / "docs" / "runbooks"
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in RUNBOOKS.glob("*.md")}
URL = re.compile(r"\{\{ \$externalLabels\.runbooks \}\}/([a-z-]+)\.md")


def _page_of(name: str) -> str:
    found = URL.fullmatch(ALERTS[name]["annotations"]["runbook_url"])
    assert found is not None
    return found[1]


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_leads_to_a_page_that_names_it(name: str) -> None:
    assert f"`{name}`" in TEXTS[_page_of(name)].partition("## Impact")[0]


def _alarm_keys() -> set[str]:
    """The part before the colon of each alarm that the code raises."""
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "audit_stream").rglob("*.py"))
    keys = re.findall(r'raise_alarm\(\s*f?"([a-z-]+)', sources)
    return {*keys, *re.findall(r'_stop\([^"]*(?:"[^"]*"\s*)*?, "([a-z-]+)"', sources)}


def test_each_page_is_for_an_alert_an_alarm_or_the_error_codes() -> None:
    led_to = {_page_of(name) for name in ALERTS}
    alarms = {page for page, text in TEXTS.items() if re.search(r"[Aa]larm\s+`[a-z-]+", text)}
    assert set(TEXTS) == led_to | alarms | {"errors"}


def test_each_alarm_has_a_page() -> None:
    keys = _alarm_keys()
    assert {"internal", "lost", "partitioner", "raw-topic"} <= keys
    for key in keys:
        assert any(re.search(rf"`{key}[`:]", text) for text in TEXTS.values()), key


def test_pages_name_only_alerts_that_there_are() -> None:
    pages = "".join(path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md"))
    assert set(re.findall(r"`(AuditStream[A-Za-z]+)`", pages)) == set(ALERTS)


def _errors(root: type[AuditError]) -> Iterator[type[AuditError]]:
    yield root
    for child in root.__subclasses__():
        yield from _errors(child)


def test_each_error_code_has_its_heading_and_each_heading_its_code() -> None:
    found = {error for error in _errors(AuditError) if error.__module__ == AuditError.__module__}
    codes = [error.code for error in found]
    assert len(set(codes)) == len(codes)
    headings = re.findall(r"^## (AS-[0-9]{4}) ", TEXTS["errors"], re.M)
    assert headings == sorted(codes)
    every = set(re.findall(r"\bAS-[0-9]{4}\b", "".join(TEXTS.values())))
    assert every <= set(codes)
