"""The pages in a real Chromium: an auditor's way from the form to a verdict of their own."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support.asking import serving
from tests.support.browser import chromium
from tests.support.certificates import identity
from tests.unit.gateway.pages.conftest import Site

PATHS = (
    "/", "/overview", "/archive", "/quarantine", "/access", "/report", "/compliance", "/holds",
)  # fmt: skip
#: In the dark only the colours are others, and the overview has those of all pages.
_RULES = {
    "light": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "dark": ["color-contrast"],
}


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Browser]:
    """After the site is made: Playwright's loop leaves no room for another."""
    with chromium() as found:
        yield found


@pytest.fixture
def context(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """What asks for nothing elsewhere, and has no script: pages must do without."""
    found = browser.new_context(java_script_enabled=False)
    asked: list[str] = []
    found.on("request", lambda request: asked.append(request.url))
    yield found
    found.close()
    assert [url for url in asked if not url.startswith((site.asked.url, "data:"))] == []


@pytest.fixture
def page(context: BrowserContext, site: Site) -> Page:
    """Signed in."""
    return signed_in(context, site)


def signed_in(context: BrowserContext, site: Site) -> Page:
    page = context.new_page()
    page.goto(site.asked.url)
    assert page.url.endswith("/sign-in")
    page.fill("#token", site.asked.token()["Authorization"].split()[1])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Look up a message")
    return page


def looked_up(page: Page, site: Site) -> None:
    page.goto(site.asked.url)
    page.get_by_label("Message id", exact=True).fill(site.sample.read)
    page.get_by_label("Customer’s id").fill(site.sample.customer)
    page.get_by_role("button", name="Look up").click()


def downloaded(page: Page, folder: Path) -> Path:
    """The bundle, as the browser saves it."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the evidence bundle").click()
    assert download.value.suggested_filename == "evidence.zip"
    download.value.save_as(folder / "evidence.zip")
    return folder / "evidence.zip"


def verdict_of(browser: Browser, bundle: Path, verifier: Path) -> tuple[str, str]:
    """What the bundle's own page says, offline: verdict, and the records it shows."""
    context = browser.new_context(offline=True)
    try:
        page = context.new_page()
        page.goto(verifier.as_uri())
        page.set_input_files("#bundle", bundle)
        page.click("button")
        expect(page.locator("#verdict")).not_to_be_empty()
        return page.inner_text("#verdict"), page.inner_text("#records")
    finally:
        context.close()


def tampered(bundle: Path, name: str) -> Path:
    """The same bundle with one letter of a member changed."""
    changed = bundle.with_name("tampered.zip")
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(changed, "w") as new:
        for each in old.infolist():
            data = old.read(each)
            if each.filename == name:
                data = data.replace(b'"READ"', b'"SEEN"', 1)
                assert data != old.read(each)
            new.writestr(each, data)
    return changed


def test_from_the_form_to_a_verdict_of_one_s_own(
    browser: Browser, page: Page, site: Site, tmp_path: Path
) -> None:
    looked_up(page, site)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Read")
    steps = page.get_by_role("list", name="Timeline").get_by_role("heading", level=3)
    assert [text.split()[0] for text in steps.all_inner_texts()] == ["Delivered", "Read"]
    bundle = downloaded(page, tmp_path)
    with zipfile.ZipFile(bundle) as files:
        names = files.namelist()
        verifier = Path(
            files.extract(next(n for n in names if n.endswith("verify.html")), tmp_path)
        )
        records = next(n for n in names if b'"READ"' in files.read(n) and n.endswith("json"))
    verdict, shown = verdict_of(browser, bundle, verifier)
    assert verdict == "UNANCHORED"
    assert site.sample.read in shown
    assert "READ" in shown
    assert verdict_of(browser, tampered(bundle, records), verifier)[0] == "INVALID"


def test_a_browser_of_old_names_the_origin_of_its_forms(page: Page, site: Site) -> None:
    """One without `Sec-Fetch-Site` is let in by it: a stricter referrer policy would hide it."""
    with page.expect_request("**/look-up") as sent:
        looked_up(page, site)
    assert sent.value.header_value("origin") == site.asked.url


def test_with_a_keyboard_alone(browser: Browser, site: Site) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(site.asked.url)

    def tab_to(what: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate(_FOCUSED) == what:
                assert page.evaluate(_OUTLINED), what
                return
        raise AssertionError(f"no key leads to {what}")

    page.keyboard.press("Tab")
    assert page.evaluate(_FOCUSED) == "Skip to the content"
    tab_to("token")
    page.keyboard.insert_text(site.asked.token()["Authorization"].split()[1])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Look up a message")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # skip to the content
    page.keyboard.press("Tab")
    assert page.evaluate(_FOCUSED) == "message_uuid"
    page.keyboard.insert_text(site.sample.read)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Read")
    with page.expect_download() as download:
        tab_to("Download the evidence bundle")
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "evidence.zip"
    tab_to("Evidence of this record")
    page.keyboard.press("Space")
    expect(page.get_by_text("Place in the log").first).to_be_visible()
    page.goto(f"{site.asked.url}/report")
    tab_to("Overview")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    tab_to("As a table")
    page.keyboard.press("Enter")
    expect(page.get_by_role("table").first).to_be_visible()
    page.keyboard.press("Shift+Tab")
    page.goto(site.asked.url)
    tab_to("Sign out")
    page.keyboard.press("Space")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    context.close()


_FOCUSED = """() => {
    const at = document.activeElement;
    return at.name || at.innerText.trim();
}"""
_OUTLINED = """() => {
    const style = getComputedStyle(document.activeElement);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
}"""
_WIDE = """() => [...document.querySelectorAll("body *")]
    .filter(each => !each.closest(".scroll, .unseen, .skip"))
    .filter(each => each.getBoundingClientRect().right > innerWidth + 1)
    .map(each => each.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_at_320_pixels_and_for_everyone(
    browser: Browser, site: Site, scheme: Any
) -> None:
    """No page scrolls sideways, and axe-core finds nothing, contrast included."""
    context = browser.new_context(
        viewport={"width": 320, "height": 640}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    page.goto(f"{site.asked.url}/sign-in")
    judged(page, "sign-in", scheme)
    page.close()
    page = signed_in(context, site)
    for path in PATHS if scheme == "light" else PATHS[1:2]:
        page.goto(site.asked.url + path)
        for summary in page.locator("summary").all():
            summary.click()
        judged(page, path, scheme)
    looked_up(page, site)
    judged(page, "message", scheme)
    page.goto(site.asked.url)
    page.get_by_label("Customer’s id").fill(site.sample.customer)
    page.get_by_label("Tenant").fill(site.sample.tenant)
    page.get_by_role("button", name="Look up").click()
    judged(page, "customer", scheme)
    page.goto(site.asked.url)
    page.get_by_label("Message id", exact=True).fill("x" * 200)
    page.get_by_role("button", name="Look up").click()
    judged(page, "unknown", scheme)
    erasure_looked_up(page, site)
    judged(page, "look", scheme)
    file_erasure(page, f"DSR-{scheme}")
    judged(page, "request", scheme)
    declare_hold(page, site)
    judged(page, "holds", scheme)
    context.close()


def erasure_looked_up(page: Page, site: Site) -> None:
    page.goto(f"{site.asked.url}/compliance")
    page.get_by_label("Whom").select_option(label="Customer, by id")
    page.get_by_label("Id or address").fill(site.sample.customer.lower())
    page.get_by_role("button", name="Look", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("would be erased")


def file_erasure(page: Page, ref: str) -> None:
    page.get_by_role("checkbox").first.check()
    page.get_by_label("Reference").fill(ref)
    page.get_by_role("button", name="File the request").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Request {ref}")


def declare_hold(page: Page, site: Site) -> None:
    page.goto(f"{site.asked.url}/holds")
    page.get_by_label("What").select_option(label="A workflow, by id")
    page.get_by_label("Id, address or positions").fill("wf_margin_call")
    for name, value in (("Matter", "LIT-17"), ("Reason", "ORD-4"), ("Custodian", "desk"),
                        ("Approved by", "chief-1")):  # fmt: skip
        page.get_by_label(name, exact=True).fill(value)
    page.get_by_role("button", name="Declare the hold").click()
    expect(page.get_by_role("table")).to_contain_text("workflow: wf_margin_call")


def test_an_erasure_takes_two_browsers(browser: Browser, page: Page, site: Site) -> None:
    """Without script: what the form was told is what a second person approves."""
    erasure_looked_up(page, site)
    assert site.sample.customer.lower() not in page.url
    file_erasure(page, "DSR-two")
    expect(page.get_by_text("You filed it")).to_be_visible()
    assert page.get_by_role("button", name="Approve the erasure").count() == 0
    other = browser.new_context(java_script_enabled=False)
    second = signed_in(other, site)
    second.goto(f"{site.asked.url}/compliance")
    second.get_by_role("link", name="DSR-two").click()
    second.get_by_role("button", name="Approve the erasure").click()
    expect(second.get_by_text("State: approved, to be carried out.")).to_be_visible()
    other.close()
    page.reload()
    expect(page.get_by_text("State: approved, to be carried out.")).to_be_visible()


def judged(page: Page, name: str, scheme: str) -> None:
    page.wait_for_load_state()
    assert page.evaluate(_WIDE) == [], name
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, name
    found = Axe().run(page, options={"runOnly": _RULES[scheme]})
    said = [
        (each["id"], [node["html"][:120] for node in each["nodes"]])
        for each in found.response["violations"]
    ]
    assert said == [], name


def test_it_prints_without_what_only_a_screen_needs(browser: Browser, site: Site) -> None:
    context = browser.new_context()
    page = signed_in(context, site)
    looked_up(page, site)
    page.emulate_media(media="print")
    assert page.get_by_role("navigation").count() == 0
    assert page.get_by_role("button").count() == 0
    assert page.get_by_role("heading", name="Timeline").is_visible()
    assert page.get_by_text("sha256:").first.is_visible()  # details are printed open
    context.close()


def test_over_tls_the_browser_keeps_a_cookie_that_only_tls_gets(
    browser: Browser, site: Site, tmp_path: Path
) -> None:
    made = identity(tmp_path, "gateway")
    settings = site.sample.settings.model_copy(update={
        "gateway_tls_cert": made.bundle, "gateway_tls_key": made.bundle,
        "index_dir": tmp_path / "index", "journal_dir": tmp_path / "journal",
    })  # fmt: skip
    with serving(settings) as asked:
        context = browser.new_context(ignore_https_errors=True)
        page = signed_in(context, Site(asked, site.sample))
        (cookie,) = context.cookies()
        assert cookie["name"] == "__Host-audit-session"
        assert cookie["secure"]
        assert cookie["httpOnly"]
        assert (cookie["sameSite"], cookie["path"], cookie["expires"]) == ("Strict", "/", -1)
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
        assert [each["name"] for each in context.cookies()] == ["__Host-audit-visitor"]
        context.close()
