"""A keyring is read whole or not at all, and never shows a key."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from audit_stream.errors import KeyringError
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.encoding import b64u
from audit_stream.privacy.keyring import new_keyring, parse_keyring, secret_size
from audit_stream.privacy.subjects import tree_at
from tests.support import golden

SECRET = b"".join(bytes([n]) * 32 for n in range(1, secret_size() // 32 + 1))
RING, COVER = new_keyring("archive.example", 2025, SECRET)
VALUE: dict[str, Any] = orjson.loads(RING.encode())
TREE: dict[str, Any] = VALUE["trees"][0]
KEY = b64u(bytes(32))


def parsed(**changes: object) -> bytes:
    return canonical({k: v for k, v in (VALUE | changes).items() if v != "MISSING"})


def test_a_keyring_round_trips() -> None:
    assert parse_keyring(RING.encode()) == RING
    assert parse_keyring(RING.encode() + b"\n") == RING
    assert golden.KEYRING.encode() == (golden.GOLDEN / "keyring.json").read_bytes().rstrip(b"\n")


def test_a_new_keyring_has_thirty_years_and_keys_that_all_differ() -> None:
    assert sorted(RING.years) == list(range(2025, 2055))
    keys = [RING.index_key, RING.log_key, RING.segment_key, RING.trees[0].pepper, COVER[8:],
            *RING.years.values()]  # fmt: skip
    assert len(set(keys)) == len(keys) == secret_size() // 32


@pytest.mark.parametrize("size", [0, 31, secret_size() - 1, secret_size() + 1])
def test_a_new_keyring_takes_exactly_its_random_bytes(size: int) -> None:
    with pytest.raises(KeyringError):
        new_keyring("x", 2025, bytes(size))


@pytest.mark.parametrize("left_out", [["log_key"], ["segment_key"], ["log_key", "segment_key"]])
def test_a_view_leaves_out_what_the_role_must_not_hold(left_out: list[str]) -> None:
    ring = parse_keyring(parsed(**dict.fromkeys(left_out, "MISSING")))
    assert all(getattr(ring, name) is None for name in left_out)
    assert not any(name.encode() in ring.encode() for name in left_out)
    assert parse_keyring(ring.encode()) == ring


@pytest.mark.parametrize(
    "changes",
    [{name: "MISSING"} for name in ("archive", "epoch", "index_key", "trees", "v", "years")]
    + [{"v": bad} for bad in ("audit-keyring/2", None, 1)]
    + [{"archive": bad} for bad in (None, 5, [], "", "a b", "a+b", "a\tb", "x" * 129)]
    + [{"epoch": bad} for bad in (0, -1, "1", None, True, 1.0, 1.5)]
    + [{name: bad} for name in ("index_key", "log_key", "segment_key")
       for bad in (None, 5, "", KEY + "=", KEY[:-1], KEY + "AA", KEY[:-1] + "B", "+" + KEY[1:],
                   b64u(bytes(31)), b64u(bytes(33)))]
    + [{"years": bad} for bad in (None, [], "2026", {"26": KEY}, {"+026": KEY}, {"20260": KEY},
                                  {"2026": None}, {"2026": 5}, {"2026": KEY[:-1]}, {"": KEY},
                                  {"202": KEY}, {"20 4": KEY}, {"2026": b64u(bytes(31))},
                                  {"\u0662\u0660\u0662\u0666": KEY})]
    + [{"trees": bad} for bad in (None, {}, [], "x", [None], [[]], [{}], [1], [TREE, TREE])]
    + [{"trees": [TREE | {member: bad}]} for member, bads in {
        "cover": (None, 5, "", ".", "..", "../cover", "/cover", "a/b", "a\x00b"),
        "cover_sha256": (None, "", "0" * 63, "A" * 64, 5),
        "first_epoch": (None, "1", True, 1.0, 0, -1, 2),
        "pepper": (None, "", KEY[:-1], b64u(bytes(16)), 5),
        "more": (1,)}.items() for bad in bads]
    + [{"more": 1}],
)  # fmt: skip
def test_another_keyring_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(KeyringError) as raised:
        parse_keyring(parsed(**changes))
    assert "backup" in raised.value.hint


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"{", b"[]", b"null", b"\xff", b" " + RING.encode(), RING.encode() + b" ",
     b"{}", RING.encode()[:-1], b'{"a":' * 3000 + b"1" + b"}" * 3000,
     RING.encode() * 2, RING.encode().replace(b":", b": "), b"[" * 5000,
     RING.encode().replace(b'"epoch":1,', b'"epoch":1,"epoch":1,'),
     orjson.dumps(dict(reversed(VALUE.items())))],
)  # fmt: skip
def test_what_is_not_one_canonical_object_is_refused(data: bytes) -> None:
    with pytest.raises(KeyringError):
        parse_keyring(data)


def test_no_key_shows_in_a_repr_or_an_error() -> None:
    secrets = [VALUE["index_key"], VALUE["log_key"], VALUE["segment_key"], TREE["pepper"],
               *VALUE["years"].values()]  # fmt: skip
    shown = [repr(RING), repr(RING.trees)]
    long: list[dict[str, object]] = [
        {name: VALUE[name] + "AAAA"} for name in ("index_key", "log_key", "segment_key")
    ]
    long += [{"trees": [TREE | {"pepper": TREE["pepper"] + "AAAA"}]},
             {"years": {"2025": VALUE["years"]["2025"] + "AAAA"}}]  # fmt: skip
    for changes in long:
        with pytest.raises(KeyringError) as raised:
            parse_keyring(parsed(**changes))
        shown.append(str(raised.value) + repr(raised.value.__cause__))
    raw = [repr(SECRET[n : n + 32])[2:-1] for n in range(0, len(SECRET), 32)]
    for text in shown:
        assert not any(secret in text for secret in (*secrets, *raw))


def test_a_year_without_key_is_an_error() -> None:
    assert RING.year_key(2025) == SECRET[5 * 32 : 6 * 32]
    for year in (2024, 2055):
        with pytest.raises(KeyringError, match=str(year)):
            RING.year_key(year)


def test_the_newest_tree_that_has_begun_is_in_force() -> None:
    trees = [TREE | {"first_epoch": n, "cover": f"cover-{n}.bin"} for n in (4, 1)]
    ring = parse_keyring(parsed(trees=trees, epoch=5))
    assert [tree_at(ring, epoch).first_epoch for epoch in (1, 3, 4, 9)] == [1, 1, 4, 4]
    with pytest.raises(KeyringError):
        tree_at(ring, 0)
