"""`audit-stream keyring status`: what there is, what is wrong, and no key."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from audit_stream.cli.main import run_command
from audit_stream.evidence.signing import LineSigner
from audit_stream.keys.file import create_keyring, load_keyring, write_successor, write_view
from audit_stream.stores.file import FileStore
from tests.support.chains import NAME, ChainMaker, stream_of
from tests.support.keyrings import erase, rewrite, secrets_of

Captured = pytest.CaptureFixture[str]


class Here:
    """A keyring and an archive of no segment yet."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.keyring = folder, folder / "keys" / "keyring.json"
        create_keyring(self.keyring, NAME)
        (folder / "archive").mkdir()
        signer = load_keyring(self.keyring).signer
        self.maker = ChainMaker(FileStore(folder / "archive"), stream_of("t"), signer)
        asyncio.run(self.maker.found())

    def seal(self, **changes: object) -> None:
        asyncio.run(self.maker.add(**changes))  # type: ignore[arg-type]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    made = Here(tmp_path)
    settings = {
        "ARCHIVE": (tmp_path / "archive").as_uri(), "ARCHIVE_NAME": NAME,
        "KEYRING": str(made.keyring), "SUBJECTS": tmp_path.as_uri(),
        "BROKER": "kafka://127.0.0.1:1",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"AUDIT_{name}", value)
    return made


def status(capsys: Captured, code: int = 0, *words: str) -> Any:
    capsys.readouterr()
    assert run_command(["keyring", "status", "--json", *words]) == code
    return json.loads(capsys.readouterr().out)


def wrong(capsys: Captured, *words: str) -> str:
    [sentence] = status(capsys, 1, *words)["wrong"]
    return str(sentence)


def test_a_good_one_is_told_whole(here: Here, capsys: Captured) -> None:
    here.seal(key_epoch=1)
    erase(here.keyring)
    found = status(capsys)
    year = datetime.now(UTC).year
    assert (found["archive"], found["epoch"], found["archive_epoch"]) == (NAME, 2, 1)
    assert (found["role"], found["wrong"]) == ("whole", [])
    assert found["keys"] == ["index_key", "log_key", "segment_key"]
    assert found["trees"] == [
        {"cover": "cover-1.bin", "entries": 84, "first_epoch": 1, "wrapped_by": None}
    ]
    assert found["years"] == {"first": year - 1, "last": year + 28, "missing": []}
    assert [(key["use"], key["log"]) for key in found["signing"]] == [
        ("log", "unknown"), ("segment", "unknown"),
    ]  # fmt: skip
    assert [(Path(file["path"]).name, file["mode"]) for file in found["files"]] == [
        ("keys", "0700"), ("keyring.json", "0600"), ("cover-1.bin", "0600"),
    ]  # fmt: skip


def test_people_read_a_table_and_what_backups_cost(here: Here, capsys: Captured) -> None:
    assert run_command(["keyring", "status"]) == 0
    out = capsys.readouterr().out
    for said in ("epoch\t1", "archive's epoch\tno segment yet", "role\twhole", "cover-1.bin\t1\t1"):
        assert said in out
    assert "After each erasure" in out
    for secret in secrets_of(here.keyring):
        assert secret.hex() not in out


def test_an_older_one_than_the_archive_is_wrong(here: Here, capsys: Captured) -> None:
    here.seal(key_epoch=3)
    assert wrong(capsys).startswith("the archive is at the epoch 3: this keyring is older")
    assert status(capsys, 0, "--offline")["archive_epoch"] is None


def test_what_somebody_unknown_sealed_is_said(here: Here, capsys: Captured) -> None:
    here.maker.signer = LineSigner(b"\x12" * 32)
    here.seal(key_epoch=2)
    assert "says the epoch 2, signed by no key that this keyring trusts" in wrong(capsys)


def successor(here: Here, *, last: bool) -> Path:
    """The keyring with another segment key, whose id sorts behind or before the first one's."""
    ring = load_keyring(here.keyring)
    for number in count():
        path = here.folder / f"next-{number}" / "keyring.json"
        write_successor(ring, here.keyring, path.parent)
        if (load_keyring(path).signer.kid > ring.signer.kid) == last:
            return path
    raise AssertionError


@pytest.mark.parametrize("last", [True, False])
def test_what_the_log_says_of_keys(
    here: Here, capsys: Captured, monkeypatch: pytest.MonkeyPatch, last: bool
) -> None:
    here.seal(key_epoch=1)
    kid = load_keyring(here.keyring).signer.kid
    assert run_command(["log", "announce", "--reason", "first"]) == 0
    assert [key["log"] for key in status(capsys)["signing"]] == ["counts", "counts"]
    monkeypatch.setenv("AUDIT_KEYRING", str(successor(here, last=last)))
    assert "does not count the segment key" in wrong(capsys)
    assert run_command(["log", "announce", "--reason", "next"]) == 0
    assert run_command(["log", "revoke", kid, "--reason", "old"]) == 0
    said = {key["kid"]: key["log"] for key in status(capsys)["signing"]}
    assert said.pop(kid).startswith("revoked at leaf ")
    assert [*said.values()] == ["counts", "counts"]
    monkeypatch.setenv("AUDIT_KEYRING", str(here.keyring))
    assert f"the segment key {kid}: revoked at leaf" in wrong(capsys)


