"""Compiled derivation against the one in Python: the same tags, the same keys, the same erased."""

from __future__ import annotations

import sys
import threading
import weakref
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_stream.privacy import primitives
from audit_stream.privacy.derivation import Derivation, PlainDerivation, Subject, TagMaker
from audit_stream.privacy.keytree import ENTRY, Cover, genesis_cover, path_of

KEY = st.binary(min_size=32, max_size=32)
TAG = st.binary(min_size=16, max_size=16)
STREAM = bytes(range(16))
YEAR = b"y" * 32
WORD = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SUBJECTS = st.tuples(WORD, WORD, WORD) | st.tuples(WORD, WORD, WORD, st.integers(0, 2**53 - 1))
WHOLE = genesis_cover(b"r" * 32)


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    if not primitives.COMPILED:
        pytest.skip("not built: no C compiler, or no OpenSSL headers, when this was installed")
    assert Derivation is not PlainDerivation


def both(cover: bytes, pepper: bytes = YEAR) -> tuple[Derivation, PlainDerivation]:
    return Derivation(pepper, cover, STREAM), PlainDerivation(pepper, cover, STREAM)


@given(KEY, SUBJECTS)
def test_tags(pepper: bytes, subject: Subject) -> None:
    ours, plain = both(WHOLE, pepper)
    assert ours.tag(subject) == plain.tag(subject) == TagMaker(pepper).tag(subject)


@given(KEY, st.lists(TAG, min_size=1, max_size=30), KEY)
def test_keys_of_a_whole_tree(root: bytes, tags: list[bytes], year: bytes) -> None:
    ours, plain = both(genesis_cover(root))
    for tag in tags * 2:  # the second time from nodes that are kept
        keys = ours.keys(tag, year)
        assert keys is not None
        assert keys == plain.keys(tag, year)


@settings(max_examples=60)
@given(
    st.lists(TAG, min_size=1, max_size=12), st.lists(TAG, max_size=12), st.integers(0, 6),
    st.integers(0, 255),
)  # fmt: skip
def test_keys_of_a_punctured_tree(
    erased: list[bytes], others: list[bytes], near: int, by: int
) -> None:
    """Neighbours of the erased, too: of the same place among the nodes that are kept."""
    cover = Cover(WHOLE).puncture(map(path_of, erased))
    beside = [each[:near] + bytes([each[near] ^ by]) + each[near + 1 :] for each in erased]
    ours, plain = both(cover)
    gone = {path_of(tag) for tag in erased}
    for tag in [*beside, *others, *erased, *beside]:
        keys = ours.keys(tag, YEAR)
        assert keys == plain.keys(tag, YEAR)
        assert (keys is None) == (path_of(tag) in gone)


@given(st.binary(min_size=ENTRY, max_size=5 * ENTRY), st.lists(TAG, max_size=20))
def test_a_cover_of_junk_is_read_within_its_bounds(junk: bytes, tags: list[bytes]) -> None:
    """Its hash was checked before; depths of more than 28 cover nobody."""
    for tag in tags:  # afresh: entries that overlap, as no cover's do, may disagree
        ours, plain = both(junk[: len(junk) // ENTRY * ENTRY])
        assert ours.keys(tag, YEAR) == plain.keys(tag, YEAR)


def test_no_year_key_makes_other_keys() -> None:
    ours, plain = both(WHOLE)
    assert ours.keys(bytes(16), b"") == plain.keys(bytes(16), b"") != ours.keys(bytes(16), YEAR)


def test_what_does_not_fit_is_refused() -> None:
    for arguments in (
        (b"short", WHOLE, STREAM), (YEAR, b"", STREAM), (YEAR, WHOLE + b"x", STREAM),
        (YEAR, WHOLE, b"short"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"must have|multiple"):
            Derivation(*arguments)
    with pytest.raises(TypeError):
        Derivation(YEAR, 7, STREAM)  # type: ignore[arg-type]
    ours, _ = both(WHOLE)
    with pytest.raises(TypeError, match="made already"):
        ours.__init__(YEAR, WHOLE, STREAM)  # type: ignore[misc]
    for tag, year in (
        (b"", YEAR),
        (bytes(15), YEAR),
        (bytes(16), b"short"),
        (bytes(16), bytes(64)),
    ):
        with pytest.raises(ValueError, match="must have"):
            ours.keys(tag, year)
    for subject, error in (
        (["t", "k", "i"], TypeError), (("t", None), TypeError), (("t", "\ud800"), UnicodeError),
        (("t", -1), OverflowError), (("t", 2**64), OverflowError),
        (("t", "a" * (2**20 + 1)), ValueError),
    ):  # fmt: skip
        with pytest.raises(error):
            ours.tag(subject)  # type: ignore[arg-type]
    assert ours.tag(("t", "external", "i"))  # none of it has done any harm


@pytest.mark.parametrize("text", ["", "a" * 2**20, "\x00" * 2**16, '"\\' * 5000, "ü\u2028😀"])
def test_texts_at_their_limits(text: str) -> None:
    ours, plain = both(WHOLE)
    subject = (text, "external", text)
    assert ours.tag(subject) == plain.tag(subject)


@pytest.mark.parametrize("made", [Derivation, PlainDerivation])
def test_who_is_wiped_lets_go_of_the_cover_and_derives_nothing(
    made: type[Derivation] | type[PlainDerivation],
) -> None:
    cover = memoryview(bytearray(WHOLE))
    ours, there = made(YEAR, cover, STREAM), weakref.ref(cover)
    del cover
    assert ours.keys(bytes(16), YEAR) is not None
    assert there() is not None
    ours.wipe()
    assert there() is None
    with pytest.raises((ValueError, AttributeError)):
        ours.keys(bytes(16), YEAR)


def test_one_that_is_let_go_of_lets_go_of_the_cover_and_its_memory() -> None:
    cover = memoryview(bytearray(WHOLE))
    there, before = weakref.ref(cover), sys.getrefcount(Derivation)
    made = [Derivation(YEAR, cover, STREAM) for _ in range(20)]
    del cover
    assert there() is not None
    made.clear()
    assert there() is None
    assert sys.getrefcount(Derivation) == before


def test_threads_share_one() -> None:
    ours, plain = both(WHOLE)
    tags = [sha256(bytes([one, two])).digest()[:16] for one in range(40) for two in range(40)]
    wanted = [plain.keys(tag, YEAR) for tag in tags]
    wrong: list[int] = []

    def ask() -> None:
        wrong.extend(n for n, tag in enumerate(tags) if ours.keys(tag, YEAR) != wanted[n])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
