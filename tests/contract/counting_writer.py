"""A process that counts up one subject object: ``root name increments``."""

from __future__ import annotations

import sys
from pathlib import Path

from audit_stream.stores.subjects import FileSubjectStore


def main() -> None:
    store, name = FileSubjectStore(Path(sys.argv[1])), sys.argv[2]
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(sys.argv[3])):
        while True:
            found = store.get_sync(name)
            assert found is not None
            if store.replace_sync(name, b"%d" % (int(found.data) + 1), found.etag):
                break


if __name__ == "__main__":
    main()
