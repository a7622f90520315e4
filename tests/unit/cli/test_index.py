"""`audit-stream index`, as typed: what it makes, says and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from audit_stream.cli.main import run_command
from audit_stream.index.database import ArchiveIndex
from tests.support import golden
from tests.support.resealed import EMAIL, MESSAGES, OBJECTS, name, resigned

Captured = pytest.CaptureFixture[str]
RING = golden.KEYRING


@pytest.fixture(autouse=True)
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The golden archive, with its keyring, in a folder of the test's own."""
    shutil.copytree(golden.GOLDEN, tmp_path / "g")
    for path in ("keyring.json", "cover-1.bin"):
        (tmp_path / "g" / path).chmod(0o600)
    monkeypatch.setenv("AUDIT_ARCHIVE", (tmp_path / "g" / "archive").as_uri())
    monkeypatch.setenv("AUDIT_SUBJECTS", (tmp_path / "g").as_uri())
    monkeypatch.setenv("AUDIT_ARCHIVE_NAME", RING.archive)
    monkeypatch.setenv("AUDIT_KEYRING", str(tmp_path / "g" / "keyring.json"))
    monkeypatch.setenv("AUDIT_INDEX_DIR", str(tmp_path / "index"))
    return tmp_path


def run(capsys: Captured, *words: str) -> tuple[int, Any]:
    code = run_command(["index", *words, "--json"])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else None


def test_it_rebuilds_and_says_how_far_it_is(capsys: Captured) -> None:
    code, made = run(capsys, "rebuild")
    assert code == 0
    assert made["indexed"] == {"segments": 7, "records": 112}
    assert made["without_subject_object"] == {"segments": 0, "records": 0}
    assert made["stopped"] == []
    code, now = run(capsys, "status")
    assert code == 0
    assert now["records"] == 112
    assert now["partitions"] == made["partitions"]
    assert {each["topic"]: each["next"] for each in now["partitions"]}[MESSAGES] == 251
    code, again = run(capsys, "rebuild")
    assert (code, again["indexed"]) == (0, {"segments": 0, "records": 0})
    code, fresh = run(capsys, "rebuild", "--fresh")
    assert (code, fresh["indexed"]) == (0, made["indexed"])


def test_people_read_a_table(capsys: Captured) -> None:
    assert run_command(["index", "rebuild"]) == 0
    out = capsys.readouterr().out
    assert f"{MESSAGES}\t1\t0\t251\t5\t88" in out.splitlines()
    assert "DONE: 112 records" in out


def test_without_subject_objects_it_says_what_is_missing(capsys: Captured) -> None:
    code, made = run(capsys, "rebuild", "--without-subjects")
    assert code == 0
    assert made["without_subject_object"] == {"segments": 7, "records": 112}
    code, later = run(capsys, "rebuild")
    assert code == 0
    assert later["persons"] == {"removed": 0, "added": 112}
    assert later["without_subject_object"] == {"segments": 0, "records": 0}


def test_a_partition_that_does_not_fit_exits_1(capsys: Captured, installation: Path) -> None:
    path = installation / "g" / "archive" / name(MESSAGES, 120)
    path.unlink()
    path.write_bytes(resigned(OBJECTS[name(MESSAGES, 120)], seq=9))
    code, made = run(capsys, "rebuild")
    assert code == 1
    assert made["stopped"] == [f"{MESSAGES}/1/0"]
    nexts = {each["topic"]: each["next"] for each in made["partitions"]}
    assert (nexts[MESSAGES], nexts[EMAIL]) == (120, 42)


def test_no_index_one_in_use_and_anothers_are_wrong_use(
    capsys: Captured, installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = installation / "index"
    assert run_command(["index", "status"]) == 2
    assert not folder.exists()
    assert "index rebuild" in capsys.readouterr().err
    held = ArchiveIndex.open(folder, RING.archive, RING.index_key)
    for words in (["rebuild"], ["rebuild", "--fresh"]):
        assert run_command(["index", *words]) == 2
        assert "another process writes it" in capsys.readouterr().err
    assert run_command(["index", "status"]) == 0
    held.close()
    ArchiveIndex.open(installation / "other", RING.archive, bytes(32)).close()
    monkeypatch.setenv("AUDIT_INDEX_DIR", str(installation / "other"))
    assert run_command(["index", "rebuild"]) == 2
    assert "rebuild --fresh" in capsys.readouterr().err
    assert run_command(["index", "rebuild", "--fresh"]) == 0


def test_fresh_deletes_nothing_but_the_index(installation: Path) -> None:
    folder = installation / "index"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    assert run_command(["index", "rebuild"]) == 0
    assert run_command(["index", "rebuild", "--fresh"]) == 0
    assert (folder / "mine.txt").read_text() == "mine"
