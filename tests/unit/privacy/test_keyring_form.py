"""The keyring's form: what is written parses again, anything else is refused without a secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from audit_stream.errors import KeyringError
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.encoding import b64u
from audit_stream.privacy.keyring import Keyring, new_keyring, parse_keyring, secret_size
from audit_stream.privacy.subjects import tree_at
from tests.support.golden import GOLDEN

FILE = (GOLDEN / "keyring.json").read_bytes()
KEY = b64u(bytes(32))
Change = Callable[[dict[str, Any]], object]


def put(name: str, value: object) -> Change:
    return lambda ring: ring.update({name: value})


def tree(name: str, value: object) -> Change:
    return lambda ring: ring["trees"][0].update({name: value})


def parsed(change: Change) -> Keyring:
    ring = json.loads(FILE)
    change(ring)
    return parse_keyring(canonical(ring))


def fresh() -> Keyring:
    secret = bytes(n % 251 for n in range(secret_size()))
    return new_keyring("archive.example", 2025, secret)[0]


def test_a_keyring_round_trips() -> None:
    ring = fresh()
    assert parse_keyring(ring.encode()) == ring
    assert parse_keyring(ring.encode() + b"\n") == ring
    assert parse_keyring(FILE).encode() == FILE.rstrip(b"\n")


@pytest.mark.parametrize("name", ["log_key", "segment_key"])
def test_a_view_leaves_out_what_its_role_must_not_hold(name: str) -> None:
    ring = parsed(lambda ring: ring.pop(name, None))
    assert getattr(ring, name) is None
    assert name.encode() not in ring.encode()
    assert parse_keyring(ring.encode()) == ring


@pytest.mark.parametrize(
    "change",
    [put("v", "audit-keyring/2"), put("v", None), put("x", 1)]
    + [lambda ring, name=name: ring.pop(name)  # type: ignore[misc]
       for name in ("archive", "epoch", "index_key", "trees", "v", "years")]
    + [put("archive", bad) for bad in (1, None, "", "a b", "a+b", "a\tb", "x" * 129)]
    + [put("epoch", bad) for bad in (0, -1, True, "1", 1.5, None)]
    + [put(name, bad) for name in ("index_key", "log_key", "segment_key")
       for bad in (None, 5, "", b64u(bytes(31)), b64u(bytes(33)), KEY + "=", "A" * 42 + "B")]
    + [put("years", bad)
       for bad in (None, [], {"202": KEY}, {"20 4": KEY}, {"٢٠٢٤": KEY}, {"2024": 5},
                   {"2024": b64u(bytes(31))})]
    + [put("trees", bad) for bad in (None, {}, [], [1], [{}])]
    + [tree("cover", bad) for bad in (1, "", ".", "..", "a/b", "/a", "a\x00b")]
    + [tree("cover_sha256", bad) for bad in (1, "", "A" * 64, "0" * 63)]
    + [tree("first_epoch", bad) for bad in (0, -1, 2, True, "1")]
    + [tree("pepper", bad) for bad in (None, b64u(bytes(16)))]
    + [tree("x", 1), lambda ring: ring["trees"].append(ring["trees"][0])],
)  # fmt: skip
def test_any_other_keyring_is_refused(change: Change) -> None:
    with pytest.raises(KeyringError) as caught:
        parsed(change)
    assert "backup" in caught.value.hint


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"{}", b"\xff", FILE[:-2], b" " + FILE, FILE.replace(b":", b": ", 1),
     b'{"a":' * 3000 + b"1" + b"}" * 3000],
)  # fmt: skip
def test_what_is_no_canonical_object_is_refused(data: bytes) -> None:
    with pytest.raises(KeyringError):
        parse_keyring(data)


def test_a_refusal_shows_no_key() -> None:
    secret = b64u(b"very secret pepper of 33 bytes...")
    for change in (
        tree("pepper", secret),
        put("index_key", secret),
        put("years", {"2024": secret}),
    ):
        with pytest.raises(KeyringError) as caught:
            parsed(change)
        assert secret not in str(caught.value) + repr(caught.value.__cause__)


def test_the_repr_shows_no_key() -> None:
    ring = fresh()
    shown = repr(ring)
    for secret in (ring.index_key, ring.log_key, ring.segment_key, ring.trees[0].pepper,
                   *ring.years.values()):  # fmt: skip
        assert secret is not None
        assert repr(secret) not in shown
        assert b64u(secret) not in shown


def test_a_year_without_key_is_named() -> None:
    assert fresh().year_key(2025)
    for year in (2024, 2055):
        with pytest.raises(KeyringError, match=str(year)):
            fresh().year_key(year)


def test_a_new_keyring_takes_exactly_its_secret() -> None:
    for size in (0, secret_size() - 1, secret_size() + 1):
        with pytest.raises(KeyringError):
            new_keyring("a", 2025, bytes(size))


def test_the_tree_in_force_is_the_newest_that_has_begun() -> None:
    def two(ring: dict[str, Any]) -> None:
        ring["epoch"] = 5
        ring["trees"].append(ring["trees"][0] | {"cover": "cover-2.bin", "first_epoch": 4})

    ring = parsed(two)
    assert [tree_at(ring, epoch).cover for epoch in (1, 3, 4, 5)] == [
        "cover-1.bin", "cover-1.bin", "cover-2.bin", "cover-2.bin",
    ]  # fmt: skip
    with pytest.raises(KeyringError):
        tree_at(ring, 0)
