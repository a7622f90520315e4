"""What a process asks of glibc's allocator; of other C libraries nothing is asked.

By itself it raises the size from which a buffer is a mapping of its own, and goes back to the
system when it is free, to that of the largest buffer it has seen. A thread's arena then keeps holes
of that size. With the size fixed it gives back every 128 kB at an arena's end as well, and the
pages of each batch are made anew.
"""

from __future__ import annotations

import ctypes
import threading
import time
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # glibc's <malloc.h>
_ARENAS = 4


def give_back(every: float = 60.0) -> None:
    """For who lives long: large buffers, as of inflated segments, go back to the system; of each
    arena as much is kept as a batch takes. It saves a page fault in six events.

    What lives long lies between what does not, so that an arena's end is hardly ever free: `every`
    so many seconds the free pages inside go back as well. A few milliseconds, without the GIL.
    """
    _ask((_MMAP_THRESHOLD, 1 << 20), (_TRIM_THRESHOLD, 8 << 20), (_ARENA_MAX, _ARENAS))
    threading.Thread(target=_trim, args=(every,), name="allocator", daemon=True).start()


def keep() -> None:
    """For who reads one segment after another and ends: their buffers are used again. It saves
    a page fault in four records, a twentieth of what `verify` takes."""
    _ask((_MMAP_THRESHOLD, 32 << 20), (_TRIM_THRESHOLD, 128 << 20))


def _ask(*settings: tuple[int, int]) -> None:
    with suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        for name, value in settings:
            libc.mallopt(name, value)


def _trim(every: float) -> None:
    with suppress(AttributeError, OSError):
        trim = ctypes.CDLL(None).malloc_trim
        while True:
            time.sleep(every)
            trim(0)
