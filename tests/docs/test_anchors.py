"""Links into a page lead to a heading of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generator.markdown import anchor

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "topics").glob("*.md")]
)


def headings(text: str) -> set[str]:
    """The fragments of a page; a line of a code block is no heading."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", plain, re.M)}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The page and the fragment of each link into one of ours."""
    for target, fragment in re.findall(r"\]\(([^)#:\s]*)#([^)\s]+)\)", page.read_text("utf-8")):
        yield (page.parent / target if target else page), fragment


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_with_a_fragment_leads_to_a_heading(page: Path) -> None:
    lost = [f"{to.name}#{fragment}" for to, fragment in links(page)
            if fragment not in headings(to.read_text("utf-8"))]  # fmt: skip
    assert lost == []


def test_a_fragment_is_spelled_as_pages_are_rendered() -> None:
    assert headings("# Key line, `audit-key/1`\n```\n# no\n```\n") == {"key-line-audit-key1"}


def test_some_links_have_a_fragment() -> None:
    assert sum(len(list(links(page))) for page in PAGES) > 20
