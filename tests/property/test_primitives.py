"""The compiled primitives of sealing against those in Python: same bytes, same refusals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.evidence.canonical import parse_line
from audit_stream.privacy import plain, primitives
from audit_stream.privacy.plain import Rise

KEY = st.binary(min_size=32, max_size=32)


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    if not primitives.COMPILED:
        pytest.skip("not built: no C compiler, or no OpenSSL headers, when this was installed")


@given(KEY, st.integers(0, 2**56 - 1), st.integers(0, 28), st.integers(0, 28))
def test_walk(node: bytes, path: int, one: int, two: int) -> None:
    depth, bottom = sorted((one, two))
    assert primitives.walk(node, path, depth, bottom) == plain.walk(node, path, depth, bottom)


#: What flattening lets through, and control characters, which it does not.
WORD = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
MAYBE = st.none() | WORD
OFFSET = st.integers(0, 2**63 - 1)
RISES = st.tuples(
    WORD, MAYBE, MAYBE, WORD, WORD, WORD, WORD, WORD, WORD, MAYBE, MAYBE, WORD, WORD, MAYBE, MAYBE,
    OFFSET, st.integers(1, 2**32), st.none() | OFFSET, KEY, KEY,
)  # fmt: skip


def sealed(rises: list[Rise], partition: int = 0, source: str = "t/1/0/", tag: str = "TAG") -> Any:
    """As both seal them, which must be the same."""
    ours = primitives.seal(rises, partition, source, tag)
    assert ours == plain.seal(rises, partition, source, tag)
    return ours


def rise(*, address: str | None = None, **keys: bytes | None) -> Rise:
    enc, mac = keys.get("enc", bytes(32)), keys.get("mac", bytes(32))
    return (
        "id", None, None, "when", "status", "type", "READ", "now", "uuid", None, None, "flow",
        "tenant", None, address, 7, 1, None, enc, mac,
    )  # fmt: skip


@given(st.lists(RISES, max_size=4), st.integers(0, 2**31 - 1), WORD, WORD, st.data())
def test_seal(
    rises: list[Rise], partition: int, source: str, tag: str, data: st.DataObject
) -> None:
    erased = [data.draw(st.booleans()) for _ in rises]
    given_ = [
        (*each[:18], None, None) if gone else each
        for each, gone in zip(rises, erased, strict=True)
    ]  # fmt: skip
    lines, hashes = sealed(given_, partition, source, tag)
    for line, hashed, gone in zip(lines, hashes, erased, strict=True):
        record = parse_line(line[:-1], "line")  # canonical
        assert record["integrity_hash"] == f"sha256:{hashed.hex()}"
        assert (record["pii"] is None) == gone


@pytest.mark.parametrize("size", [0, 45, 46, 47, 48, 49, 50, 51, 109, 110, 111, 112, 300_000])
@pytest.mark.parametrize("letter", ["a", "\x01", "ü", '"'])
def test_seal_at_the_edges_of_a_block_and_of_a_buffer(size: int, letter: str) -> None:
    small = rise(address="b")
    sealed([small, rise(address=letter * size), small])


def test_a_batch_of_thousands_is_sealed_as_one_by_one() -> None:
    rises = [rise(address=f"+1555{n:07d}") for n in range(3000)]
    lines, _ = primitives.seal(rises, 0, "t/1/0/", "TAG")
    assert lines == [primitives.seal([each], 0, "t/1/0/", "TAG")[0][0] for each in rises]
    assert lines == plain.seal(rises, 0, "t/1/0/", "TAG")[0]


def test_several_threads_seal_at_once() -> None:
    batches = [[rise(address=f"{thread}-{n}") for n in range(2000)] for thread in range(4)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda rises: primitives.seal(rises, 0, "t/1/0/", "TAG"), batches))
    assert done == [plain.seal(rises, 0, "t/1/0/", "TAG") for rises in batches]


def test_a_rise_of_another_form_is_refused() -> None:
    for wrong, error in (
        ([], TypeError), (rise()[:-1], TypeError), ((1, *rise()[1:]), TypeError),
        ((*rise()[:15], -1, *rise()[16:]), OverflowError), (("\ud800", *rise()[1:]), UnicodeError),
        ((*rise()[:15], "7", *rise()[16:]), TypeError),
        (("a" * (2**20 + 1), *rise()[1:]), ValueError),
    ):  # fmt: skip
        with pytest.raises(error):
            primitives.seal([rise(), wrong], 0, "t/1/0/", "TAG")  # type: ignore[list-item]


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(33)])
def test_a_key_of_another_size_is_refused(wrong: bytes) -> None:
    for call in (
        lambda: primitives.walk(wrong, 0, 0, 28),
        lambda: primitives.seal([rise(enc=wrong)], 0, "t/1/0/", "TAG"),
        lambda: primitives.seal([rise(mac=wrong)], 0, "t/1/0/", "TAG"),
    ):
        with pytest.raises(ValueError, match="must have 32 bytes"):
            call()


@pytest.mark.parametrize(("depth", "bottom"), [(-1, 28), (0, 29), (5, 4)])
def test_depths_outside_the_tree_are_refused(depth: int, bottom: int) -> None:
    with pytest.raises(ValueError, match="depth"):
        primitives.walk(bytes(32), 0, depth, bottom)
