"""Files of lines: what a name says, and what is done about damage."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import zstandard

from audit_stream.errors import ConfigError
from audit_stream.kafka.lines import find_file, open_lines

TEXT = b"one\n\ntwo\r\n\xff\xfe\nlast"
LINES = [b"one", b"", b"two\r", b"\xff\xfe", b"last"]


def read(path: Path) -> list[bytes]:
    """All lines of a file."""
    with open_lines(find_file(str(path))) as (lines, _):
        return list(lines)


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("calls.jsonl", "calls"),
        ("calls.jsonl.gz", "calls"),
        ("out_bound-2.jsonl.zst", "out_bound-2"),
        ("calls.json", None),
        ("calls.jsonl.bz2", None),
        ("a.b.jsonl", None),
        ("calls", None),
    ],
)
def test_the_name_says_the_topic(tmp_path: Path, name: str, topic: str | None) -> None:
    (tmp_path / name).write_bytes(b"")
    assert find_file(str(tmp_path / name)).topic == topic


def test_a_dash_is_standard_input_and_has_no_size() -> None:
    file = find_file("-")
    assert (file.path, file.topic, file.size) == (None, None, None)


def test_a_missing_file_is_told() -> None:
    with pytest.raises(ConfigError, match="no such file"):
        find_file("nowhere.jsonl")


def test_lines_keep_every_byte_but_the_line_feed(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(TEXT)
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(TEXT[:5]) + gzip.compress(TEXT[5:]))
    packer = zstandard.ZstdCompressor()
    (tmp_path / "t.jsonl.zst").write_bytes(packer.compress(TEXT[:5]) + packer.compress(TEXT[5:]))
    for name in ("t.jsonl", "t.jsonl.gz", "t.jsonl.zst"):
        assert read(tmp_path / name) == LINES, name


@pytest.mark.parametrize("damage", ["cut", "flipped", "not packed"])
@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_damaged_file_is_told_by_name(tmp_path: Path, suffix: str, damage: str) -> None:
    text = b"".join(b"%d some text\n" % n for n in range(5000))
    packers = {
        ".gz": gzip.compress,
        ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    }
    packed = bytearray(packers[suffix](text))
    if damage == "cut":
        del packed[len(packed) // 2 :]
    elif damage == "flipped":
        packed[len(packed) // 2] ^= 0xFF
    else:
        packed = bytearray(text)
    path = tmp_path / f"t.jsonl{suffix}"
    path.write_bytes(packed)
    with pytest.raises(ConfigError, match=path.name):
        read(path)


def test_a_sidecar_names_keys_by_line(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(b"x\n"))
    (tmp_path / "t.keys.json").write_text('{"1": "ключ", "2": null}', "utf-8")
    assert find_file(str(tmp_path / "t.jsonl.gz")).keys == {1: "ключ".encode(), 2: None}


@pytest.mark.parametrize("text", ["{", "[1]", '{"one": "x"}', '{"1": 2}'])
def test_a_broken_sidecar_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.jsonl").write_bytes(b"x\n")
    (tmp_path / "t.keys.json").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=r"t\.keys\.json"):
        find_file(str(tmp_path / "t.jsonl"))


@pytest.mark.parametrize("offset", [0, 4, 5, 10, len(TEXT), len(TEXT) + 1])
def test_reading_goes_on_at_an_offset_of_the_unpacked_text(tmp_path: Path, offset: int) -> None:
    (tmp_path / "t.jsonl").write_bytes(TEXT)
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(TEXT))
    (tmp_path / "t.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(TEXT))
    for name in ("t.jsonl", "t.jsonl.gz", "t.jsonl.zst"):
        with open_lines(find_file(str(tmp_path / name)), offset) as (lines, _):
            assert b"\n".join(lines) == TEXT[offset:], name
