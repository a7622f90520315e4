"""Overwriting key bytes that are let go of, so that they do not lie in freed memory until reused.

Python has no way of its own. CPython keeps the content of a `bytes` behind its fixed header; it is
written over there, which only the sole owner of such an object may do.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_CPYTHON: Final = sys.implementation.name == "cpython"
_HEADER: Final = bytes.__basicsize__ - 1  # the last byte of it is the content's final zero


def wipe(secret: bytes) -> None:
    """Zero the content in place. Nobody else may hold this very object; of another interpreter than
    CPython nothing is done."""
    if _CPYTHON and secret:
        ctypes.memset(id(secret) + _HEADER, 0, len(secret))
