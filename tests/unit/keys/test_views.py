"""A role's view of the keyring: it lacks what the role must not hold, and still trusts the rest."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from audit_stream.cli.main import run_command
from audit_stream.errors import KeyringError
from audit_stream.keys.file import ROLES, create_keyring, load_keyring, log_signer, write_view


@pytest.mark.parametrize("role", ROLES)
def test_a_view_lacks_keys_and_trusts_the_same(path: Path, tmp_path: Path, role: str) -> None:
    whole = load_keyring(path)
    write_view(whole, path, role, tmp_path / role)
    view = load_keyring(tmp_path / role / "keyring.json")
    for name in ("log_key", "segment_key"):
        lacking = getattr(view.keyring, name) is None
        assert lacking == (name in ROLES[role])
    assert view.trusted.kids == whole.trusted.kids
    assert view.log_key == whole.log_key
    assert bytes(view.cover) == bytes(whole.cover)
    assert view.keyring.years == whole.keyring.years
    for file in (tmp_path / role).iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = b"".join(file.read_bytes() for file in (tmp_path / role).iterdir())
    for name in ROLES[role]:
        assert f'"{name}"'.encode() not in text


def test_a_view_cannot_sign(path: Path, tmp_path: Path) -> None:
    write_view(load_keyring(path), path, "gateway", tmp_path / "g")
    view = load_keyring(tmp_path / "g" / "keyring.json")
    with pytest.raises(KeyringError, match="no segment key"):
        _ = view.signer
    with pytest.raises(KeyringError, match="no log key"):
        log_signer(view.keyring)


def test_nothing_is_overwritten(path: Path, tmp_path: Path) -> None:
    write_view(load_keyring(path), path, "worker", tmp_path / "w")
    with pytest.raises(KeyringError, match="exists"):
        write_view(load_keyring(path), path, "gateway", tmp_path / "w")


@pytest.mark.parametrize(
    "text", ["", "segment 00\n", "log x\n", "other y\n", "segment " + "0" * 64]
)
def test_damaged_public_keys_are_said(path: Path, tmp_path: Path, text: str) -> None:
    write_view(load_keyring(path), path, "gateway", tmp_path / "g")
    (tmp_path / "g" / "public.txt").write_text(text)
    with pytest.raises(KeyringError, match=r"public.txt cannot be used"):
        load_keyring(tmp_path / "g" / "keyring.json")


@pytest.mark.parametrize("role", ROLES)
def test_public_keys_of_another_archive_are_refused_beside_every_view(
    path: Path, tmp_path: Path, role: str
) -> None:
    other = tmp_path / "other" / "keyring.json"
    create_keyring(other, "audit.example/other")
    for each, folder in ((path, tmp_path / "v"), (other, tmp_path / "w")):
        write_view(load_keyring(each), each, role, folder)
    (tmp_path / "w" / "public.txt").replace(tmp_path / "v" / "public.txt")
    with pytest.raises(KeyringError, match="of another archive"):
        load_keyring(tmp_path / "v" / "keyring.json")


@pytest.mark.parametrize(("mode", "good"), [(0o644, True), (0o400, True), (0o664, False),
                                            (0o602, False)])  # fmt: skip
def test_public_keys_that_others_can_write_are_not_trusted(
    path: Path, tmp_path: Path, mode: int, good: bool
) -> None:
    """They may be read by all; whoever adds one is believed."""
    write_view(load_keyring(path), path, "worker", tmp_path / "w")
    (tmp_path / "w" / "public.txt").chmod(mode)
    if good:
        assert load_keyring(tmp_path / "w" / "keyring.json").public is not None
        return
    with pytest.raises(KeyringError, match="can be written by others"):
        load_keyring(tmp_path / "w" / "keyring.json")


def test_the_command_writes_one(path: Path, tmp_path: Path) -> None:
    assert (
        run_command(["keyring", "view", "gateway", str(tmp_path / "v"), "--path", str(path)]) == 0
    )
    assert load_keyring(tmp_path / "v" / "keyring.json").keyring.segment_key is None
    assert run_command(["keyring", "view", "king", str(tmp_path / "x"), "--path", str(path)]) == 2
