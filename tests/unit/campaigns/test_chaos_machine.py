"""The machine of one process: what its clock and its disk do when told, and nobody else's."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.campaigns.chaos.machine import Machine

HOUR_MS = 3_600_000
SLOW_MS = 150
#: A process that says what each line it is given is worth, with how many seconds that took.
ANSWERS = """
import ctypes, datetime, errno, json, os, subprocess, sys, time
from pathlib import Path
from rocksdict import Rdict, WriteOptions

libc = ctypes.CDLL(None, use_errno=True)
synced = WriteOptions()
synced.sync = True


def waited(seconds):
    "Until a semaphore nobody raises is given up, by a deadline of the wall clock."
    semaphore, moment = ctypes.create_string_buffer(64), (ctypes.c_long * 2)()
    libc.sem_init(semaphore, 0, 0)
    nanos = time.time_ns() + int(seconds * 1e9)
    moment[:] = divmod(nanos, 10**9)
    libc.sem_timedwait(semaphore, moment)
    return ctypes.get_errno() == errno.ETIMEDOUT


def signalled(seconds):
    "The same with a condition."
    condition, mutex = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
    moment = (ctypes.c_long * 2)(*divmod(time.time_ns() + int(seconds * 1e9), 10**9))
    libc.pthread_mutex_lock(mutex)
    return libc.pthread_cond_timedwait(condition, mutex, moment) == errno.ETIMEDOUT


for line in sys.stdin:
    began = time.monotonic()
    try:
        answer = eval(line)
    except OSError as error:
        answer = -error.errno
    except Exception as error:
        answer = str(error)
    print(json.dumps([answer, time.monotonic() - began]), flush=True)
"""


class Process:
    """A process on that machine."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", ANSWERS], env=machine.environment, cwd=folder, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def timed(self, expression: str) -> tuple[Any, float]:
        """What an expression is worth, and the seconds that took; an OSError is ``-errno``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(expression, file=self._process.stdin, flush=True)
        answer, seconds = json.loads(self._process.stdout.readline())
        return answer, seconds

    def __call__(self, expression: str) -> Any:
        return self.timed(expression)[0]

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Process, Path]]:
    """A machine, a process on it, and the folder whose `disk` is its disk."""
    root = tmp_path_factory.mktemp("machine")
    (root / "disk").mkdir()
    machine = Machine(root / "control", [root / "disk"])
    process = Process(machine, root)
    yield machine, process, root
    process.end()


@pytest.fixture
def machine(running: tuple[Machine, Process, Path]) -> Iterator[Machine]:
    machine, *_ = running
    yield machine
    machine.heal()


@pytest.fixture
def disk(running: tuple[Machine, Process, Path], tmp_path: Path) -> Path:
    """A folder of the test's own on the disk."""
    *_, root = running
    folder = root / "disk" / tmp_path.name
    folder.mkdir()
    return folder


@pytest.fixture
def process(running: tuple[Machine, Process, Path], tmp_path: Path, disk: Path) -> Process:
    """The process, in a folder of the test's own that is on no disk, with a link to one that is."""
    _, process, _ = running
    (tmp_path / "disk").symlink_to(disk)
    process(f"os.chdir({str(tmp_path)!r})")
    return process


WALL = [
    "time.time()", "time.time_ns() / 1e9", "datetime.datetime.now().timestamp()",
    "time.clock_gettime(time.CLOCK_REALTIME)", "libc.time(None)",
]  # fmt: skip


@pytest.mark.parametrize("jump", [HOUR_MS, -HOUR_MS, 1_500, -1_500])
def test_the_wall_clock_jumps_and_comes_back(machine: Machine, process: Process, jump: int) -> None:
    machine.clock_jump(jump)
    for clock in WALL:
        assert process(clock) - time.time() == pytest.approx(jump / 1000, abs=1.2), clock
    machine.heal()
    for clock in WALL:
        assert process(clock) - time.time() == pytest.approx(0, abs=1.2), clock


def test_jumps_add_up(machine: Machine, process: Process) -> None:
    machine.clock_jump(HOUR_MS)
    machine.clock_jump(-2 * HOUR_MS)
    assert process("time.time()") - time.time() == pytest.approx(-3600, abs=1.2)
    assert machine.clock_offset == -HOUR_MS


def test_monotonic_clocks_stay(machine: Machine, process: Process) -> None:
    for clock in ("time.monotonic()", "time.clock_gettime(time.CLOCK_BOOTTIME)"):
        before = process(clock)
        machine.clock_jump(-HOUR_MS)
        after = process(clock)
        assert 0 <= after - before < 60
        assert after == pytest.approx(eval(clock), abs=1.2)


@pytest.mark.parametrize("wait", ["waited", "signalled"])
@pytest.mark.parametrize("jump", [HOUR_MS, -HOUR_MS])
def test_a_wait_by_the_moved_clock_lasts_as_long_as_it_says(
    machine: Machine, process: Process, jump: int, wait: str
) -> None:
    machine.clock_jump(jump)
    timed_out, seconds = process.timed(f"{wait}(0.2)")
    assert timed_out
    assert 0.19 < seconds < 10


