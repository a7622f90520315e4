"""How a process that judges batches sets Python's own knobs, and whether its hot parts are C."""

from __future__ import annotations

import gc
import sys

from audit_stream.app import allocator
from audit_stream.evidence import compiled as segments
from audit_stream.flatten import common
from audit_stream.privacy import primitives

_SWITCH_SECONDS = 0.0005
_GC_THRESHOLDS = (100_000, 20, 50)


def tune() -> None:
    """For a thread that fetches, or an event loop, beside one that judges.

    It needs the interpreter for moments at a time; with Python's 5 ms it would wait for most of a
    batch to be judged before it could ask for the next one. The batch path makes no cycles, only
    many objects.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(*_GC_THRESHOLDS)
    allocator.give_back()


def tune_for_reading() -> None:
    """For a command that goes through segments and ends: looking for cycles among its many small
    objects took a sixth of its time, and there are none."""
    gc.set_threshold(*_GC_THRESHOLDS)
    allocator.keep()


def compiled() -> bool:
    """Whether reading and sealing are compiled here; in Python they do the same, more slowly."""
    return common.COMPILED and primitives.COMPILED and segments.compiled is not None
