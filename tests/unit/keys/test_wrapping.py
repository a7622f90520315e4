"""The form of a wrapped cover, and covers that are not wrapped."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from audit_stream.errors import FormatError, KeyringError, UnknownVersion
from audit_stream.evidence.canonical import canonical
from audit_stream.keys.wrapping import (
    LOCAL,
    Header,
    is_wrapped,
    new_header,
    open_cover,
    read_header,
    seal_cover,
)

COVER = bytes([28]) + bytes(range(1, 80))
KEY = "https://v.vault.azure.net/keys/as-tree-acme-3/0123"
DATA_KEY = bytes(range(100, 132))


def header() -> Header:
    return new_header("acme", 3, KEY, bytes(12), b"wrapped data key")


def test_the_bytes_are_those_of_the_specification() -> None:
    data = seal_cover(header(), DATA_KEY, COVER)
    line, sealed = data.split(b"\n", 1)
    assert line == canonical({
        "archive": "acme", "epoch": 3, "key": KEY, "nonce": "AAAAAAAAAAAAAAAA",
        "v": "audit-cover-wrapped/1", "wrapped": "d3JhcHBlZCBkYXRhIGtleQ",
    })  # fmt: skip
    assert len(sealed) == len(COVER) + 16
    assert read_header(data) == (header(), len(line) + 1)
    assert bytes(open_cover(data, DATA_KEY)) == COVER


def test_no_changed_byte_passes() -> None:
    data = seal_cover(header(), DATA_KEY, COVER)
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises((KeyringError, UnknownVersion)) as caught:
            open_cover(changed, DATA_KEY)
        assert DATA_KEY.hex() not in str(caught.value)
    for cut in (data[:-1], data[:20], b"{", data + b"\0"):
        with pytest.raises(KeyringError, match="cannot be used"):
            open_cover(cut, DATA_KEY)
    for other in (bytes(32), b"short"):
        with pytest.raises(KeyringError, match="another key"):
            open_cover(data, other)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v | {"more": 1}, lambda v: v | {"epoch": 0}, lambda v: v | {"epoch": True},
        lambda v: v | {"epoch": "3"}, lambda v: v | {"key": 1}, lambda v: v | {"archive": None},
        lambda v: v | {"nonce": "AAAA"}, lambda v: v | {"wrapped": "=="},
        lambda v: v | {"v": "x/1"},
        lambda v: {k: v[k] for k in v if k != "nonce"},
    ],
)  # fmt: skip
def test_a_header_that_is_none_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    value = change(json.loads(header().line()))
    with pytest.raises(FormatError):
        read_header(canonical(value) + b"\nsealed")


def test_a_newer_form_is_left_to_a_newer_release() -> None:
    line = header().line().replace(b"wrapped/1", b"wrapped/2")
    with pytest.raises(UnknownVersion):
        read_header(line + b"\n")


def test_the_two_kinds_are_told_apart_by_their_first_byte() -> None:
    for depth in range(29):
        assert not is_wrapped(bytes([depth]) + bytes(39))
    assert is_wrapped(seal_cover(header(), DATA_KEY, COVER))
    assert not is_wrapped(b"")


def test_nothing_of_it_is_shown() -> None:
    assert "d3JhcHBl" not in repr(header())


def test_covers_that_are_files_are_as_they_are() -> None:
    assert LOCAL.wrap(1, memoryview(COVER)) == COVER
    assert bytes(LOCAL.unwrap(COVER)) == COVER
    done = LOCAL.destroy(1, COVER)
    assert (done.kind, len(done.effective_at), done.effective_at[-1]) == ("file-unlinked", 24, "Z")


def test_without_a_vault_a_wrapped_one_says_which_it_needs() -> None:
    data = seal_cover(header(), DATA_KEY, COVER)
    for act in (lambda: LOCAL.unwrap(data), lambda: LOCAL.destroy(3, data)):
        with pytest.raises(KeyringError, match="is wrapped by") as caught:
            act()
        assert caught.value.hint == "set AUDIT_KEYRING_VAULT to https://v.vault.azure.net"
