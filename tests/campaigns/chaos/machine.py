"""A machine whose clock jumps and whose disk is slow or full, for one process at a time."""

from __future__ import annotations

import errno
import mmap
import os
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_SHIM = Path(__file__).with_name("shim.c")
#: As `struct control` there: 64-bit integers, each written whole.
_CLOCK_OFFSET, _DISK_DELAY, _DISK_ERRNO = range(3)
_FIELDS = struct.Struct("@q")
_SIZE = mmap.PAGESIZE


class Machine:
    """What a process sees that was started with `environment`, and its children.

    `folder` keeps the control file and the compiled shim. The faults of the disk meet the files
    under `disks`, which is `folder` alone where none are given. Faults last until `heal`; they
    live in this process and in those that were started with it, so nothing is left behind.
    """

    #: What a campaign prints. A small file system would need a privilege for a full disk, and
    #: could neither be slow nor fill up and drain under a process that runs.
    means = "a shim of ours before the C library (LD_PRELOAD)"

    def __init__(self, folder: Path, disks: Sequence[Path] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._disks = tuple(each.resolve() for each in disks or (folder,))
        self._path = folder.resolve() / "machine.control"
        self._library = folder.resolve() / "machine.so"
        _place(self._path, bytes(_SIZE))
        _place(self._library, compiled())
        with self._path.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), _SIZE)

    @property
    def environment(self) -> dict[str, str]:
        """What to start a process with, beside the rest of its environment."""
        before = os.environ.get("LD_PRELOAD")
        return {
            "LD_PRELOAD": f"{self._library}:{before}" if before else str(self._library),
            "CHAOS_CONTROL": str(self._path),
            "CHAOS_DISKS": ":".join(map(str, self._disks)),
        }

    @property
    def clock_offset(self) -> int:
        """Milliseconds that its wall clock is ahead of the real one."""
        return self._read(_CLOCK_OFFSET)

    def clock_jump(self, ms: int) -> None:
        """Let the wall clock jump, ahead or back, from where it is. Monotonic clocks stay."""
        self._write(_CLOCK_OFFSET, self.clock_offset + ms)

    def slow_disk(self, ms: int) -> None:
        """Let every sync and every write at a position take so much longer."""
        self._write(_DISK_DELAY, ms)

    def full_disk(self, error: int = errno.ENOSPC) -> None:
        """Let whatever writes fail, and what would make or open a file to write; reading goes on.

        Another `error` is another disk: with EIO it is broken.
        """
        self._write(_DISK_ERRNO, error)

    def heal(self) -> None:
        """The clock is right, the disk fast and with room."""
        for field in (_CLOCK_OFFSET, _DISK_DELAY, _DISK_ERRNO):
            self._write(field, 0)

    def _read(self, field: int) -> int:
        value: int = _FIELDS.unpack_from(self._control, field * _FIELDS.size)[0]
        return value

    def _write(self, field: int, value: int) -> None:
        _FIELDS.pack_into(self._control, field * _FIELDS.size, value)


def _place(path: Path, data: bytes) -> None:
    """As a file that nobody has mapped: to write into one that somebody has would kill them."""
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(data)
    fresh.replace(path)


@cache
def compiled() -> bytes:
    """The shim as a shared library. Raises CalledProcessError; what the compiler says is shown."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "shim.so"
        command = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-o"]
        subprocess.run([*command, library, _SHIM, "-ldl"], check=True)
        return library.read_bytes()
