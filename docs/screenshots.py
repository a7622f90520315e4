"""Write docs/screenshots: the pages over a sample archive in which there is no real person.

Needs Chromium (`apt-get install chromium`); ``python docs/screenshots.py``.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.support.asking import Asked, serving
from tests.support.browser import chromium
from tests.support.sample import Sample, make_sample

FOLDER = Path(__file__).parent / "screenshots"
_WIDE, _NARROW = {"width": 1000, "height": 760}, {"width": 320, "height": 640}


def main() -> int:
    """Make them all anew."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flawed = asyncio.run(make_sample(folder / "flawed"))
        whole = asyncio.run(make_sample(folder / "whole", flawed=False, anchored=True))
        with serving(flawed.settings) as asked, chromium() as browser:
            _flawed(browser, asked, flawed)
        with serving(whole.settings) as asked, chromium() as browser:
            _whole(browser, asked, whole, folder)
    return 0


def _flawed(browser: Browser, asked: Asked, sample: Sample) -> None:
    page = _signed_in(browser, asked, viewport=_WIDE)
    _take(page, "look-up")
    _look_up(page, sample.contradicted)
    _take(page, "contradiction")
    page.goto(f"{asked.url}/overview")
    page.set_viewport_size({"width": 1000, "height": 1050})
    _take(page, "overview-gap")
    page.set_viewport_size(_WIDE)
    _erasure(page, asked, sample)
    for name in ("quarantine", "archive", "report", "access"):
        page.goto(f"{asked.url}/{name}")
        _take(page, name)


def _erasure(page: Page, asked: Asked, sample: Sample) -> None:
    """A dry run, the request that was filed, a hold."""
    page.goto(f"{asked.url}/holds")
    page.get_by_label("What").select_option(label="A workflow, by id")
    page.get_by_label("Id, address or positions").fill("wf_margin_call")
    said = {"Matter": "LIT-17", "Reason": "ORD-4", "Custodian": "desk", "Approved by": "chief-1"}
    for name, value in said.items():
        page.get_by_label(name, exact=True).fill(value)
    page.get_by_role("button", name="Declare the hold").click()
    _take(page, "holds")
    page.goto(f"{asked.url}/compliance")
    page.get_by_label("Id or address").fill(sample.customer.lower())
    page.get_by_role("button", name="Look", exact=True).click()
    page.get_by_role("checkbox").first.check()
    _take(page, "erasure-looked-up")
    page.get_by_label("Reference").fill("DSR-2026-17")
    page.get_by_role("button", name="File the request").click()
    page.goto(f"{asked.url}/compliance")
    _take(page, "erasures")


def _whole(browser: Browser, asked: Asked, sample: Sample, folder: Path) -> None:
    page = _signed_in(browser, asked, viewport=_WIDE, color_scheme="dark")
    page.goto(f"{asked.url}/overview")
    _take(page, "overview-dark")
    page = _signed_in(browser, asked, viewport=_NARROW)
    _look_up(page, sample.read)
    _take(page, "phone")
    page = _signed_in(browser, asked, viewport=_WIDE)
    _look_up(page, sample.read, sample.customer)
    page.set_viewport_size({"width": 1000, "height": 940})
    _take(page, "message")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the evidence bundle").click()
    bundle = folder / "evidence.zip"
    download.value.save_as(bundle)
    with zipfile.ZipFile(bundle) as files:
        name = next(each for each in files.namelist() if each.endswith("verify.html"))
        page.goto(Path(files.extract(name, folder)).as_uri())
    page.set_input_files("#bundle", bundle)
    page.click("button")
    page.wait_for_selector("#steps tbody tr")
    _take(page, "verify")


def _signed_in(browser: Browser, asked: Asked, **options: Any) -> Page:
    page = browser.new_context(**options).new_page()
    page.goto(asked.url)
    page.fill("#token", asked.token()["Authorization"].split()[1])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{asked.url}/")
    return page


def _look_up(page: Page, message: str, customer: str = "") -> None:
    page.get_by_label("Message id", exact=True).fill(message)
    page.get_by_label("Customer’s id").fill(customer)
    page.get_by_role("button", name="Look up").click()
    page.wait_for_load_state()


def _take(page: Page, name: str) -> None:
    page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
