"""How a process that judges batches sets Python's own knobs and the allocator's, and whether its
hot parts are C."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress

from audit_stream.evidence import compiled as segments
from audit_stream.flatten import common
from audit_stream.privacy import primitives

_SWITCH_SECONDS = 0.0005
_GC_THRESHOLDS = (100_000, 20, 50)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # glibc's <malloc.h>
_OWN_MAPPING_BYTES = 1 << 20
_KEPT_FREE_BYTES = 8 << 20  # of each arena
_ARENAS = 4


def tune() -> None:
    """For a thread that fetches, or an event loop, beside one that judges.

    It needs the interpreter for moments at a time; with Python's 5 ms it would wait for most of a
    batch to be judged before it could ask for the next one. The batch path makes no cycles, only
    many objects.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(*_GC_THRESHOLDS)
    _give_memory_back()


def _give_memory_back() -> None:
    """Large buffers, as of inflated segments, go back to the system once they are free.

    By itself glibc raises the size from which it does so to that of the largest buffer it has
    seen, and each thread's arena then keeps holes of that size. With that size fixed it would give
    back every 128 kB at an arena's end as well, and have the pages of each batch made anew: a page
    for six events. Of other C libraries nothing is asked.
    """
    with suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE_BYTES)
        libc.mallopt(_M_ARENA_MAX, _ARENAS)


def compiled() -> bool:
    """Whether reading and sealing are compiled here; in Python they do the same, more slowly."""
    return common.COMPILED and primitives.COMPILED and segments.compiled is not None
