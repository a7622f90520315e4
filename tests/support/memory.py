"""What a process has in its memory, read from outside."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

_MAP = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r")
_WORD = 8


def _regions(pid: int) -> Iterator[bytes]:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            match = _MAP.match(line)
            if match is None or line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            start, end = (int(each, 16) for each in match.groups())
            try:
                memory.seek(start)
                yield memory.read(end - start)
            except (OSError, ValueError, OverflowError):  # a region that went, or no memory at all
                continue


def secrets_in(pid: int, secrets: set[bytes], size: int) -> set[bytes]:
    """Which of these secrets, all of `size` bytes, stand in a process's memory.

    Looked for at every eighth byte, where Python keeps bytes and a cover its nodes, by their first
    eight: a set is asked for each word.
    """
    heads = {int.from_bytes(secret[:_WORD], sys.byteorder) for secret in secrets}
    found: set[bytes] = set()
    for region in _regions(pid):
        words = memoryview(region)[: len(region) // _WORD * _WORD].cast("Q")
        if heads.isdisjoint(words):
            continue
        for at, word in enumerate(words):
            candidate = region[at * _WORD : at * _WORD + size] if word in heads else b""
            if candidate in secrets:
                found.add(candidate)
    return found
