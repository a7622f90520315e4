"""A contender's processes: started together, frozen and thawed together, watched all the time."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from audit_stream.kafka.child import die_with_parent

_STOP_LIMIT_SECONDS = 20.0
_LOG_TAIL_BYTES = 3000


class RunFailed(Exception):
    """A contender ended, stood still or gave a wrong result; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One process: what to run, what to add to the environment, where it runs."""

    name: str
    argv: Sequence[str]
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)


class Fleet:
    """Every process of one contender, each with its own log file."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self._commands = commands
        self._running: list[subprocess.Popen[bytes]] = []
        self._peaks: list[int] = []

    def start(self) -> None:
        """Start all of them."""
        for command in self._commands:
            command.folder.mkdir(parents=True, exist_ok=True)
            with self._log(command).open("wb") as log:
                process = subprocess.Popen(
                    command.argv,
                    cwd=command.folder,
                    env={**os.environ, **command.env},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # a process group of its own: Ctrl-C is for us
                    preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, no locks
                )
            self._running.append(process)
            self._peaks.append(0)

    def freeze(self) -> None:
        """Stop all of them on the spot; they keep their memory, sockets and group membership."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End them: politely, then by force."""
        self.thaw()
        self._signal(signal.SIGTERM)
        psutil.wait_procs(
            [psutil.Process(process.pid) for process in self._running if process.poll() is None],
            timeout=_STOP_LIMIT_SECONDS,
        )
        self._signal(signal.SIGKILL)
        for process in self._running:
            process.wait()

    def watch(self) -> None:
        """Note how much memory each uses now. Raises RunFailed when one has ended."""
        for index, process in enumerate(self._running):
            if process.poll() is not None:
                command = self._commands[index]
                raise RunFailed(
                    f"{command.name} ended with code {process.returncode}:\n{self._tail(command)}"
                )
            used = psutil.Process(process.pid).memory_info().rss
            self._peaks[index] = max(self._peaks[index], used)

    @property
    def pids(self) -> list[int]:
        """Of all that were started."""
        return [process.pid for process in self._running]

    @property
    def peak_rss_bytes(self) -> int:
        """The most resident memory any one process was seen to use."""
        return max(self._peaks, default=0)

    def cpu_seconds(self) -> float:
        """User and system time of all of them so far."""
        times = [psutil.Process(process.pid).cpu_times() for process in self._running]
        return float(sum(time.user + time.system for time in times))

    def tails(self) -> str:
        """The end of every log, for a failure message."""
        return "\n".join(self._tail(command) for command in self._commands)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._running:
            if process.poll() is None:  # not reaped yet, so the group id is still ours
                os.killpg(process.pid, number)

    @staticmethod
    def _log(command: Command) -> Path:
        return command.folder / f"{command.name}.log"

    def _tail(self, command: Command) -> str:
        text = self._log(command).read_bytes()[-_LOG_TAIL_BYTES:].decode("utf-8", "replace")
        return f"--- {command.name} ---\n{text}"
