"""What the two verifiers of bundles say: `verify.py`, and `verify.html` in a real browser."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Page

from audit_stream.bundle.shipped import verify
from tests.support.browser import chromium_beside
from tests.support.tampering import judged

_PAGE = Path(verify.__file__).with_name("verify.html")
_JUDGE = """async ([text, policy, files]) => {
    const bytes = each => Uint8Array.from(atob(each), letter => letter.charCodeAt(0));
    const brought = Object.entries(files).map(([name, each]) => [name, bytes(each)]);
    const verifier = await judge(bytes(text), {policy, ...Object.fromEntries(brought)});
    return verifier.verdict;
}"""


@dataclass(frozen=True)
class Brought:
    """What an auditor brings to a bundle."""

    policy: str
    kept: bytes  # a checkpoint
    answers: bytes  # JWKS


@dataclass(frozen=True)
class Judged:
    """Both verdicts on one bundle, and its records' fields as the program read them, by source."""

    program: str
    page: str
    records: dict[str, Any]


class Verifiers:
    """Both of them; the browser's page is opened once."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def judge(self, bundle: bytes, brought: Brought) -> Judged:
        """Both verdicts."""
        files = {"kept": brought.kept, "answers": brought.answers}
        found = judged(bundle, brought.policy, **files)
        records = {pub["source"]: pub for pub in found.records.values()}
        given = {name: b64encode(each).decode() for name, each in files.items()}
        page = await self._page.evaluate(
            _JUDGE, [b64encode(bundle).decode(), brought.policy, given]
        )
        return Judged(found.verdict, page, records)


@asynccontextmanager
async def verifiers() -> AsyncIterator[Verifiers]:
    """While the browser runs; the page must not fail outside its verdicts."""
    async with chromium_beside() as browser:
        page = await browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        await page.goto(_PAGE.as_uri())
        yield Verifiers(page)
        assert wrong == []


def jwks(key_set: dict[str, Any]) -> bytes:
    """The file an auditor was given with the gateway's keys."""
    return json.dumps(key_set).encode()
