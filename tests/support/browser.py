"""Debian's Chromium (`apt-get install chromium`), driven by Playwright; `.ci/run` installs it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser as AsyncBrowser
from playwright.async_api import async_playwright
from playwright.sync_api import Browser, sync_playwright

#: Without these it looks up its maker's hosts at every start.
_QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--no-sandbox")  # fmt: skip


def program() -> str | None:
    """Path of the browser, or None where there is none."""
    named = os.environ.get("AUDIT_TEST_CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("chromium-browser")


def _installed() -> str:
    found = program()
    if found is None or not Path(found).exists():
        pytest.skip("NOT RUN: Chromium is not installed (see tests/support/browser.py)")
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window; the test is NOT RUN where there is none."""
    found = _installed()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_QUIET))
        try:
            yield browser
        finally:
            browser.close()


@asynccontextmanager
async def chromium_beside() -> AsyncIterator[AsyncBrowser]:
    """The same in an event loop that has other work, too."""
    found = _installed()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=list(_QUIET))
        try:
            yield browser
        finally:
            await browser.close()
