"""A process that does one write and kills itself: ``action root name step``.

It dies just before its `step`-th system call on a path under the root, seen by an audit hook.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from audit_stream.stores.file import FileStore
from audit_stream.stores.subjects import FileSubjectStore, entity_tag


def die_at(step: int, root: str) -> None:
    """Count every audited call that names a path under `root`."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event.startswith(("open", "os.", "fcntl")) and _names(root, arguments):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _names(root: str, arguments: tuple[object, ...]) -> bool:
    paths = (os.fspath(a) for a in arguments if isinstance(a, str | os.PathLike))
    return any(isinstance(path, str) and path.startswith(root) for path in paths)


def main() -> None:
    action, root, name, step = sys.argv[1:]
    die_at(int(step), root)
    if action == "put":
        FileStore(Path(root)).put_sync(name, b"x" * 100_000)
        return
    subjects = FileSubjectStore(Path(root))
    if action == "replace":
        subjects.replace_sync(name, b"new" * 100, entity_tag(b"old" * 100))
    elif action == "remove":
        subjects.remove_sync(name, entity_tag(b"old" * 100))


if __name__ == "__main__":
    main()
