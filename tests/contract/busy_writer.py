"""A process that puts for ever: ``root round``; prints each name once its put has returned."""

from __future__ import annotations

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from audit_stream.stores.file import FileStore


def main() -> None:
    store, round_ = FileStore(Path(sys.argv[1])), sys.argv[2]
    numbers = itertools.count()

    def write(_: int) -> None:
        while True:
            name = f"busy/{round_}/{next(numbers):06d}"
            store.put_sync(name, (name.encode() + b"\n") * 5000)
            sys.stdout.write(name + "\n")
            sys.stdout.flush()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))


if __name__ == "__main__":
    main()
