"""`audit-stream keyring backup` and `restore`, as typed: what they say, refuse and never show."""

from __future__ import annotations

import asyncio
import logging
import os
import pty
import shutil
import stat
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from select import select

import pytest

from audit_stream.cli.main import run_command
from audit_stream.evidence.signing import LineSigner
from audit_stream.keys.backup import open_backup, write_backup
from audit_stream.keys.file import create_keyring, load_keyring
from audit_stream.stores.file import FileStore
from tests.support.chains import NAME, ChainMaker, stream_of
from tests.support.keyrings import erase, opens, rewrite, secrets_of

Captured = pytest.CaptureFixture[str]
PHRASE = "six words are drawn by lot"
CHEAP = 2
ROOT = Path(__file__).parents[3]


class Here:
    """A keyring, a passphrase in a file, and an archive at hand."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "b.age"
        self.keyring, self.phrase = folder / "keys" / "keyring.json", folder / "phrase"
        create_keyring(self.keyring, NAME)
        self.phrase.write_text(f"{PHRASE}\n")
        self.phrase.chmod(0o600)
        (folder / "archive").mkdir()
        store = FileStore(folder / "archive")
        self.maker = ChainMaker(store, stream_of("t"), load_keyring(self.keyring).signer)
        asyncio.run(self.maker.found())

    def back_up(self) -> None:
        """As the command does, with less work for scrypt."""
        self.file.unlink(missing_ok=True)
        write_backup(self.keyring, self.file, PHRASE.encode(), CHEAP)

    def run(self, name: str, *words: str) -> int:
        file = ["--passphrase-file", str(self.phrase)]
        return run_command(["keyring", name, str(self.file), *file, *words])

    def lose(self) -> None:
        shutil.rmtree(self.keyring.parent)

    def seal(self, epoch: int) -> None:
        asyncio.run(self.maker.add(key_epoch=epoch))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    made = Here(tmp_path)
    settings = {
        "ARCHIVE": (tmp_path / "archive").as_uri(), "ARCHIVE_NAME": NAME,
        "KEYRING": str(made.keyring),
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"AUDIT_{name}", value)
    return made


def test_a_lost_keyring_comes_back_and_no_secret_is_shown(
    here: Here, capsys: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    erase(here.keyring)
    here.seal(2)
    before, secrets = load_keyring(here.keyring).keyring, secrets_of(here.keyring)
    assert here.run("backup") == 0
    said = capsys.readouterr().out
    assert f"read it back and opened it: the whole keyring of {NAME}, epoch 2" in said
    assert "After each erasure" in said
    assert "destroy every older one" in said
    assert stat.S_IMODE(here.file.stat().st_mode) == 0o600
    here.lose()
    assert here.run("restore") == 0
    assert load_keyring(here.keyring).keyring == before
    assert not opens(here.keyring)
    shown = capsys.readouterr()
    everything = said + shown.out + shown.err + caplog.text
    assert f"restored the whole keyring of {NAME}, epoch 2" in shown.out
    for secret in secrets:
        assert secret.hex() not in everything
    assert PHRASE not in everything


def test_an_old_one_is_refused_for_what_the_archive_shows(here: Here, capsys: Captured) -> None:
    here.back_up()
    here.seal(1)
    here.seal(2)
    here.lose()
    assert here.run("restore") == 2
    said = capsys.readouterr().err
    assert "the backup has the epoch 1, the archive is at 2: it would bring back who was" in said
    assert "look for a newer backup, or a role's view" in said
    assert "hashes and proofs need none" in said
    assert not here.keyring.exists()


def test_one_from_before_a_rotation_is_not_fooled(here: Here, capsys: Captured) -> None:
    here.back_up()
    here.maker.signer = LineSigner(b"\x12" * 32)
    here.seal(2)
    here.lose()
    assert here.run("restore") == 2
    assert "signed by a key the backup does not know" in capsys.readouterr().err
    assert here.run("restore", "--offline") == 0
    assert "The archive was not asked" in capsys.readouterr().out


def test_an_old_one_is_refused_for_the_keyring_in_place(here: Here, capsys: Captured) -> None:
    here.back_up()
    erase(here.keyring)
    assert here.run("restore", "--offline") == 2
    assert "keep the keyring in place" in capsys.readouterr().err
    assert not opens(here.keyring)


def test_another_archives_is_refused(
    here: Here, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.back_up()
    monkeypatch.setenv("AUDIT_ARCHIVE_NAME", "another.example")
    assert here.run("restore") == 2
    assert f"of the archive {NAME}, AUDIT_ARCHIVE_NAME says another" in capsys.readouterr().err


def test_without_the_archive_it_is_not_guessed(
    here: Here, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.back_up()
    here.lose()
    monkeypatch.setenv("AUDIT_ARCHIVE", (here.folder / "away").as_uri())
    assert here.run("restore") == 2
    assert "--offline" in capsys.readouterr().err
    assert not here.keyring.exists()
    assert here.run("restore", "--offline") == 0
    assert opens(here.keyring)


@pytest.mark.parametrize("phrase", ["another passphrase\n", "", "two\nlines\n", "\n"])
def test_a_wrong_passphrase_restores_nothing(here: Here, capsys: Captured, phrase: str) -> None:
    here.back_up()
    here.lose()
    here.phrase.write_text(phrase)
    assert here.run("restore") == 2
    assert not here.keyring.exists()
    assert "another passphrase" not in capsys.readouterr().err


def test_a_tampered_one_restores_nothing(here: Here, capsys: Captured) -> None:
    here.back_up()
    here.lose()
    data = here.file.read_bytes()
    here.file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert here.run("restore") == 2
    assert "changed or cut off" in capsys.readouterr().err
    assert not here.keyring.exists()


def test_a_passphrase_others_may_read_or_guess_is_refused(here: Here, capsys: Captured) -> None:
    here.phrase.chmod(0o640)
    assert here.run("backup") == 2
    assert "open to others" in capsys.readouterr().err
    here.phrase.chmod(0o600)
    here.phrase.write_text("short")
    assert here.run("backup") == 2
    said = capsys.readouterr().err
    assert "fewer than 16 characters" in said
    assert "short" not in said
    for text in ("", "\n", f"{PHRASE}\n{PHRASE}\n", "x" * 4097):
        here.phrase.write_text(text)
        assert here.run("backup") == 2
        assert "does not hold one line" in capsys.readouterr().err
    here.phrase.unlink()
    assert here.run("backup") == 2
    assert "cannot read the passphrase file" in capsys.readouterr().err
    assert not here.file.exists()


def test_no_terminal_is_no_passphrase(here: Here) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "audit_stream", "keyring", "backup", str(here.file)],
        input=f"{PHRASE}\n{PHRASE}\n", capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "there is no terminal" in done.stderr
    assert not here.file.exists()


def test_at_a_terminal_it_is_asked_for_twice_and_not_shown(here: Here) -> None:
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "audit_stream", "keyring", "backup", str(here.file)],
        stdin=end, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(end)
    try:
        shown = typed_twice(process, terminal)
        assert process.wait(30) == 0, shown
        with suppress(OSError):  # nothing, or the other end is closed
            os.set_blocking(terminal, False)
            shown += os.read(terminal, 10_000)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert shown.startswith(b"Passphrase: ")
    assert PHRASE.encode() not in shown
    assert open_backup(here.file, PHRASE.encode()).keyring == load_keyring(here.keyring).keyring


def typed_twice(process: subprocess.Popen[bytes], terminal: int) -> bytes:
    """Answers each question with the passphrase; all that is said, to the end."""
    assert process.stdout is not None
    said = b""
    with process.stdout as stream:
        for number in (1, 2):
            while said.count(b": ") < number:
                assert select([stream], [], [], 30)[0], said
                said += (more := os.read(stream.fileno(), 1000))
                assert more, said
            os.write(terminal, f"{PHRASE}\n".encode())
        while select([stream], [], [], 30)[0] and (more := os.read(stream.fileno(), 1000)):
            said += more
    return said


def test_a_backup_is_not_made_of_what_does_not_fit(here: Here, capsys: Captured) -> None:
    ring = load_keyring(here.keyring).keyring
    rewrite(here.keyring, replace(ring, trees=(replace(ring.trees[0], cover_sha256="0" * 64),)))
    assert here.run("backup") == 2
    assert "is not the cover of this keyring" in capsys.readouterr().err
    assert not here.file.exists()
