"""What every bundle ships unchanged: the verifiers, and texts for people."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

NAMES = ("README.txt", "fre902.md", "openssl.sh", "verify.html", "verify.py")


def shipped() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each."""
    for name in NAMES:
        yield name, (files(__name__) / name).read_bytes()
