"""What is asked of the allocator, as glibc itself tells it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.fleet import ROOT

_LOOK = """
import ctypes, sys

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
        "fordblks", "keepcost",
    )]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
if sys.argv[1] == "give_back":
    from audit_stream.app.interpreter import tune
    tune()
if sys.argv[1] == "keep":
    from audit_stream.app import allocator
    allocator.keep()
large = b"x" * (20 << 20)
del large  # from here on glibc would keep buffers of up to this size
before = libc.mallinfo2().hblks
kept = b"x" * (3 << 20)
print(libc.mallinfo2().hblks - before)
segment = b"x" * (9 << 20)
print(libc.mallinfo2().hblks - before)
del segment
batch = [b"x" * 60_000 for _ in range(100)]
full = libc.mallinfo2().arena
batch.clear()
print(libc.mallinfo2().arena == full)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc")
@pytest.mark.parametrize(
    ("how", "mapped"),
    [("give_back", ["1", "2"]), ("keep", ["0", "0"]), ("as it is", ["0", "0"])],
)
def test_large_buffers_are_mappings_of_their_own_and_what_a_batch_takes_is_kept(
    how: str, mapped: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, how], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [*mapped, "True"]


_HOLES = """
import resource
from pathlib import Path
from audit_stream.app.allocator import give_back
from tests.support.eventually import until

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

give_back(every=0.02)
before = resident()
pieces = [b"x" * 2_000 for _ in range(50_000)]
kept = pieces[::50]  # lives long, between what does not
full = resident()
pieces.clear()
until(lambda: resident() < before + (full - before) // 2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc")
def test_what_is_free_between_what_lives_long_goes_back_as_well() -> None:
    subprocess.run([sys.executable, "-c", _HOLES], check=True, cwd=ROOT)
