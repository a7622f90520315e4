"""Properties of the pure core, over generated inputs."""

from __future__ import annotations

from collections import Counter
from itertools import permutations, product

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_stream.errors import FormatError
from audit_stream.evidence import ledger
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.encoding import b64u, b64u_decode, hex_decode
from audit_stream.evidence.record import parse_record
from audit_stream.evidence.tree import (
    EMPTY_ROOT,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
)
from audit_stream.flatten.event import Event
from audit_stream.precedence.matrix import (
    MATRIX,
    RANK,
    STATUSES,
    State,
    join,
    pack_state,
    unpack_state,
)
from audit_stream.privacy.keytree import Cover, genesis_cover, path_of
from audit_stream.privacy.plain import pad, unpad
from audit_stream.privacy.sealer import RecordSealer, open_personal
from audit_stream.privacy.subjects import KeyDeriver, choose_subject
from tests.support import golden

TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40
)  # what an event's field may hold
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abc_XYZ0", min_size=1, max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)
TAGS = st.binary(min_size=16, max_size=16)


# -- precedence


def test_the_matrix_is_the_join() -> None:
    for held, came in product((None, *STATUSES), STATUSES):
        rises = join(held, came) != held
        equal = held == came
        assert MATRIX[held, came] == ("a" if rises else "d" if equal else "r")


def test_the_join_is_a_semilattice() -> None:
    for a, b in product(STATUSES, repeat=2):
        assert join(a, a) == a
        assert join(a, b) == join(b, a)
    for a, b, c in product(STATUSES, repeat=3):
        assert join(join(a, b), c) == join(a, join(b, c))


def test_any_order_of_arrival_ends_in_the_same_state() -> None:
    for order in permutations(STATUSES):
        held = None
        for came in order:
            held = join(held, came)
        assert held == "EXPIRED"


@given(st.builds(State, st.integers(1, 4), st.integers(1, 2**32 - 1), st.integers(0, 2**63),
                 st.integers(0, 2**63)))  # fmt: skip
def test_a_state_is_packed_without_loss(state: State) -> None:
    assert unpack_state(pack_state(state)) == state


# -- canonical form and encodings


@given(JSON)
def test_canonical_is_rfc_8785(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@given(st.binary(max_size=100))
def test_base64url_has_one_spelling(data: bytes) -> None:
    text = b64u(data)
    assert b64u_decode(text, "x") == data
    for bad in (text + "=", text + "A", f" {text}", text.replace("A", "+")):
        if bad != text:
            with pytest.raises(FormatError):
                assert b64u_decode(bad, "x", len(data)) != data


@pytest.mark.parametrize("bad", ["", "A" * 64, "0" * 63, "0" * 65, None, 0, "g" * 64])
def test_hexadecimal_is_strict(bad: object) -> None:
    with pytest.raises(FormatError):
        hex_decode(bad, "x")


# -- ledger


@given(st.text("aidrqxl", min_size=1, max_size=200))
def test_a_ledger_round_trips(letters: str) -> None:
    coded = ledger.encode(ledger.runs_of(letters))
    runs = ledger.decode(coded, len(letters))
    assert "".join(letter * count for count, letter in runs) == letters
    assert ledger.totals(coded, len(letters)) == {x: letters.count(x) for x in ledger.MEANING}
    assert list(ledger.archived_offsets(runs, 5)) == [
        5 + n for n, letter in enumerate(letters) if letter == "a"
    ]


LETTERS = st.text("aidrqxl", max_size=50)


@given(st.lists(LETTERS, max_size=8), st.integers(0, 400), st.integers(0, 400))
def test_runs_say_what_letters_do(pieces: list[str], start: int, stop: int) -> None:
    writer, letters = ledger.Writer(), "".join(pieces)
    for piece in pieces:
        writer.add(ledger.runs_of(piece))
    runs = ledger.runs_of(letters)
    assert writer.coded == ledger.encode(runs)
    assert ledger.part(runs, start, stop) == ledger.runs_of(letters[start:stop])
    assert ledger.letter_counts(runs) == Counter(letters)


@given(st.data(), LETTERS)
def test_two_ledgers_in_step(data: st.DataObject, one: str) -> None:
    other = data.draw(st.text("aidrqxl", min_size=len(one), max_size=len(one)))
    pieces = ledger.in_step(ledger.runs_of(one), ledger.runs_of(other))
    pairs = [pair for count, *pair in pieces for _ in range(count)]
    assert pairs == [[a, b] for a, b in zip(one, other, strict=True)]


@pytest.mark.parametrize(
    ("coded", "span"),
    [("", 1), ("1a", 1), ("0a", 0), ("02a", 2), ("aa", 2), ("2a", 1), ("2a", 3), ("c", 1),
     ("k", 1), ("2", 2), ("a2", 3), ("a ", 1), ("-2a", 2), ("٣a", 3), ("2a3a", 5),
     ("9" * 30 + "a", 5), (None, 1), (["a"], 1)],
)  # fmt: skip
def test_other_ledgers_are_refused(coded: object, span: int) -> None:
    for read in (ledger.decode, ledger.totals):
        with pytest.raises(FormatError):
            read(coded, span)


# -- tree: RFC 9162's own recursive definition is the oracle


def recursive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(recursive_root(leaves[:k]), recursive_root(leaves[k:]))


LEAVES = [leaf_hash(bytes([n])) for n in range(70)]


@pytest.mark.parametrize("size", range(34))
def test_roots_and_inclusion_of_every_small_tree(size: int) -> None:
    leaves = LEAVES[:size]
    root = root_hash(leaves)
    assert root == recursive_root(leaves)
    for index in range(size):
        path = inclusion_path(leaves, index)
        assert verify_inclusion(leaves[index], index, size, path, root)
        assert not verify_inclusion(leaves[index], index, size, [*path, root], root)
        assert not verify_inclusion(LEAVES[40], index, size, path, root)
        assert not verify_inclusion(leaves[index], size, size, path, root)
        assert not verify_inclusion(leaves[index], -1, size, path, root)
        assert not verify_inclusion(leaves[index], index, 0, path, root)
        if path:
            assert not verify_inclusion(leaves[index], index, size, path[:-1], root)
            assert not verify_inclusion(leaves[index], index, size, path[1:], root)
            assert not verify_inclusion(leaves[index], index ^ 1, size, path, root)
            broken = [bytes([path[0][0] ^ 1]) + path[0][1:], *path[1:]]
            assert not verify_inclusion(leaves[index], index, size, broken, root)
            assert not verify_inclusion(leaves[index], index, size, [path[0][:-1], *path[1:]], root)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 13, 16, 33])
