"""Every link within this repository leads somewhere, and every page can be found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from docs.generator.markdown import anchor

ROOT = Path(__file__).parents[2]
FOLDERS = ("audit_stream", "bench", "deploy", "docs", "tests", "topics")
PAGES = sorted([
    *ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md")),
])  # fmt: skip
MODULES = [
    f"/{path.relative_to(ROOT)}" for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
]
INDEX = ROOT / "docs" / "README.md"
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+?) *$", re.MULTILINE)
_ELSEWHERE = ("https://", "http://", "mailto:")


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def links(text: str) -> list[str]:
    """Targets of a page's links within the repository, but for those in code."""
    return [
        found for found in _LINK.findall(_CODE.sub("", text)) if not found.startswith(_ELSEWHERE)
    ]


def anchors(text: str) -> set[str]:
    """The names that GitHub gives a page's headings."""
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for heading in _HEADING.findall(_FENCED.sub("", text)):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = anchor(shown)
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def broken(page: Path) -> Iterator[str]:
    """The links of a page that lead nowhere."""
    for link in links(_read(page)):
        path, _, fragment = link.partition("#")
        target = page.parent / unquote(path) if path else page
        if not target.exists() or (
            fragment and (target.suffix != ".md" or fragment not in anchors(_read(target)))
        ):
            yield link


def reached(start: Path) -> set[Path]:
    """The pages one comes to from `start`; a link to a folder leads to every page in it."""
    found, ahead = {start}, [start]
    while ahead:
        page = ahead.pop()
        for link in links(_read(page)):
            target = (page.parent / link.partition("#")[0]).resolve()
            pages = sorted(target.glob("*.md")) if target.is_dir() else [target]
            new = [each for each in pages if each.suffix == ".md" and each not in found]
            found.update(new)
            ahead += new
    return found


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_files_of_the_code_that_a_page_names_exist(page: Path) -> None:
    for name in re.findall(r"`([\w-]+(?:/[\w-]+)+\.py)`", _read(page)):
        assert any(module.endswith(f"/{name}") for module in MODULES), name


def test_every_page_is_found_from_the_index() -> None:
    assert {_name(page) for page in PAGES if page.is_relative_to(ROOT / "docs")} <= {
        _name(page) for page in reached(INDEX)
    }


def test_the_readme_leads_to_the_index() -> None:
    assert "docs/README.md" in links(_read(ROOT / "README.md"))


def test_a_fragment_is_spelled_as_pages_are_rendered() -> None:
    assert anchors("# Key line, `audit-key/1`\n```\n# no\n```\n") == {"key-line-audit-key1"}


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    other.write_text("# Its title, said\n\n```sh\n# no heading\n```\n\n## Twice\n\n## Twice\n")
    page.write_text(
        "# Here\n[a](other.md) [b](other.md#its-title-said) [c](#here) [d](other.md#twice-1)\n"
        "[e](gone.md) [f](other.md#no-heading) [g](#there) `[h](in-code.md)` [i](https://x.y/z)\n"
        "\n    indented = code\n\n[`j`](gone-too.md)\n"
    )
    assert list(broken(page)) == ["gone.md", "other.md#no-heading", "#there", "gone-too.md"]
