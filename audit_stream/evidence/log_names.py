"""Names of the archive log's objects (formats.md section 4)."""

from __future__ import annotations

import re

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT  # hashes in a full tile
LOG_FOLDER = "log/"
ACCESS_FOLDER = "access/"
SIZE_DIGITS = 20
_BATCH = re.compile(r"log/(?P<size>\d{20})\.json")
_ANCHOR = re.compile(r"anchor/(?P<size>\d{20})/(?P<file>[A-Za-z0-9_-]+\.(?:tsr|note))")
_JOURNAL = re.compile(r"[0-9a-f]{16}")
_ACCESS = re.compile(r"access/(?P<number>\d{20})/(?P<journal>[0-9a-f]{16})\.ndjson")
_TILE = re.compile(r"tile/(?P<level>\d{1,2})/(?P<index>(?:x\d{3}/)*\d{3})")


def batch_name(old_size: int) -> str:
    """Of the batch that begins with leaf `old_size`."""
    return f"{LOG_FOLDER}{old_size:020d}.json"


def parse_batch_name(name: str) -> int | None:
    """The old size, or None when `name` is no batch's."""
    match = _BATCH.fullmatch(name)
    return None if match is None else int(match["size"])


def tile_name(level: int, index: int) -> str:
    """Of a full tile (C2SP tlog-tiles): ``tile/0/x001/234``."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    return f"tile/{level}/{'/'.join(reversed(groups))}"


def parse_tile_name(name: str) -> tuple[int, int] | None:
    """(level, index) of a tile's one name, or None."""
    match = _TILE.fullmatch(name)
    if match is None:
        return None
    level, index = int(match["level"]), int(match["index"].replace("x", "").replace("/", ""))
    return (level, index) if tile_name(level, index) == name else None


def anchor_name(size: int, file: str) -> str:
    """Of what vouches for the checkpoint of a size: ``<authority>.tsr``, ``<witness>.note``."""
    return f"anchor/{size:020d}/{file}"


def parse_anchor_name(name: str) -> tuple[int, str] | None:
    """(size, file), or None when `name` is no anchor's."""
    match = _ANCHOR.fullmatch(name)
    return None if match is None else (int(match["size"]), match["file"])


def is_log_name(name: str) -> bool:
    """Whether it is a batch's, a tile's, an anchor's or a journal part's."""
    parsers = (parse_batch_name, parse_tile_name, parse_anchor_name, parse_access_name)
    return any(parse(name) is not None for parse in parsers)


def is_journal(text: str) -> bool:
    """Whether it can be the id of an access journal."""
    return _JOURNAL.fullmatch(text) is not None


def access_folder(number: int) -> str:
    """Of the parts of this number of all access journals. That of 0 tells which journals there
    are, without a listing of years of parts."""
    return f"{ACCESS_FOLDER}{number:020d}/"


def access_name(journal: str, number: int) -> str:
    """Of a sealed part of an access journal."""
    return f"{access_folder(number)}{journal}.ndjson"


def parse_access_name(name: str) -> tuple[str, int] | None:
    """(journal, number), or None when `name` is no journal part's."""
    match = _ACCESS.fullmatch(name)
    return None if match is None else (match["journal"], int(match["number"]))
