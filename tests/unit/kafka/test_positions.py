"""Positions of an import: of one file and one target, whole or not there."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from audit_stream.errors import ConfigError
from audit_stream.kafka.lines import LineFile, find_file
from audit_stream.kafka.positions import SUFFIX, Positions
from audit_stream.kafka.refused import Tally
from audit_stream.kafka.sending import Mark

TOPICS: dict[str, str | None] = {"t": "id-1"}


def files(folder: Path, *names: str) -> list[LineFile]:
    for name in names:
        (folder / name).write_bytes(b"one\ntwo\nthree\n")
    return [find_file(str(folder / name)) for name in names]


def test_files_before_the_mark_are_done_and_those_behind_it_not_begun(tmp_path: Path) -> None:
    found = files(tmp_path, "a.jsonl", "b.jsonl", "c.jsonl")
    Positions(found, TOPICS, None).save(Mark(1, 2, 8), {})
    begun = Positions(found, TOPICS, None).begun()
    assert {i: (p.done, p.line, p.offset) for i, p in begun.items()} == {
        0: (True, 0, 0),
        1: (False, 2, 8),
    }


def test_what_was_refused_goes_with_the_position(tmp_path: Path) -> None:
    found = files(tmp_path, "a.jsonl", "b.jsonl", "c.jsonl")
    refused = {0: Tally(200, ((1, "large"), (3, "no topic"))), 1: Tally(1, ((2, "large"),))}
    Positions(found, TOPICS, None).save(Mark(1, 2, 8), refused)
    begun = Positions(found, TOPICS, None).begun()
    assert {i: p.tally for i, p in begun.items()} == refused


def test_a_position_of_an_earlier_build_knows_of_none(tmp_path: Path) -> None:
    found = files(tmp_path, "a.jsonl")
    Positions(found, TOPICS, None).save(Mark(0, 1, 4), {0: Tally(1, ((1, "large"),))})
    path = tmp_path / f"a.jsonl{SUFFIX}"
    kept = orjson.loads(path.read_bytes())
    path.write_bytes(orjson.dumps({k: v for k, v in kept.items() if "refused" not in k}))
    assert Positions(found, TOPICS, None).begun()[0].tally == Tally()


def test_a_later_save_replaces_and_removing_leaves_nothing(tmp_path: Path) -> None:
    found = files(tmp_path, "a.jsonl")
    positions = Positions(found, TOPICS, None)
    for line in (1, 2):
        positions.save(Mark(0, line, 4 * line), {})
    assert Positions(found, TOPICS, None).begun()[0].line == 2
    positions.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]
    assert Positions(found, TOPICS, None).begun() == {}


def test_files_of_one_name_from_two_folders_do_not_share_a_position(tmp_path: Path) -> None:
    for name in ("x", "y", "z"):
        (tmp_path / name).mkdir()
    found = [*files(tmp_path / "x", "a.jsonl"), *files(tmp_path / "y", "a.jsonl")]
    positions = Positions(found, TOPICS, tmp_path / "z")
    positions.save(Mark(1, 1, 4), {})
    assert len(list((tmp_path / "z").iterdir())) == 2
    assert [p.done for p in Positions(found, TOPICS, tmp_path / "z").begun().values()] == [
        True,
        False,
    ]


@pytest.mark.parametrize("text", [b"one\ntwo\nthree\nfour\n", b"two\none\nthree\n"])
def test_a_file_that_changed_is_refused(tmp_path: Path, text: bytes) -> None:
    found = files(tmp_path, "a.jsonl")
    Positions(found, TOPICS, None).save(Mark(0, 1, 4), {})
    (tmp_path / "a.jsonl").write_bytes(text)
    with pytest.raises(ConfigError, match="another file"):
        Positions(found, TOPICS, None).begun()


@pytest.mark.parametrize("topics", [{"t": "id-2"}, {"u": "id-1"}, {"t": None}])
def test_another_target_is_refused(tmp_path: Path, topics: dict[str, str | None]) -> None:
    found = files(tmp_path, "a.jsonl")
    Positions(found, TOPICS, None).save(Mark(0, 1, 4), {})
    with pytest.raises(ConfigError, match="other topics"):
        Positions(found, topics, None).begun()


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"line":1}'])
def test_what_is_no_position_is_refused(tmp_path: Path, text: bytes) -> None:
    found = files(tmp_path, "a.jsonl")
    (tmp_path / f"a.jsonl{SUFFIX}").write_bytes(text)
    with pytest.raises(ConfigError, match="not a position"):
        Positions(found, TOPICS, None).begun()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    positions = Positions(files(tmp_path, "a.jsonl"), TOPICS, tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="cannot keep"):
        positions.save(Mark(0, 1, 4), {})
