"""A backup: one file that opens into the same keyring, or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pyrage
import pytest

from audit_stream.errors import KeyringError, UnknownVersion
from audit_stream.keys import age
from audit_stream.keys.backup import About, open_backup, read_about, write_backup
from audit_stream.keys.file import ROLES, load_keyring, write_successor, write_view
from tests.support.keyrings import erase, secrets_of
from tests.unit.keys.conftest import CHEAP, NAME, PHRASE


def backed_up(path: Path, name: str = "b") -> Path:
    file = path.parent.parent / name
    write_backup(path, file, PHRASE, CHEAP)
    return file


def forged(file: Path, about: About, files: Mapping[str, bytes]) -> Path:
    """A backup by somebody who has the passphrase."""
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, BytesIO(data))
    file.write_bytes(about.line() + age.encrypt(out.getvalue(), PHRASE, CHEAP))
    return file


def contents(file: Path) -> dict[str, bytes]:
    """What another implementation finds in a backup, as the how-to has it."""
    sealed = file.read_bytes().split(b"\n", 1)[1]
    with tarfile.open(fileobj=BytesIO(pyrage.passphrase.decrypt(sealed, PHRASE.decode()))) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


def test_it_opens_into_the_same(path: Path) -> None:
    erase(path)
    opened = open_backup(backed_up(path), PHRASE)
    loaded = load_keyring(path)
    assert opened.keyring == loaded.keyring
    assert opened.covers == {"cover-1.bin": (path.parent / "cover-1.bin").read_bytes()}
    assert opened.public is None
    assert opened.loaded.trusted.kids == loaded.trusted.kids


def test_it_says_in_clear_of_which_epoch_it_is(path: Path) -> None:
    first = backed_up(path, "1")
    erase(path)
    second = backed_up(path, "2")
    for epoch, file in ((1, first), (2, second)):
        line = file.read_bytes().split(b"\n")[0].decode()
        assert f'"archive":"{NAME}","epoch":{epoch},' in line
        about = read_about(file)
        assert (about.archive, about.epoch, about.role) == (NAME, epoch, "whole")


@pytest.mark.parametrize("role", ROLES)
def test_a_view_is_backed_up_as_one(path: Path, tmp_path: Path, role: str) -> None:
    write_view(load_keyring(path), path, role, tmp_path / role)
    view = tmp_path / role / "keyring.json"
    write_backup(view, tmp_path / "b", PHRASE, CHEAP)
    opened = open_backup(tmp_path / "b", PHRASE)
    assert (opened.about.role, opened.keyring) == (role, load_keyring(view).keyring)
    assert opened.loaded.trusted.kids == load_keyring(path).trusted.kids
    assert opened.loaded.log_key == load_keyring(path).log_key


def test_the_keys_that_are_trusted_too_are_in_it(path: Path, tmp_path: Path) -> None:
    write_successor(load_keyring(path), path, tmp_path / "next")
    write_backup(tmp_path / "next" / "keyring.json", tmp_path / "b", PHRASE, CHEAP)
    kids = load_keyring(tmp_path / "next" / "keyring.json").trusted.kids
    assert len(kids) == 2
    assert open_backup(tmp_path / "b", PHRASE).loaded.trusted.kids == kids


def test_it_is_opened_without_us(path: Path, tmp_path: Path) -> None:
    found = contents(backed_up(path))
    assert list(found) == ["about.json", "cover-1.bin", "keyring.json"]
    by_hand = tmp_path / "by-hand"
    by_hand.mkdir(mode=0o700)
    for name, data in found.items():
        (by_hand / name).write_bytes(data)
        (by_hand / name).chmod(0o600)
    assert load_keyring(by_hand / "keyring.json").keyring == load_keyring(path).keyring


def test_it_is_the_owners_only_and_never_written_over(path: Path) -> None:
    file = backed_up(path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    with pytest.raises(KeyringError, match="exists and is not overwritten"):
        write_backup(path, file, PHRASE, CHEAP)
    assert file.read_bytes() == before


def test_no_secret_is_in_the_file_or_shown(path: Path) -> None:
    file = backed_up(path)
    opened = open_backup(file, PHRASE)
    stored, shown = file.read_bytes(), repr(opened) + repr(opened.loaded)
    for secret in secrets_of(path):
        assert secret not in stored
        assert secret.hex() not in shown
        assert repr(secret) not in shown
    assert PHRASE not in stored


def test_another_passphrase_opens_nothing_and_is_not_repeated(path: Path) -> None:
    with pytest.raises(KeyringError, match="passphrase does not open it") as caught:
        open_backup(backed_up(path), b"another passphrase")
    assert "another passphrase" not in str(caught.value)


def test_no_changed_or_missing_byte_passes(path: Path) -> None:
    file = backed_up(path)
    whole = file.read_bytes()
    line = whole.index(b"\n")
    for at in {*range(line + 2), *range(line, len(whole), 97), len(whole) - 1}:
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises((KeyringError, UnknownVersion)):
            open_backup(file, PHRASE)
        file.write_bytes(whole[:at])
        with pytest.raises(KeyringError):
            open_backup(file, PHRASE)
    file.write_bytes(whole + b"\n")
    with pytest.raises(KeyringError, match="changed or cut off"):
        open_backup(file, PHRASE)


def test_the_line_in_clear_is_believed_only_if_it_is_inside_too(path: Path) -> None:
    file = backed_up(path)
    line, rest = file.read_bytes().split(b"\n", 1)
    file.write_bytes(line.replace(b'"epoch":1', b'"epoch":9') + b"\n" + rest)
    assert read_about(file).epoch == 9
    with pytest.raises(KeyringError, match="first line is not the one"):
        open_backup(file, PHRASE)


def test_what_does_not_fit_together_is_refused(path: Path, tmp_path: Path) -> None:
    file = backed_up(path)
    about, files = read_about(file), contents(file)
    later = replace(about, epoch=2)
    wrong: list[tuple[About, dict[str, bytes]]] = [
        (later, files | {"about.json": later.line()}),
        (about, files | {"cover-1.bin": bytes(40)}),
        (about, files | {"more": b"x"}),
        (about, files | {"../more": b"x"}),
        (about, files | {"public.txt": b"\xff"}),
        (about, {name: files[name] for name in ("about.json", "keyring.json")}),
        (about, {name: files[name] for name in ("about.json", "cover-1.bin")}),
    ]
    assert open_backup(forged(tmp_path / "f", about, files), PHRASE).about == about
    for said, held in wrong:
        with pytest.raises(KeyringError):
            open_backup(forged(tmp_path / "f", said, held), PHRASE)


@pytest.mark.parametrize("plain", [b"", b"no tar", bytes(10_240)])
def test_what_holds_no_keyring_is_refused(path: Path, plain: bytes) -> None:
    file = backed_up(path)
    file.write_bytes(read_about(file).line() + age.encrypt(plain, PHRASE, CHEAP))
    with pytest.raises(KeyringError, match="no backup that can be used"):
        open_backup(file, PHRASE)


def test_a_newer_form_is_left_to_a_newer_release(path: Path) -> None:
    file = backed_up(path)
    file.write_bytes(file.read_bytes().replace(b"backup/1", b"backup/2", 1))
    with pytest.raises(UnknownVersion):
        read_about(file)


def test_a_place_that_cannot_be_written_keeps_nothing(path: Path, tmp_path: Path) -> None:
    for file in (tmp_path / "away" / "b", path / "b"):
        with pytest.raises(KeyringError, match="cannot write the backup"):
            write_backup(path, file, PHRASE, CHEAP)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["keys"]


def test_a_full_disk_leaves_no_half_a_backup(path: Path, tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from audit_stream.keys.backup import write_backup\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        f"write_backup(Path({str(path)!r}), Path({str(tmp_path / 'b')!r}), {PHRASE!r}, {CHEAP})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | _here()
    )
    assert "KeyringError: cannot write the backup" in done.stderr
    assert PHRASE.decode() not in done.stderr.replace(script, "")
    assert not (tmp_path / "b").exists()


def test_what_is_read_back_is_compared(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: real(self)[:-1])
    with pytest.raises(KeyringError):
        backed_up(path)
    monkeypatch.undo()
    assert not (path.parent.parent / "b").exists()


def _here() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(__file__).parents[3])}