def test_consistency_of_every_prefix(size: int) -> None:
    new = root_hash(LEAVES[:size])
    for old in range(1, size + 1):
        path, root = consistency_path(LEAVES[:size], old), root_hash(LEAVES[:old])
        assert verify_consistency(old, size, root, new, path)
        assert not verify_consistency(old, size, root, new, [*path, new])
        assert not verify_consistency(old, size, LEAVES[50], new, path) or old == 0
        assert not verify_consistency(old, size, root, LEAVES[50], path)
        assert not verify_consistency(size + 1, size, root, new, path)
        if path:
            assert not verify_consistency(old, size, root, new, path[:-1])
            assert not verify_consistency(old, size, root, new, [LEAVES[60], *path[1:]])


# -- key tree


@settings(max_examples=25)
@given(st.lists(TAGS, min_size=1, max_size=5, unique=True), st.lists(TAGS, max_size=5))
def test_puncturing_takes_these_and_leaves_the_others(gone: list[bytes], kept: list[bytes]) -> None:
    whole = Cover(genesis_cover(bytes(32)))
    paths = [path_of(tag) for tag in gone]
    punctured = Cover(whole.puncture(paths))
    assert all(punctured.leaf(path) is None for path in paths)
    for path in {path_of(tag) for tag in kept} | {p ^ 1 for p in paths} | {p ^ 4 for p in paths}:
        if path not in paths:
            assert punctured.leaf(path) == whole.leaf(path)
    assert punctured.puncture(paths) == whole.puncture(paths[::-1])


@pytest.mark.parametrize("data", [b"", bytes(39), bytes(41)])
def test_a_cover_of_broken_length_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        Cover(data)


# -- sealing


@given(st.binary(max_size=200))
def test_padding_hides_the_length_and_comes_off(data: bytes) -> None:
    padded = pad(data)
    assert len(padded) % 64 == 0
    assert len(padded) > len(data)
    assert unpad(padded) == data
    for bad in (padded + bytes(64), padded[:-1], bytes(64), b""):
        with pytest.raises(FormatError):
            unpad(bad)


def seal(customer: str | None, address: str | None) -> tuple[bytes, KeyDeriver, RecordSealer]:
    keys = KeyDeriver(golden.KEYRING, golden.COVER, bytes(16))
    sealer = RecordSealer(
        keys, topic="t", generation=1, partition=3, regulatory_tag="COMPLIANCE_ARCHIVE_V1"
    )
    event = Event("e", "m", None, "t", "READ", "READ", "now", None, "wf", None, "tenant",
                  customer, address)  # fmt: skip
    line, _, _ = golden.seal_one(sealer, event, 41, golden.FIRST_MS, 1, None, None)
    return line, keys, sealer


@given(st.none() | TEXT, st.none() | TEXT)
def test_what_is_sealed_opens_and_shows_nothing(customer: str | None, address: str | None) -> None:
    line, keys, _ = seal(customer, address)
    record = parse_record(line[:-1], "line")
    subject = choose_subject("tenant", customer, address, "m")
    found = keys.keys(subject, 2026)
    assert found is not None
    opened = open_personal(record, found, 3, 41)
    assert opened.get("customer_external_id") == customer
    assert opened.get("recipient_address") == address
    for personal in (customer, address):
        if personal is not None and personal.encode() not in seal(None, None)[0]:
            assert len(personal) < 8 or personal.encode() not in line
    other = keys.keys(("tenant", "external", "someone else"), 2026)
    assert other is not None
    with pytest.raises(FormatError):
        open_personal(record, other, 3, 41)
    with pytest.raises(FormatError):
        open_personal(record, found, 3, 42)


@settings(max_examples=300)
@given(st.data())
def test_a_changed_line_is_never_accepted(data: st.DataObject) -> None:
    line = golden.judged(golden.TOPICS[0])[0].lines[0][:-1]
    at = data.draw(st.integers(0, len(line) - 1))
    changed = line[:at] + bytes([line[at] ^ data.draw(st.integers(1, 255))]) + line[at + 1 :]
    try:
        record = parse_record(changed, "line")
    except FormatError:
        return
    # Only the sealed part may differ unseen here; opening it must fail (AES-GCM).
    assert record.pub == orjson.loads(line)["pub"]
    assert record.pii_text != orjson.loads(line)["pii"]


def test_ranks_follow_the_statuses() -> None:
    assert [RANK[status] for status in STATUSES] == [1, 2, 3, 4]
