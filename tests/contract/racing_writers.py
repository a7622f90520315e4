"""A process of the race: ``root threads number``; prints which of its writers won which name."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from audit_stream.ports import PutResult
from audit_stream.stores.file import FileStore
from tests.contract.worm_store_contract import NAMES


def main() -> None:
    root, threads, number = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

    def write(thread: int) -> list[tuple[str, str]]:
        store, body = FileStore(root), f"writer {number}.{thread}"
        return [
            (name, body)
            for name in NAMES
            if store.put_sync(name, body.encode()) is PutResult.STORED
        ]

    print("ready", flush=True)
    sys.stdin.readline()
    won: dict[str, list[str]] = {}
    with ThreadPoolExecutor(threads) as pool:
        for wins in pool.map(write, range(threads)):
            for name, body in wins:
                won.setdefault(name, []).append(body)
    print(json.dumps(won))


if __name__ == "__main__":
    main()
