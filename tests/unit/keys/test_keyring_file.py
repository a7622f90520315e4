"""The keyring as a file: made once, private, and loaded only with the cover it names."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from audit_stream.errors import KeyringError
from audit_stream.keys.file import create_keyring, load_keyring
from audit_stream.privacy.keytree import Cover


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "keys" / "keyring.json"
    create_keyring(found, "archive.example")
    return found


def cover_of(path: Path) -> Path:
    return path.parent / "cover-1.bin"


def test_what_was_made_loads(path: Path) -> None:
    loaded = load_keyring(path)
    assert loaded.keyring.archive == "archive.example"
    assert bytes(loaded.cover) == cover_of(path).read_bytes()
    assert Cover(loaded.cover).leaf(0) is not None
    assert len(loaded.signer.public) == 32
    assert "cover" not in repr(loaded).replace("cover=", "").split("trees")[0]


def test_files_and_folder_are_the_owners_only(path: Path) -> None:
    modes = [stat.S_IMODE(item.stat().st_mode) for item in (path.parent, path, cover_of(path))]
    assert modes == [0o700, 0o600, 0o600]


def test_two_keyrings_share_no_key(path: Path, tmp_path: Path) -> None:
    other = create_keyring(tmp_path / "other" / "keyring.json", "archive.example")
    ring = load_keyring(path).keyring
    ours = {ring.index_key, ring.segment_key, ring.trees[0].pepper, *ring.years.values()}
    assert not ours & {other.index_key, other.segment_key, other.trees[0].pepper,
                       *other.years.values()}  # fmt: skip
    assert ring.trees[0].cover_sha256 != other.trees[0].cover_sha256


@pytest.mark.parametrize("kept", ["both", "keyring", "cover"])
def test_nothing_is_overwritten(path: Path, kept: str) -> None:
    if kept == "keyring":
        cover_of(path).unlink()
    elif kept == "cover":
        path.unlink()
    before = {item: item.read_bytes() for item in path.parent.iterdir()}
    with pytest.raises(KeyringError, match="exists and is not overwritten"):
        create_keyring(path, "archive.example")
    assert all(item.read_bytes() == data for item, data in before.items())


@pytest.mark.parametrize("archive", ["", "a b", "a+b"])
def test_an_archive_name_a_signed_note_cannot_carry_is_refused(
    tmp_path: Path, archive: str
) -> None:
    with pytest.raises(KeyringError, match="name"):
        create_keyring(tmp_path / "keyring.json", archive)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644, 0o666])
def test_a_keyring_others_may_touch_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(KeyringError, match="others") as raised:
        load_keyring(path)
    assert "chmod 600" in raised.value.hint


def test_a_cover_others_may_read_is_refused(path: Path) -> None:
    cover_of(path).chmod(0o644)
    with pytest.raises(KeyringError):
        load_keyring(path)


def test_a_missing_keyring_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "keyring.json"
    with pytest.raises(KeyringError, match=str(missing)):
        load_keyring(missing)
    with pytest.raises(KeyringError):
        load_keyring(tmp_path)


def test_a_cut_keyring_is_refused(path: Path) -> None:
    data = path.read_bytes()
    for size in (0, 1, len(data) // 2, len(data) - 2):
        path.write_bytes(data[:size])
        with pytest.raises(KeyringError):
            load_keyring(path)


def test_another_cover_is_refused(path: Path) -> None:
    cover, data = cover_of(path), cover_of(path).read_bytes()
    flips = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(len(data))]
    for changed in (*flips, data[:-1], data + data, b""):
        cover.write_bytes(changed)
        with pytest.raises(KeyringError, match="cover"):
            load_keyring(path)
    cover.unlink()
    with pytest.raises(KeyringError, match="cover"):
        load_keyring(path)


def test_a_view_without_segment_key_signs_nothing(path: Path) -> None:
    data = path.read_bytes()
    at = data.index(b'"segment_key"')
    path.write_bytes(data[:at] + data[data.index(b'"trees"') :])
    loaded = load_keyring(path)
    with pytest.raises(KeyringError, match="no segment key"):
        _ = loaded.signer
