"""Every error code: what it means, whose fault it is, where it is raised, what to do."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from audit_stream import errors
from audit_stream.cli.main import exit_code
from audit_stream.errors import AuditError, Fault
from docs.generator.markdown import anchor, code, flat, table

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "audit_stream"
_RUNBOOK = ROOT / "docs" / "runbooks" / "errors.md"
_HEAD = """# Errors

Every error has a stable code, which a command prints and a worker logs. *Exit* is what a command
ends with; a worker at work with 70, and with 71 when it was fenced or superseded ([exit
codes](cli.md)). *Raised in* names parts of `audit_stream`. What to do stands in the
[runbook](../runbooks/errors.md), under the code; *more* are runbooks that it leads to.

"""
_WHO = {
    Fault.INPUT: "who asked",
    Fault.PEER: "what we depend on",
    Fault.OPERATOR: "the operator",
    Fault.BUG: "us: report it",
}


def page() -> str:
    """A row for each code, in their order."""
    heads = headings()
    rows = [
        [f"[{error.code}](../runbooks/errors.md#{anchor(heads[error.code])})",
         f"`{error.__name__}`", flat(error.__doc__), _WHO[error.fault], str(exit_code(error)),
         code(raised().get(error.__name__, ())), ", ".join(_more(error.code)) or "-"]
        for error in sorted(family(), key=lambda error: error.code)
    ]  # fmt: skip
    return _HEAD + table(
        ["code", "class", "meaning", "who acts", "exit", "raised in", "more"], rows
    )


def family(root: type[AuditError] = AuditError) -> Iterator[type[AuditError]]:
    """The root of the family and all that errors.py derives from it."""
    if root.__module__ == errors.__name__:
        yield root
    for child in root.__subclasses__():
        yield from family(child)


def headings() -> dict[str, str]:
    """Code to heading, of the runbook."""
    return {heading[:7]: heading for heading, _ in _sections()}


def _sections() -> list[tuple[str, str]]:
    text = _RUNBOOK.read_text(encoding="utf-8")
    return re.findall(r"^## (AS-[0-9]{4} .+)\n((?:(?!## ).*\n)*)", text, re.M)


def _more(error_code: str) -> list[str]:
    """Links to the pages that the code's entry leads to, as seen from docs/reference."""
    text = next(text for heading, text in _sections() if heading.startswith(error_code))
    links = re.findall(r"\]\(((?:\.\./[a-z-]+/)?([a-z-]+)\.md)", text)
    return [
        f"[{name}]({target if target.startswith('..') else f'../runbooks/{target}'})"
        for target, name in dict.fromkeys(links)
    ]


@cache
def raised() -> dict[str, list[str]]:
    """Name of an error to the parts of the package in which one is made."""
    names = {error.__name__ for error in family()}
    found = defaultdict(set)
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in _made(path.read_text(encoding="utf-8")) & names:
            found[name].add(path.relative_to(PACKAGE).parts[0].removesuffix(".py"))
    return {name: sorted(places) for name, places in found.items()}


def _made(source: str) -> set[str]:
    """The names that are called, or raised as they are."""
    nodes = list(ast.walk(ast.parse(source)))
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    thrown = [node.exc for node in nodes if isinstance(node, ast.Raise)]
    return {name.id for name in (*called, *thrown) if isinstance(name, ast.Name)}
