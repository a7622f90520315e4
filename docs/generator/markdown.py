"""What the pages are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a cell may hold a `|`, which would end it."""
    cells = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, row)) + " |" for row in cells) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def flat(text: str | None) -> str:
    """A text of several lines as one."""
    return " ".join((text or "").split())


def code(words: Iterable[str], without: str = "-") -> str:
    """Each word as code, after commas."""
    return ", ".join(f"`{word}`" for word in words) or without


def anchor(heading: str) -> str:
    """The fragment under which a rendered page has a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
