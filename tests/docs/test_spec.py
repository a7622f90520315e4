"""The specification: its known answers are the code's, and a test shows each requirement."""

from __future__ import annotations

import ast
import gzip
import re
from functools import cache
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit_stream.evidence.encoding import b64u_decode
from tests.docs.known_answers import GOLDEN, PAGES, log, segment, stream
from tests.unit import test_known_answers as record

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "docs" / "spec"
FAMILIES = {
    "formats": "FMT", "record": "REC", "segment": "SEG", "stream": "STR", "subject": "SUB",
    "registers": "REG", "log": "LOG", "key-line": "KEY", "access": "ACC", "keyring": "KR",
    "delivery": "DEL", "bundle": "BUN",
}  # fmt: skip
#: Of a gateway's index, a worker's table, an import cut off: made anew where they are lost.
CACHES = {"audit-index/3", "audit-state/1", "audit-import/2"}
_ROW = re.compile(r"^\| ([A-Z]+)-([0-9]+) \| (.+) \| ([^|]+) \|$", re.M)
_WORD = re.compile(r"\b(MUST(?: NOT)?|SHOULD(?: NOT)?|MAY)\b")


class Requirement(NamedTuple):
    family: str
    number: int
    text: str
    tests: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"{self.family}-{self.number}"


def read(page: str) -> str:
    return (SPEC / f"{page}.md").read_text(encoding="utf-8")


def requirements(text: str) -> list[Requirement]:
    return [
        Requirement(family, int(number), said, tuple(re.findall(r"`([^`]+)`", tests)))
        for family, number, said, tests in _ROW.findall(text)
    ]


@cache
def named_in(path: str) -> set[str]:
    """The test functions of a file below tests/, those of its classes too."""
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


ALL = [one for page in FAMILIES for one in requirements(read(page))]
every_page = pytest.mark.parametrize("page", FAMILIES)


@every_page
def test_requirements_are_numbered_through_and_of_the_pages_family(page: str) -> None:
    found = requirements(read(page))
    assert [one.id for one in found] == [
        f"{FAMILIES[page]}-{number}" for number in range(1, len(found) + 1)
    ]
    assert len(found) >= 7


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.id)
def test_a_requirement_is_one_and_some_test_shows_it(one: Requirement) -> None:
    assert _WORD.search(one.text), "no MUST, SHOULD or MAY"
    assert one.tests, "no test"
    for test in one.tests:
        path, _, name = test.partition("::")
        assert name in named_in(path), test


def test_a_test_that_is_not_there_would_be_missed() -> None:
    (made_up,) = requirements("| REC-1 | A line MUST. | `docs/test_spec.py::test_nothing` |\n")
    path, _, name = made_up.tests[0].partition("::")
    assert made_up.id == "REC-1"
    assert name not in named_in(path)
    assert test_a_test_that_is_not_there_would_be_missed.__name__ in named_in(path)


def test_the_index_has_every_page_and_version_once() -> None:
    index = read("formats")
    pages = {path.stem for path in SPEC.glob("*.md")} - {"threat-model"}
    assert pages == set(FAMILIES)
    for page, family in FAMILIES.items():
        assert family in index
        assert page == "formats" or f"({page}.md" in index
    sections = [row.split("|")[1].strip() for row in re.findall(r"^\|.+\|$", index, re.M)]
    assert [name for name in sections if name.isdigit()] == list("1234567")


def test_every_version_that_the_code_writes_is_specified() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "audit_stream").rglob("*.py")
    )
    written = set(re.findall(r'"(audit-[a-z-]+/[0-9]+)"', sources))
    specified = "".join(map(read, FAMILIES)) + "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "topics" / "schemas").glob("*.json")
    )
    assert {one for one in written if one not in specified} <= CACHES
    assert len(written) > 40


def known(page: str) -> str:
    return re.split(r"^## ", read(page), flags=re.M)[-2]


@pytest.mark.parametrize("page", PAGES)
def test_a_pages_known_answers_are_the_codes(page: str) -> None:
    shown = known(page)
    assert shown.startswith("Known answer\n")
    answers = {line for answer in PAGES[page]() for line in answer.splitlines() if line}
    blocks = re.findall(r"^```\n(.*?)^```$", shown, re.M | re.S)
    assert {line for block in blocks for line in block.splitlines() if line} <= answers
    assert {answer for answer in answers if answer not in shown} == set()


def test_the_records_intermediate_values_are_the_known_ones() -> None:
    shown = known("record")
    source = Path(record.__file__).read_text(encoding="utf-8")
    values = re.findall(r"^    [a-zA-Z_ ]+?  +([0-9a-f]{32,64})", shown, re.M)
    assert len(values) == 7
    assert {value for value in values if value not in source.replace('"\n        "', "")} == set()


def _signed(line: str, signature: str, public: bytes) -> None:
    sig = b64u_decode(signature.split('"')[3], "it", 64)
    Ed25519PublicKey.from_public_bytes(public).verify(sig, line.encode())


def test_the_golden_lines_shown_are_signed_by_the_golden_key() -> None:
    """By the plain means that an auditor has."""
    public = bytes.fromhex((GOLDEN.parent / "segment_key.pub.hex").read_text("ascii").strip())
    _, header, signature, leaf = segment()
    _signed(header, signature, public)
    _signed(*stream(), public)
    assert sha256(b"\0" + header.encode()).hexdigest() == leaf
    name = "outbound_message_status_update/00001/00000/00000000000000000000.ndjson.gz"
    assert gzip.decompress((GOLDEN / "segments" / name).read_bytes()).startswith(header.encode())


def test_the_logs_root_is_that_of_its_two_leaves() -> None:
    digest, first, second, root, *_ = log()
    assert sha256(b"\0" + stream()[0].encode()).hexdigest() == first
    assert sha256(b"\0" + digest.encode()).hexdigest() == second
    both = bytes.fromhex(first) + bytes.fromhex(second)
    assert sha256(b"\1" + both).hexdigest() == root


def test_families_do_not_share_a_name() -> None:
    names = sorted(FAMILIES.values())
    assert [len(list(same)) for _, same in groupby(names)] == [1] * len(names)


def _threats() -> list[tuple[str, str]]:
    """Id and test cell of each threat."""
    rows = re.findall(r"^\| (B[0-9]+\.[0-9]+) \|(.+)\|$", read("threat-model"), re.M)
    return [(number, cells.split(" | ")[2]) for number, cells in rows]


@pytest.mark.parametrize(("number", "cell"), _threats())
def test_each_threats_control_is_shown_by_a_test_that_there_is(number: str, cell: str) -> None:
    named = re.findall(r"`([^`]+)`", cell)
    assert named, number
    for test in named:
        path, _, name = test.partition("::")
        assert name in named_in(path) or (not name and named_in(path)), test


def test_every_boundary_has_its_threats() -> None:
    text = read("threat-model")
    boundaries = re.findall(r"^### B([0-9]+) ", text, re.M)
    assert boundaries == [str(number) for number in range(1, 12)]
    assert {number.partition(".")[0] for number, _ in _threats()} == {f"B{n}" for n in boundaries}
    assert len(_threats()) > 60
