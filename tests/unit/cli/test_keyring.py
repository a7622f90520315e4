"""`audit-stream keyring`: makes keys once, and prints what `verify --key` takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.cli.main import run_command
from audit_stream.cli.verify import parse_public_key
from audit_stream.evidence.signing import key_id
from audit_stream.keys.file import load_keyring, public_key

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "keys" / "keyring.json"


def init(path: Path, name: str = "archive.example") -> int:
    return run_command(["keyring", "init", "--path", str(path), "--archive-name", name])


def test_init_makes_a_keyring_and_says_to_back_it_up(path: Path, capsys: Captured) -> None:
    assert init(path) == 0
    ring = load_keyring(path).keyring
    said = capsys.readouterr().out
    assert ring.archive == "archive.example"
    assert f"{public_key(ring).hex()} (kid {key_id(public_key(ring))})" in said
    assert "Back it up now" in said


def test_init_never_overwrites(path: Path, capsys: Captured) -> None:
    assert init(path) == 0
    before = path.read_bytes()
    assert init(path) == 2
    assert "exists and is not overwritten" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_init_refuses_a_name_the_formats_forbid(path: Path) -> None:
    assert init(path, "two words") == 2
    assert not path.exists()


def test_public_prints_the_key_alone_as_verify_takes_it(
    path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    init(path)
    capsys.readouterr()
    monkeypatch.setenv("AUDIT_KEYRING", str(path))
    assert run_command(["keyring", "public"]) == 0
    printed = capsys.readouterr().out
    file = path.parent / "public.hex"
    file.write_text(printed)
    assert parse_public_key(str(file)) == public_key(load_keyring(path).keyring)
    assert printed == printed.strip() + "\n"


def test_public_without_a_keyring_is_wrong_use(path: Path, capsys: Captured) -> None:
    assert run_command(["keyring", "public", "--path", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "cannot read the keyring" in captured.err
