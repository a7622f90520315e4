"""`audit-stream keyring` over a cover that a key vault wraps: no command writes it in clear."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_stream import durable
from audit_stream.app.checks import load_archive_keyring
from audit_stream.app.covers import cover_opener, cover_wrapper, open_keyring
from audit_stream.cli.main import run_command
from audit_stream.errors import KeyringError, VaultAway
from audit_stream.keys.backup import open_backup, write_backup
from audit_stream.keys.file import load_closed, load_keyring
from audit_stream.keys.restore import restore
from audit_stream.keys.vault import key_name
from audit_stream.keys.wrapping import header_of, is_wrapped
from audit_stream.privacy.keytree import ENTRY
from audit_stream.settings import Settings
from tests.support.vault import VaultDouble

Captured = pytest.CaptureFixture[str]
NAME = "archive.example"
PHRASE = "six words are drawn by lot"
CHEAP = 2


class Here:
    """A keyring whose cover is wrapped, made as its keeper makes it."""

    def __init__(self, folder: Path, double: VaultDouble, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.double, self._patch = folder, double, monkeypatch
        self.keyring, self.file = folder / "keys" / "keyring.json", folder / "b.age"
        self.phrase = folder / "phrase"
        self.phrase.write_text(f"{PHRASE}\n")
        self.phrase.chmod(0o600)
        self.set(ARCHIVE=(folder / "archive").as_uri(), SUBJECTS=folder.as_uri(),
                 ARCHIVE_NAME=NAME, KEYRING=str(self.keyring))  # fmt: skip
        self.become("keeper")
        assert run_command(["keyring", "init"]) == 0
        self.root = bytes(open_keyring(self.settings).cover)
        self.become("worker")

    def set(self, **settings: str) -> None:
        for name, value in settings.items():
            self._patch.setenv(f"AUDIT_{name}", value)

    def become(self, who: str) -> None:
        for name, value in self.double.environment(who).items():
            self._patch.setenv(name, value)

    def leave(self) -> None:
        """No vault any more in the settings."""
        self._patch.delenv("AUDIT_KEYRING_VAULT")

    @property
    def settings(self) -> Settings:
        return Settings.load(None)

    @property
    def cover(self) -> Path:
        return self.keyring.parent / load_closed(self.keyring).keyring.trees[0].cover

    def back_up(self, *, clear: bool = False) -> None:
        """As the command does, with less work for scrypt."""
        self.file.unlink(missing_ok=True)
        write_backup(self.keyring, self.file, PHRASE.encode(), CHEAP,
                     covers=cover_wrapper(self.settings), clear=clear)  # fmt: skip

    def run(self, *words: str) -> int:
        return run_command(["keyring", *words])

    def restore(self, *words: str) -> int:
        phrase = ["--passphrase-file", str(self.phrase), "--offline"]
        return self.run("restore", str(self.file), *phrase, *words)

    def written_in_clear(self) -> list[str]:
        """Files with the tree's root in them."""
        node = self.root[8:ENTRY]
        files = [each for each in self.folder.rglob("*") if each.is_file()]
        return [each.name for each in files if node in each.read_bytes()]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    (tmp_path / "vault").mkdir()
    with VaultDouble(tmp_path / "vault") as double:
        yield Here(tmp_path, double, monkeypatch)


def status(capsys: Captured, code: int = 0) -> dict[str, object]:
    capsys.readouterr()
    assert run_command(["keyring", "status", "--json", "--offline"]) == code
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_init_writes_a_wrapped_cover_for_its_owner_only(here: Here) -> None:
    assert is_wrapped(here.cover.read_bytes())
    assert here.cover.stat().st_mode & 0o777 == 0o600
    assert len(here.root) == ENTRY
    assert here.written_in_clear() == []
    assert here.double.vault.keys.keys() == {key_name(NAME, 1)}


def test_init_does_not_take_the_key_of_another_keyring(here: Here, capsys: Captured) -> None:
    here.become("keeper")
    other = here.folder / "other" / "keyring.json"
    assert here.run("init", "--path", str(other)) == 2
    assert "has a key as-tree-" in capsys.readouterr().err
    assert not other.exists()


def test_a_worker_opens_it_with_the_right_to_unwrap_alone(here: Here) -> None:
    ring = load_archive_keyring(here.settings)
    assert bytes(ring.cover) == here.root
    opener = cover_opener(here.settings)
    asked = len(here.double.service.asked)
    assert bytes(opener(ring.keyring.trees[0])) == here.root
    once = len(here.double.service.asked) - asked
    opener(ring.keyring.trees[0])
    assert len(here.double.service.asked) == asked + once
    assert here.written_in_clear() == []


def test_status_says_by_what_it_is_wrapped(here: Here, capsys: Captured) -> None:
    [tree] = status(capsys)["trees"]  # type: ignore[misc]
    assert tree["wrapped_by"] == header_of(here.cover.read_bytes()).key
    assert tree["entries"] == 1
    assert here.run("status", "--offline") == 0
    assert f"\t{tree['wrapped_by']}\t" in capsys.readouterr().out


def test_status_says_that_the_key_is_gone(here: Here, capsys: Captured) -> None:
    here.double.vault.delete(key_name(NAME, 1))
    found = status(capsys, 1)
    [sentence] = found["wrong"]  # type: ignore[misc]
    assert "is not in the vault" in sentence
    [tree] = found["trees"]  # type: ignore[misc]
    assert tree["entries"] is None
    assert tree["wrapped_by"]


def test_a_clear_cover_is_wrapped_by_nothing(here: Here, capsys: Captured) -> None:
    here.cover.write_bytes(here.root)
    [tree] = status(capsys)["trees"]  # type: ignore[misc]
    assert tree["wrapped_by"] is None
    assert bytes(open_keyring(here.settings).cover) == here.root


