"""Servers that several folders of tests share, and what no test may leave behind."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator

import hypothesis
import pytest

from tests.support.azurite import Azurite, script

# How long an example takes says nothing on a machine that is shared.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    main = script()
    if main is None:
        if os.environ.get("AUDIT_TEST_REQUIRE") == "1":
            pytest.fail("Azurite is not installed", pytrace=False)
        pytest.skip("NOT RUN: Azurite is not installed (see tests/support/azurite.py)")
    server = Azurite(main)
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command that sets up logging writes to the standard error of its own test only."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest first, or one process is left alone with them at the end."""
    items.sort(key=lambda item: "integration" not in item.path.parts)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logs may hold half a character, which cannot be sent from process to process."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode())
        for title, text in report.sections
    ]
    return report
