"""The guide to another store shows the contract suite's target as it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from audit_stream import ports
from audit_stream.stores import names
from tests.contract.worm_store_contract import Target

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-store.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def _shown() -> str:
    [block] = re.findall(r"^ *```python\n(.*?)^ *```$", TEXT, re.MULTILINE | re.DOTALL)
    return re.sub(r"^ {3}", "", block, flags=re.MULTILINE)


def test_the_target_shown_has_the_methods_of_the_suites() -> None:
    [target, suite] = ast.parse(_shown()).body
    assert isinstance(target, ast.ClassDef)
    assert isinstance(suite, ast.ClassDef)
    shown = {
        node.name
        for node in target.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert shown == set(Target.__abstractmethods__)


def test_what_it_names_exists() -> None:
    for name in ("WormStore", "SubjectStore", "Disposer", "HoldLevel"):
        assert f"`{name}" in TEXT
        assert hasattr(ports, name)
    for name in re.findall(r"`(check_\w+)`", TEXT):
        assert hasattr(names, name)
