"""The page of promises names tests that exist, for each of the eight."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "promises.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/.]+\.py)(?:::(test_\w+))?`", PAGE)


def functions(path: Path) -> set[str]:
    """Names of the test functions of a file, those in classes too."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in tree if isinstance(node, kinds)}


def test_each_promise_says_how_it_is_kept_seen_and_tried() -> None:
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    assert [section.split()[0] for section in sections] == [f"P{n}" for n in range(1, 9)]
    for section in sections:
        said = re.findall(r"^\*\*([^*]+)\*\*", section, re.MULTILINE)
        assert said == ["Kept by", "Seen from outside", "Tried by", "Not in it"], section[:20]
        seen = section.partition("**Seen from outside**")[2].partition("**Tried by**")[0]
        assert "`audit-stream " in seen, section[:20]
        assert "`tests/" in section.partition("**Tried by**")[2], section[:20]


def test_the_tests_it_names_exist() -> None:
    assert len(NAMED) > 20
    for file, function in NAMED:
        assert (ROOT / file).is_file(), file
        if function:
            assert function in functions(ROOT / file), f"{file}::{function}"


def test_tests_that_bear_a_promises_name_are_of_one_there_is() -> None:
    bearing = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in functions(path)
        if re.match(r"test_p\d", name)
    }
    assert bearing
    assert {p for name in bearing for p in re.findall(r"_p(\d+)(?=_)", name)} <= set("12345678")
