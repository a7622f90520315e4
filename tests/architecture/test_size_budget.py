"""The size budget: small files, small functions. Limits are hard, targets may be missed by few."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("audit_stream", "bench", "deploy", "docs", "tests", "topics")
FILE_LIMIT, FILE_TARGET = 500, 300
#: One file is its point: an expert witness reads it from top to end, and carries nothing else.
ONE_FILE = {Path("audit_stream/bundle/shipped/verify.py"): 890}
FUNCTION_LIMIT, FUNCTION_TARGET = 60, 25
MISSES = 0.1  # so large a share may be above its target
MEDIAN = 10  # lines of a function


class Function(NamedTuple):
    name: str
    lines: int


def functions(source: str) -> Iterator[Function]:
    """Every function with its lines from `def` to the end, without the docstring."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False) or ""
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1 - len(docstring.splitlines())
            yield Function(node.name, lines)


def sources(folder: str) -> dict[Path, str]:
    found = {path: path.read_text("utf-8") for path in sorted((ROOT / folder).rglob("*.py"))}
    assert found, f"no source under {folder}"
    return found


def share(sizes: list[int], target: int) -> float:
    return sum(size > target for size in sizes) / len(sizes)


every_folder = pytest.mark.parametrize("folder", FOLDERS)


def test_functions_are_measured_without_their_docstring() -> None:
    source = '''
class A:
    async def f(self):
        """One.

        Three.
        """
        def g():
            pass
        return g
'''
    assert set(functions(source)) == {Function("f", 4), Function("g", 2)}


@every_folder
def test_no_file_is_above_the_limit(folder: str) -> None:
    sizes = {path: len(text.splitlines()) for path, text in sources(folder).items()}
    limits = {ROOT / path: limit for path, limit in ONE_FILE.items()}
    assert {
        str(path): size for path, size in sizes.items() if size > limits.get(path, FILE_LIMIT)
    } == {}


@every_folder
def test_no_function_is_above_the_limit(folder: str) -> None:
    long = [
        f"{path}: {function.name}, {function.lines} lines"
        for path, text in sources(folder).items()
        for function in functions(text)
        if function.lines > FUNCTION_LIMIT
    ]
    assert long == []


def test_most_of_the_package_keeps_to_the_targets() -> None:
    texts = sources("audit_stream").values()
    files = [len(text.splitlines()) for text in texts]
    bodies = [function.lines for text in texts for function in functions(text)]
    assert share(files, FILE_TARGET) <= MISSES
    assert share(bodies, FUNCTION_TARGET) <= MISSES
    assert statistics.median(bodies) <= MEDIAN