def test_a_child_has_the_same_machine(machine: Machine, process: Process) -> None:
    machine.clock_jump(HOUR_MS)
    date = process("int(subprocess.run(['date', '+%s'], capture_output=True).stdout)")
    assert date - time.time() == pytest.approx(3600, abs=1.2)


def test_another_machine_has_its_own_clock_and_the_former_lives_on(
    machine: Machine, process: Process, tmp_path: Path
) -> None:
    former = Machine(tmp_path)
    its = Process(former, tmp_path)
    machine.clock_jump(HOUR_MS)
    assert its("time.time()") - time.time() == pytest.approx(0, abs=1.2)
    Machine(tmp_path)  # in the same place
    former.clock_jump(-HOUR_MS)
    assert its("time.time()") - time.time() == pytest.approx(-3600, abs=1.2)
    its.end()


@pytest.mark.parametrize("call", ["os.fsync(file)", "os.fdatasync(file)", "os.pwrite(file,b'x',0)"])
def test_a_slow_disk_is_slow_for_its_files_alone(
    machine: Machine, process: Process, call: str
) -> None:
    process("globals().update(file=os.open('disk/a', os.O_RDWR | os.O_CREAT))")
    machine.slow_disk(SLOW_MS)
    assert process.timed(call)[1] >= SLOW_MS / 1000
    machine.heal()
    process("globals().update(file=os.open('elsewhere', os.O_RDWR | os.O_CREAT))")
    machine.slow_disk(60_000)
    assert process.timed(call)[1] < 30


WRITING = [
    "Path('disk/a').write_bytes(b'x')", "Path('disk/a').open('ab')", "Path('disk/new').touch()",
    "Path('disk/folder').mkdir()", "os.write(file, b'x')", "os.pwrite(file, b'x', 0)",
    "os.ftruncate(file, 100)", "os.posix_fallocate(file, 0, 100)", "os.fsync(file)",
    "os.writev(file, [b'x'])", "os.link('disk/a', 'disk/b')", "os.replace('disk/a', 'disk/c')",
    "os.close(os.open('d', os.O_CREAT | os.O_RDWR, dir_fd=os.open('disk', os.O_RDONLY)))",
    "os.replace('around', 'disk/a')", "Path('disk').resolve().joinpath('a').write_bytes(b'x')",
]  # fmt: skip


@pytest.mark.parametrize("call", WRITING)
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_takes_nothing_until_it_heals(
    machine: Machine, process: Process, disk: Path, call: str, error: int
) -> None:
    (disk / "a").write_bytes(b"before")
    process("Path('around').write_bytes(b'y')")
    process("globals().update(file=os.open('disk/a', os.O_RDWR))")
    machine.full_disk(error)
    assert process(call) == -error
    assert [each.name for each in disk.iterdir()] == ["a"]
    assert process("Path('disk/a').read_text()") == "before"
    machine.heal()
    assert process(f"({call}, 'done')[1]") == "done"


def test_a_full_disk_is_no_other(machine: Machine, process: Process, disk: Path) -> None:
    machine.full_disk()
    beside = disk.parent.with_name(f"disk-{disk.name}")
    assert process(f"Path({str(beside)!r}).write_bytes(b'x')") == 1
    assert process("Path('elsewhere').write_bytes(b'x')") == 1


#: By its whole path: a database that is closed in another working folder would look for it there.
OPEN = "globals().update(db=Rdict(str(Path('disk/db').resolve())))"
PUT = "db.put('{key}', 'value', write_opt=synced)"


def test_rocksdb_meets_a_full_disk_and_keeps_what_it_acknowledged(
    machine: Machine, process: Process
) -> None:
    process(OPEN)
    assert process(PUT.format(key="before")) is None
    machine.full_disk()
    assert "No space left on device" in process(PUT.format(key="during"))
    machine.heal()
    process("db.close()")
    process(OPEN)
    assert process("db.get('before')") == "value"
    assert process(PUT.format(key="after")) is None
    assert process("db.get('after')") == "value"
    process("db.close()")


def test_rocksdb_meets_a_slow_disk(machine: Machine, process: Process) -> None:
    process(OPEN)
    machine.slow_disk(SLOW_MS)
    assert process.timed(PUT.format(key="a"))[1] >= SLOW_MS / 1000
    machine.heal()
    process("db.close()")


def test_rocksdb_lives_on_when_the_clock_jumps(machine: Machine, process: Process) -> None:
    process(OPEN)
    for jump in (HOUR_MS, -2 * HOUR_MS):
        machine.clock_jump(jump)
        result, seconds = process.timed(PUT.format(key="a"))
        assert result is None
        assert seconds < 10
    _, seconds = process.timed("db.close()")
    assert seconds < 10
