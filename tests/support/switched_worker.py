"""A worker, notary or gateway whose faults are switched: each is on while a file has its name.

``away``: the store does not answer; ``weak``: it can no longer show what it enforces; ``stall``:
the event loop blocks, once; ``slow-restore``: every resync waits; ``full-disk``: the disk of the
state directory is full. A notary knows ``away`` only; a gateway that and ``unlisted``: the store
cannot be listed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from audit_stream.app import gauges
from audit_stream.app.notary import run_notary
from audit_stream.app.run import run_worker
from audit_stream.errors import StoreTransient
from audit_stream.ports import PutResult
from audit_stream.posture import Assurance, Finding, Posture, Standing
from audit_stream.settings import Settings
from audit_stream.stores import open as stores
from audit_stream.stores.file import FileStore
from audit_stream.stream.resync import Resync

STALL_SECONDS = 12.0
_LOOK_SECONDS = 0.1
_DISK = "128m"
_FULL = 0.97  # of what was free
_MOUNTED = "AUDIT_TEST_SMALL_DISK"
#: Mounts a small disk where the state lies, for this process only, and becomes it.
_MOUNT = f'mount -t tmpfs -o size={_DISK} tmpfs "$AUDIT_STATE_DIR" && exec "$@"'


class Switches:
    """The folder of the files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on(self, fault: str) -> bool:
        return (self._folder / fault).exists()

    def turn(self, fault: str, on: bool) -> None:
        path = self._folder / fault
        path.touch() if on else path.unlink(missing_ok=True)


class SwitchedStore(FileStore):
    """A file store that can be away, and whose policy can go."""

    switches: Switches

    async def put_if_absent(self, name: str, data: bytes, metadata: Any) -> PutResult:
        if self.switches.on("away"):
            raise StoreTransient("the store is away")
        return await super().put_if_absent(name, data, metadata)

    async def posture(self) -> Posture:
        if self.switches.on("weak"):
            return _posture("could not be read", Standing.UNKNOWN, Assurance.MUTABLE)
        return _posture("Unlocked", Standing.OK, Assurance.WORM_UNLOCKED)


def _posture(value: str, standing: Standing, ceiling: Assurance) -> Posture:
    fact = "retention policy"
    found = Finding(fact=fact, value=value, standing=standing, ceiling=ceiling)
    return Posture(findings=(found,))


def run(folder: Path, settings: Settings) -> None:
    """Run the worker; where a disk of its own can be mounted, in a process that has one."""
    switches = Switches(folder)
    if not os.environ.get(_MOUNTED):
        _try_on_a_small_disk(settings.state_dir)
        _pretend_the_disk_is_full(switches)
    else:
        threading.Thread(target=_fill, args=(switches, settings.state_dir), daemon=True).start()
    _switch_the_store(switches)
    gauges._DISK_SECONDS = 0.5
    _slow_down_resync(switches)
    asyncio.run(run_worker(settings, lambda step, _: _stall(switches, step)))


def notary(folder: Path, settings: Settings) -> None:
    """Run a notary."""
    _switch_the_store(Switches(folder))
    asyncio.run(run_notary(settings))


class UnlistedStore(SwitchedStore):
    """A file store that may not tell what it holds."""

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        if self.switches.on("unlisted"):
            raise StoreTransient("the store is away")
        return await super().names(prefix, after=after, limit=limit)


def gateway(folder: Path, settings: Settings) -> None:
    """Run a gateway."""
    from audit_stream.app.gateway_server import serve

    _switch_the_store(Switches(folder), UnlistedStore)
    serve(settings)


def _switch_the_store(switches: Switches, store: type[SwitchedStore] = SwitchedStore) -> None:
    SwitchedStore.switches = switches
    stores.FileStore = store  # type: ignore[misc]


def _try_on_a_small_disk(state_dir: Path) -> None:
    state_dir.mkdir(parents=True, exist_ok=True)
    alone = ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None:
        return
    probe = [*alone, "mount", "-t", "tmpfs", "tmpfs", str(state_dir)]
    if subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0:
        os.environ[_MOUNTED] = "1"
        command = [*alone, "sh", "-c", _MOUNT, "sh", *sys.orig_argv]
        os.execvp(command[0], command)


def _fill(switches: Switches, state_dir: Path) -> None:
    filler = state_dir / "filler"
    while True:
        if switches.on("full-disk") and not filler.exists():
            free = shutil.disk_usage(state_dir).free
            with filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, int(_FULL * free))
        elif not switches.on("full-disk"):
            filler.unlink(missing_ok=True)
        time.sleep(_LOOK_SECONDS)


def _pretend_the_disk_is_full(switches: Switches) -> None:
    measured = shutil.disk_usage

    def usage(path: Any) -> Any:
        found = measured(path)
        full = switches.on("full-disk")
        return found._replace(free=int((1 - _FULL) * found.total)) if full else found

    gauges.shutil = SimpleNamespace(disk_usage=usage)  # type: ignore[assignment]


def _stall(switches: Switches, step: str) -> None:
    if step == "seal" and switches.on("stall"):
        switches.turn("stall", False)
        time.sleep(STALL_SECONDS)


def _slow_down_resync(switches: Switches) -> None:
    fold = Resync.fold

    async def slow(self: Resync, chain: Any) -> Any:
        while switches.on("slow-restore"):  # noqa: ASYNC110 - another process switches
            await asyncio.sleep(_LOOK_SECONDS)
        return await fold(self, chain)

    Resync.fold = slow  # type: ignore[method-assign]
