"""Pytest plugin: a skipped test is named NOT RUN, and fails the session where all is required."""

from __future__ import annotations

import os
from typing import Any

import pytest

REQUIRED = "AUDIT_TEST_REQUIRE"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for report in terminalreporter.stats.get("skipped", ()):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"NOT RUN: {report.nodeid}: {reason}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: Any, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter is not None and reporter.stats.get("skipped")
    if skipped and os.environ.get(REQUIRED) == "1" and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
