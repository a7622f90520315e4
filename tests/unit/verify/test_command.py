"""`audit-stream verify`, as typed: exit codes, keys, parts, what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit_stream.cli.main import run_command
from audit_stream.evidence.encoding import b64u
from audit_stream.evidence.register import Register
from audit_stream.keys.file import create_keyring
from tests.support import golden
from tests.support.registers import chained, redaction
from tests.support.resealed import EMAIL, MESSAGES, OBJECTS, SIGNER, name, resigned

PUBLIC = SIGNER.public


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing but what the test gives: no keyring, no archive, no file of settings."""
    import os

    for variable in [found for found in os.environ if found.startswith("AUDIT_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


def stored(folder: Path, objects: dict[str, bytes] = OBJECTS) -> str:
    for found, data in objects.items():
        path = folder / "archive" / found
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return (folder / "archive").as_uri()


def run(archive: str, *more: str, key: str | None = PUBLIC.hex()) -> int:
    keys = ["--key", key] if key else []
    return run_command(["verify", "--archive", archive, *keys, *more])


@pytest.mark.parametrize("form", ["hex", "base64url", "file of hex", "file of base64url"])
def test_a_key_may_be_given_in_each_form(form: str, tmp_path: Path) -> None:
    text = PUBLIC.hex() if "hex" in form else b64u(PUBLIC)
    if "file" in form:
        (tmp_path / "key.pub").write_text(f"{text}\n")
        text = str(tmp_path / "key.pub")
    assert run(stored(tmp_path), key=text) == 0


@pytest.mark.parametrize("key", ["", "no key", "00", PUBLIC.hex()[:-1], PUBLIC.hex().upper()])
def test_another_key_text_is_wrong_use(key: str, tmp_path: Path) -> None:
    assert run_command(["verify", "--archive", stored(tmp_path), "--key", key]) == 2


def test_another_key_verifies_nothing(tmp_path: Path) -> None:
    assert run(stored(tmp_path), key="11" * 32) == 1


def test_several_keys_may_be_trusted(tmp_path: Path) -> None:
    assert run(stored(tmp_path), "--key", (bytes(31) + b"\x01").hex()) == 0


def test_without_a_key_the_keyrings_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = tmp_path / "keys" / "keyring.json"
    create_keyring(keyring, "another.example")
    monkeypatch.setenv("AUDIT_KEYRING", str(keyring))
    assert run(stored(tmp_path), key=None) == 1  # a keyring, but not this archive's
    keyring.write_bytes((golden.GOLDEN / "keyring.json").read_bytes())
    (keyring.parent / "cover-1.bin").write_bytes(golden.COVER)
    assert run(stored(tmp_path), key=None) == 0


def test_without_key_and_keyring_it_is_wrong_use(tmp_path: Path) -> None:
    assert run(stored(tmp_path), key=None) == 2


def test_no_archive_is_wrong_use(tmp_path: Path) -> None:
    assert run((tmp_path / "nowhere").as_uri()) == 2
    (tmp_path / "empty").mkdir()
    assert run((tmp_path / "empty").as_uri()) == 2
    assert run("https://example.org/archive") == 2


@pytest.mark.parametrize("there", ["notes.txt", f"maps/{'0' * 64}.json", "subjects/t/1.bin"])
def test_a_folder_of_other_things_is_never_called_verified(there: str, tmp_path: Path) -> None:
    assert run(stored(tmp_path, {there: b"x"})) == 2


@pytest.mark.parametrize("part", ["nosuch", f"{MESSAGES}/7", "a b", "../x", name(MESSAGES, 61)])
def test_a_part_that_is_not_there_is_wrong_use(part: str, tmp_path: Path) -> None:
    assert run(stored(tmp_path), part) == 2


@pytest.mark.parametrize("part", ["", MESSAGES, f"{MESSAGES}/0", name(MESSAGES, 60)])
def test_a_part_verifies(part: str, tmp_path: Path) -> None:
    assert run(stored(tmp_path), *([part] if part else [])) == 0


def test_what_is_wrong_is_named_first_and_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = resigned(OBJECTS[name(EMAIL, 0)], root="0" * 64)
    archive = stored(tmp_path, OBJECTS | {name(EMAIL, 0): changed})
    assert run(archive) == 1
    lines = capsys.readouterr().out.splitlines()
    wrong = next(line for line in lines if line.startswith("WRONG"))
    assert wrong == f"WRONG V10 {name(EMAIL, 0)}: line 1 root is not the root of the records"
    assert lines[-1].startswith("FAILED")
    assert run(archive, MESSAGES) == 0


def test_a_newer_format_exits_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newer = resigned(OBJECTS[name(EMAIL, 0)], v="audit-segment/2")
    assert run(stored(tmp_path, OBJECTS | {name(EMAIL, 0): newer}), "--json") == 3
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "cannot_judge"
    assert document["problems"] == []
    assert "audit-segment/2" in document["unknown"][0]


def test_an_archive_that_cannot_be_read_exits_3(tmp_path: Path) -> None:
    archive = stored(tmp_path)
    blocked = tmp_path / "archive" / name(EMAIL, 0)
    blocked.unlink()
    blocked.symlink_to(blocked)  # listed, and reading it fails whoever runs this
    assert run(archive) == 3


def test_json_is_one_document_with_the_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(stored(tmp_path), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    expected = json.loads((golden.GOLDEN / "input" / "expected.json").read_text("utf-8"))
    assert expected
    assert (document["verdict"], document["records"]) == ("verified", 112)
    assert [p["topic"] for p in document["partitions"]] == golden.TOPICS
    totals = [sum(p["dispositions"].values()) for p in document["partitions"]]
    assert sum(totals) == document["offsets"] == sum(document["dispositions"].values())
    assert document["notes"]


def test_registers_in_a_copy_of_the_archive_are_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [redaction(number).said() for number in range(3)]
    archive = golden.KEYRING.archive
    entries = chained(Register.REDACTIONS, *said, archive=archive, signer=SIGNER)
    objects = OBJECTS | {each.name: each.encode(SIGNER) for each in entries}
    place = stored(tmp_path, objects)
    assert run(place) == 0
    assert "not an object of this format" not in capsys.readouterr().out
    (tmp_path / "archive" / entries[1].name).unlink()
    assert run(place) == 1
    assert f"V25 {entries[1].name}: is missing" in capsys.readouterr().out
