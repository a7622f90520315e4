"""How a RocksDB database of states is opened: the precedence table's, and a replay's own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import rocksdict

_CACHE_BYTES = 64 << 20
_WRITE_BUFFER_BYTES = 8 << 20
_MEMTABLE_BLOOM = 0.05  # of the write buffer


def new_cache() -> rocksdict.Cache:
    """A block cache; the databases of a process share one."""
    return rocksdict.Cache(_CACHE_BYTES)


def open_database(path: Path, cache: rocksdict.Cache) -> rocksdict.Rdict:
    """The database in the folder `path`, made if need be; keys and values are bytes."""
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(3)
    options.set_max_open_files(256)
    # Most look-ups are for messages never seen: a filter answers without a search.
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(_MEMTABLE_BLOOM)
    blocks = rocksdict.BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_bloom_filter(10, block_based=False)
    blocks.set_cache_index_and_filter_blocks(True)
    options.set_block_based_table_factory(blocks)
    path.parent.mkdir(parents=True, exist_ok=True)
    return rocksdict.Rdict(str(path), options=options)


def batch_of(pairs: Iterable[tuple[bytes, bytes | None]]) -> rocksdict.WriteBatch:
    """A batch that applies the pairs in order; None deletes the key."""
    batch = rocksdict.WriteBatch(raw_mode=True)
    for key, value in pairs:
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value)
    return batch
