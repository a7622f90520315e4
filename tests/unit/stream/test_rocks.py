"""How databases are opened: with their cache and filters, the first time and every other."""

from __future__ import annotations

from pathlib import Path

import pytest
import rocksdict

from audit_stream.rocks import batch_of, new_cache, open_database

_CACHE = 64 << 20
_COUNT = 120_000


def fill(database: rocksdict.Rdict, prefix: bytes) -> None:
    """More than a write buffer, in files when this returns."""
    for first in range(0, _COUNT, 10_000):
        numbers = range(first, first + 10_000)
        database.write(batch_of((b"%s%060d" % (prefix, n), b"x" * 24) for n in numbers))
    database.flush()


def of_tables(database: rocksdict.Rdict, name: str) -> int:
    """A number that RocksDB knows of all files of a database together."""
    told = database.property_value("rocksdb.aggregated-table-properties") or ""
    pairs = (each.strip().partition("=") for each in told.split(";"))
    [found] = [value for key, _, value in pairs if key == name]
    return int(found)


@pytest.mark.parametrize("times", [1, 2])
def test_it_is_opened_with_its_cache_and_filters_however_often(tmp_path: Path, times: int) -> None:
    cache = new_cache()
    for number in range(times):
        database = open_database(tmp_path / "a.db", cache)
        assert database.property_int_value("rocksdb.block-cache-capacity") == _CACHE
        before = 0 if not number else of_tables(database, "filter block size")
        fill(database, b"%d" % number)
        assert of_tables(database, "filter block size") - before > _COUNT  # ten bits a key
        database.close()


def test_a_filter_lies_in_parts(tmp_path: Path) -> None:
    database = open_database(tmp_path / "a.db", new_cache())
    fill(database, b"k")
    assert of_tables(database, "# index partitions") > 1
    database.close()


def test_one_that_is_only_read_uses_the_cache_and_finds_what_is_there(tmp_path: Path) -> None:
    database = open_database(tmp_path / "a.db", new_cache())
    database.write(batch_of([(b"k", b"v"), (b"gone", b"v"), (b"gone", None)]))
    database.close()
    read = open_database(tmp_path / "a.db", new_cache(), read_only=True)
    assert read.property_int_value("rocksdb.block-cache-capacity") == _CACHE
    assert (read.get(b"k"), read.get(b"gone")) == (b"v", None)
    with pytest.raises(Exception, match=r"(?i)read.?only"):
        read.put(b"k", b"w")
    read.close()