@pytest.mark.parametrize("words", [("view", "worker"), ("rotate",)])
def test_a_copy_of_it_stays_wrapped(here: Here, words: tuple[str, ...]) -> None:
    folder = here.folder / "made"
    assert here.run(*words, str(folder)) == 0
    assert (folder / here.cover.name).read_bytes() == here.cover.read_bytes()
    assert here.written_in_clear() == []
    made = load_keyring(folder / "keyring.json", cover_wrapper(here.settings))
    assert bytes(made.cover) == here.root


def test_no_copy_is_made_of_what_does_not_open(here: Here, capsys: Captured) -> None:
    here.double.vault.delete(key_name(NAME, 1))
    folder = here.folder / "made"
    assert here.run("view", "worker", str(folder)) == 2
    assert "is not in the vault" in capsys.readouterr().err
    assert not (folder / "keyring.json").exists()


def test_public_keys_need_no_vault(here: Here, capsys: Captured) -> None:
    here.double.stop()
    here.leave()
    capsys.readouterr()
    assert here.run("public") == 0
    assert len(capsys.readouterr().out.strip()) == 64


def test_a_vault_that_is_away_ends_a_start(here: Here) -> None:
    here.double.stop()
    with pytest.raises(VaultAway, match=r"cover-1.bin: the key vault .* does not answer"):
        load_archive_keyring(here.settings)


def test_without_the_setting_it_says_which_is_missing(here: Here) -> None:
    here.leave()
    with pytest.raises(KeyringError, match="is wrapped by") as caught:
        open_keyring(here.settings)
    assert caught.value.hint == f"set AUDIT_KEYRING_VAULT to {here.double.url}"


def test_a_backup_holds_it_wrapped_and_dies_with_the_key(here: Here, capsys: Captured) -> None:
    here.back_up()
    backup = open_backup(here.file, PHRASE.encode())
    assert backup.covers == {here.cover.name: here.cover.read_bytes()}
    assert backup.wrapped
    before = here.cover.read_bytes()
    shutil.rmtree(here.keyring.parent)
    assert here.restore() == 0
    assert here.cover.read_bytes() == before
    assert bytes(open_keyring(here.settings).cover) == here.root
    assert here.written_in_clear() == []
    here.become("keeper")
    cover_wrapper(here.settings).destroy(1, before)
    capsys.readouterr()
    assert here.restore() == 2
    assert "is not in the vault" in capsys.readouterr().err
    assert here.cover.read_bytes() == before


@pytest.mark.parametrize("clear", [False, True])
def test_what_the_command_says_of_a_backup(here: Here, capsys: Captured, clear: bool) -> None:
    words = ["--clear-covers"] if clear else []
    phrase = ["--passphrase-file", str(here.phrase)]
    assert here.run("backup", str(here.file), *phrase, *words) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert ("without the key vault it opens nobody" in out) is not clear
    assert ("destroy every older one" in out) is clear


def test_a_clear_backup_leads_out_of_a_vault(here: Here) -> None:
    here.back_up(clear=True)
    assert not open_backup(here.file, PHRASE.encode()).wrapped
    here.double.stop()
    here.leave()
    assert here.restore() == 0
    assert bytes(load_keyring(here.keyring).cover) == here.root
    assert [each.name for each in here.keyring.parent.iterdir() if is_wrapped(each.read_bytes())
            and each != here.keyring] == []  # fmt: skip


def test_a_clear_backup_is_wrapped_before_it_is_written(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.back_up(clear=True)
    shutil.rmtree(here.keyring.parent)
    written: list[bytes] = []
    real = durable.write_new

    def write_new(path: Path, data: bytes) -> None:
        written.append(data)
        real(path, data)

    monkeypatch.setattr(durable, "write_new", write_new)
    here.become("keeper")
    ring = restore(
        open_backup(here.file, PHRASE.encode()), here.keyring, cover_wrapper(here.settings)
    )
    assert written
    assert not [data for data in written if here.root[8:] in data]
    assert is_wrapped((here.keyring.parent / ring.trees[0].cover).read_bytes())
    assert bytes(open_keyring(here.settings).cover) == here.root


def test_a_wrapped_backup_of_another_tree_is_refused(here: Here) -> None:
    here.back_up()
    backup = open_backup(here.file, PHRASE.encode())
    here.become("keeper")
    other = cover_wrapper(here.settings).wrap(1, bytes(ENTRY))
    backup.covers[here.cover.name] = other  # type: ignore[index]
    before = here.cover.read_bytes()
    with pytest.raises(KeyringError, match="is not the cover of its keyring"):
        restore(backup, here.keyring, cover_wrapper(here.settings))
    assert here.cover.read_bytes() == before


def test_the_local_cover_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDIT_KEYRING_VAULT", raising=False)
    assert cover_wrapper(Settings.load(None)).wrap(1, b"cover") == b"cover"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("https://Name.vault.azure.net/", "https://name.vault.azure.net"),
        ("https://127.0.0.1:8443", "https://127.0.0.1:8443"),
        *[(bad, None) for bad in (
            "http://name.vault.azure.net", "name.vault.azure.net", "https://", "https://h:0",
            "https://name.vault.azure.net/keys/x", "https://u:p@name.vault.azure.net",
            "https://h?x=1", "https://h#x",
        )],
    ],
)  # fmt: skip
def test_the_setting_is_a_vaults_url(given: str, read: str | None) -> None:
    if read is not None:
        assert Settings.load(None, keyring_vault=given).keyring_vault == read
        return
    with pytest.raises(Exception, match="AUDIT_KEYRING_VAULT"):
        Settings.load(None, keyring_vault=given)
