"""The keyring as files: made once, private, and never used with the wrong cover."""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audit_stream.errors import KeyringError
from audit_stream.evidence.signing import TrustedKeys, parse_signature_line
from audit_stream.keys.file import create_keyring, load_keyring, public_key
from audit_stream.privacy.keytree import Cover, path_of
from audit_stream.privacy.subjects import KeyDeriver

NAME = "archive.example"
COVER = "cover-1.bin"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "keyring.json"
    create_keyring(path, NAME)
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_made_loads_again(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "keyring.json"
    ring = create_keyring(path, NAME)
    loaded = load_keyring(path)
    assert loaded.keyring == ring
    assert (ring.archive, ring.epoch, loaded.cover.readonly) == (NAME, 1, True)
    assert loaded.cover == (path.parent / COVER).read_bytes()
    assert len(loaded.signer.public) == 32
    tag = bytes(range(16))
    leaf = Cover((path.parent / COVER).read_bytes()).leaf(path_of(tag))
    assert leaf is not None
    assert Cover(loaded.cover).leaf(path_of(tag)) == leaf
    keys = KeyDeriver(ring, loaded.cover, bytes(16)).keys(("t", "message", "m"), min(ring.years))
    assert keys is not None


def test_there_are_keys_for_thirty_years_from_last_year_on(tmp_path: Path) -> None:
    before = datetime.now(UTC).year
    ring = create_keyring(tmp_path / "k", NAME)
    after = datetime.now(UTC).year
    assert min(ring.years) in (before - 1, after - 1)
    assert sorted(ring.years) == list(range(min(ring.years), min(ring.years) + 30))


def test_no_two_keys_are_alike(tmp_path: Path) -> None:
    one = create_keyring(tmp_path / "one" / "k", NAME)
    two = create_keyring(tmp_path / "two" / "k", NAME)
    keys = [
        key
        for ring in (one, two)
        for key in (ring.index_key, ring.log_key, ring.segment_key, ring.trees[0].pepper,
                    *ring.years.values())
    ]  # fmt: skip
    covers = [(tmp_path / name / COVER).read_bytes()[8:] for name in ("one", "two")]
    assert len({*keys, *covers}) == len(keys) + len(covers)
    assert one.trees[0].cover_sha256 != two.trees[0].cover_sha256


def test_the_files_and_their_folder_are_the_owners_only(made: Path) -> None:
    assert (mode(made), mode(made.parent / COVER), mode(made.parent)) == (0o600, 0o600, 0o700)


@pytest.mark.parametrize("there", ["keyring.json", COVER])
def test_nothing_is_overwritten(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_bytes(b"dear")
    with pytest.raises(KeyringError, match=f"{there} exists"):
        create_keyring(tmp_path / "keyring.json", NAME)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [(there, b"dear")]


@pytest.mark.parametrize("lost", [None, "keyring.json", COVER])
def test_a_real_keyring_is_not_overwritten_whole_or_in_part(made: Path, lost: str | None) -> None:
    if lost is not None:
        (made.parent / lost).unlink()
    before = {item: item.read_bytes() for item in made.parent.iterdir()}
    with pytest.raises(KeyringError, match="exists and is not overwritten"):
        create_keyring(made, NAME)
    assert {item: item.read_bytes() for item in made.parent.iterdir()} == before


@pytest.mark.parametrize("there", ["keyring.json", COVER])
def test_no_link_is_followed_to_where_the_keys_would_go(there: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / there).symlink_to(elsewhere)
    with pytest.raises(KeyringError, match=f"{there} exists"):
        create_keyring(tmp_path / "keyring.json", NAME)
    assert not elsewhere.exists()


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\tb", "a\n", "a\u00a0b", "x" * 129])
def test_a_name_the_formats_forbid_makes_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match="name"):
        create_keyring(tmp_path / "keys" / "k", name)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(KeyringError, match="cannot make the keyring") as caught:
        create_keyring(tmp_path / "file" / "keys" / "k", NAME)
    assert "AUDIT_KEYRING" in caught.value.hint


@pytest.mark.parametrize("there", ["keyring.json", COVER])
@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666])
def test_a_file_others_may_open_is_refused(there: str, bits: int, made: Path) -> None:
    (made.parent / there).chmod(bits)
    with pytest.raises(KeyringError, match="open to others") as caught:
        load_keyring(made)
    assert caught.value.hint == f"chmod 600 {made.parent / there}"


def test_a_file_its_owner_may_only_read_is_good(made: Path) -> None:
    made.chmod(0o400)
    (made.parent / COVER).chmod(0o400)
    assert load_keyring(made).keyring.archive == NAME


def test_another_cover_is_refused(made: Path) -> None:
    cover = made.parent / COVER
    whole = cover.read_bytes()
    flips = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    others = (whole[:-1], whole + bytes(40), whole + whole, bytes(40), b"")
    for other in (*flips, *others):
        cover.write_bytes(other)
        with pytest.raises(KeyringError, match=r"cover-1\.bin"):
            load_keyring(made)
    cover.write_bytes(whole)
    assert load_keyring(made).cover == whole


@pytest.mark.parametrize("there", ["keyring.json", COVER])
def test_a_file_that_is_gone_is_named(there: str, made: Path) -> None:
    (made.parent / there).unlink()
    with pytest.raises(KeyringError, match=there) as caught:
        load_keyring(made)
    assert "backup" in caught.value.hint


def test_a_folder_is_no_keyring(tmp_path: Path) -> None:
    with pytest.raises(KeyringError):
        load_keyring(tmp_path)


def test_a_cut_keyring_is_refused(made: Path) -> None:
    data = made.read_bytes()
    for size in (0, 1, len(data) // 2, len(data) - 2):
        made.write_bytes(data[:size])
        with pytest.raises(KeyringError):
            load_keyring(made)


def test_the_public_key_verifies_what_the_signer_signs(made: Path) -> None:
    loaded = load_keyring(made)
    public = public_key(loaded.keyring)
    signature = parse_signature_line(loaded.signer.signature_line(b"line"), "line")
    assert TrustedKeys(public).verifies(loaded.signer.kid, b"line", signature)
    assert not TrustedKeys(public).verifies(loaded.signer.kid, b"lime", signature)


def test_a_view_without_segment_key_signs_nothing(made: Path) -> None:
    loaded = load_keyring(made)
    view = replace(loaded, keyring=replace(loaded.keyring, segment_key=None))
    with pytest.raises(KeyringError, match="no segment key"):
        _ = view.signer
    with pytest.raises(KeyringError, match="no segment key"):
        public_key(view.keyring)
    made.write_bytes(view.keyring.encode())
    with pytest.raises(KeyringError, match="no segment key"):
        _ = load_keyring(made).signer


def test_no_secret_is_shown(made: Path) -> None:
    loaded = load_keyring(made)
    shown = repr(loaded) + repr(loaded.signer)
    ring = loaded.keyring
    secrets = (ring.index_key, ring.log_key or b"?", ring.segment_key or b"?",
               ring.trees[0].pepper, *ring.years.values(), bytes(loaded.cover[8:]))  # fmt: skip
    for secret in secrets:
        assert repr(secret) not in shown
        assert secret.hex() not in shown
