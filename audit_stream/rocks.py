"""How a RocksDB database is opened: the precedence table's, a replay's own, the gateway's index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import rocksdict

from audit_stream.errors import StateError

_CACHE_BYTES = 64 << 20
_WRITE_BUFFER_BYTES = 8 << 20
_METADATA_BLOCK_BYTES = 16 << 10
_MEMTABLE_BLOOM = 0.05  # of the write buffer


def new_cache() -> rocksdict.Cache:
    """A block cache; the databases of a process share one."""
    return rocksdict.Cache(_CACHE_BYTES)


def open_database(
    path: Path, cache: rocksdict.Cache, *, write_buffer_bytes: int = _WRITE_BUFFER_BYTES,
    read_only: bool = False,
) -> rocksdict.Rdict:  # fmt: skip
    """The database in the folder `path`, made if need be unless `read_only`; keys and values are
    bytes."""
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(not read_only)
    options.set_write_buffer_size(write_buffer_bytes)
    options.set_max_write_buffer_number(3)
    options.set_max_open_files(256)
    # Most look-ups are for messages never seen: a filter answers without a search.
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(_MEMTABLE_BLOOM)
    blocks = rocksdict.BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_bloom_filter(10, block_based=False)
    # In parts, of which a look-up needs one: the whole filter of a large file is more than a shard
    # of the cache takes, so it would be read and checked again for every look-up.
    blocks.set_index_type(rocksdict.BlockBasedIndexType.two_level_index_search())
    blocks.set_partition_filters(True)
    blocks.set_metadata_block_size(_METADATA_BLOCK_BYTES)
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_top_level_index_and_filter(True)
    options.set_block_based_table_factory(blocks)
    if read_only:
        access = rocksdict.AccessType.read_only()
        return rocksdict.Rdict(
            str(path), options=options, column_families=_whole(options), access_type=access
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return rocksdict.Rdict(str(path), options=options, column_families=_whole(options))


def _whole(options: rocksdict.Options) -> dict[str, rocksdict.Options]:
    """Options of the one column family. Unless they are named, a database that exists is opened
    with those in its own file, which know neither cache nor filter."""
    return {"default": options}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say `StateError` where the database in `path` does not take what is written in the block.

    RocksDB has one exception for all there is; the head of its sentence names no key.
    """
    try:
        yield
    except Exception as error:
        if type(error) is not Exception and not isinstance(error, OSError):
            raise
        reason = ": ".join(part.strip() for part in str(error).split(":")[:2])
        raise StateError(
            f"cannot write the database {path}: {reason}",
            hint="make room on its file system; it is a cache, and made anew when it is deleted",
        ) from None


def batch_of(pairs: Iterable[tuple[bytes, bytes | None]]) -> rocksdict.WriteBatch:
    """A batch that applies the pairs in order; None deletes the key."""
    batch = rocksdict.WriteBatch(raw_mode=True)
    for key, value in pairs:
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value)
    return batch