@pytest.mark.parametrize("role", ["worker", "notary", "gateway"])
def test_a_view_is_told_by_its_role(
    here: Here, capsys: Captured, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    folder = here.folder / role
    write_view(load_keyring(here.keyring), here.keyring, role, folder)
    monkeypatch.setenv("AUDIT_KEYRING", str(folder / "keyring.json"))
    found = status(capsys)
    assert found["role"] == role
    assert [key["use"] for key in found["signing"]] == ["log", "segment"]


@pytest.mark.parametrize("name", ["keyring.json", "cover-1.bin"])
def test_files_others_may_open_are_named(here: Here, capsys: Captured, name: str) -> None:
    file = here.keyring.parent / name
    file.chmod(0o640)
    found = status(capsys, 1)
    assert f"{file}: open to others than its owner: chmod 600 {file}" in found["wrong"]
    assert found["archive_epoch"] is None  # it is not used


def test_a_folder_others_may_write_to_is_named(here: Here, capsys: Captured) -> None:
    here.keyring.parent.chmod(0o770)
    assert "others than its owner can replace" in wrong(capsys)


@pytest.mark.parametrize("name", ["cover-0.bin", ".keyring.json.restoring", "keyring.0123abcd.tmp"])
def test_what_may_open_erased_persons_is_named(here: Here, capsys: Captured, name: str) -> None:
    (here.keyring.parent / name).write_bytes(b"x")
    assert f"{name}: not of this keyring" in wrong(capsys)


def test_a_cover_that_is_away_or_anothers_is_named(here: Here, capsys: Captured) -> None:
    cover = here.keyring.parent / "cover-1.bin"
    cover.write_bytes(bytes(40))
    assert "is not the cover of this keyring" in wrong(capsys)
    cover.unlink()
    found = status(capsys, 1)
    assert found["trees"][0]["entries"] is None
    assert f"cannot map the cover file {cover}" in found["wrong"]


def test_public_keys_that_do_not_fit_or_others_may_change_are_named(
    here: Here, capsys: Captured
) -> None:
    public = here.keyring.parent / "public.txt"
    write_view(load_keyring(here.keyring), here.keyring, "gateway", here.folder / "g")
    public.write_text("nonsense")
    public.chmod(0o600)
    assert f"{public} cannot be used" in wrong(capsys)
    public.write_text((here.folder / "g" / "public.txt").read_text())
    public.chmod(0o622)
    mode, refused = status(capsys, 1)["wrong"]  # and so it is not believed at all
    assert "others can change who is trusted" in mode
    assert f"{public} can be written by others" in refused
    public.chmod(0o644)  # it is no secret
    assert status(capsys)["wrong"] == []


def test_years_that_are_gone_are_named_and_only_this_one_is_wrong(
    here: Here, capsys: Captured
) -> None:
    ring, year = load_keyring(here.keyring).keyring, datetime.now(UTC).year
    some = {each: key for each, key in ring.years.items() if each not in {year + 3, year + 4}}
    rewrite(here.keyring, replace(ring, years=some))
    assert status(capsys)["years"]["missing"] == [year + 3, year + 4]
    rewrite(here.keyring, replace(ring, years={y: key for y, key in some.items() if y != year}))
    assert f"no key for {year}" in wrong(capsys)
    rewrite(here.keyring, replace(ring, years={}))
    found = status(capsys, 1)
    assert found["years"] == {"first": None, "last": None, "missing": []}


def test_a_keyring_of_another_archive_is_wrong(
    here: Here, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_ARCHIVE_NAME", "another.example")
    assert "AUDIT_ARCHIVE_NAME says another.example" in wrong(capsys)


def test_an_archive_that_cannot_be_read_is_not_judged(here: Here, capsys: Captured) -> None:
    stream = here.folder / "archive" / "streams" / "t" / "00001.json"
    stream.unlink()
    stream.mkdir()
    (stream.parent / "00002.json").symlink_to("nowhere")
    assert run_command(["keyring", "status"]) == 3
    assert "AS-300" in capsys.readouterr().err


def test_no_keyring_is_wrong_use(here: Here, capsys: Captured) -> None:
    here.keyring.unlink()
    assert run_command(["keyring", "status"]) == 2
    assert "cannot read the keyring" in capsys.readouterr().err
