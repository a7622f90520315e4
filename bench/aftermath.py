"""What is measured on a finished run of ours: verifying its archive, restoring its table.

Black box, by the commands and endpoints an operator has, so that start-up and all the checks count.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from bench.contenders import AuditStream, Run
from bench.processes import Command, Fleet, RunFailed

_READY_LIMIT_SECONDS = 600.0
_POLL_SECONDS = 0.02


async def after(run: Run, *, records: int, keys: int) -> dict[str, float]:
    """Rates over the archive and the changelog that `run` left: of `records` and `keys`."""
    ours = AuditStream()
    return {
        "verify_records_per_core_second": await asyncio.to_thread(verify_rate, ours, run, records),
        "restore_keys_per_core_second": await restore_rate(ours, run, keys),
    }


def verify_rate(ours: AuditStream, run: Run, records: int) -> float:
    """Records per second of processor time of ``audit-stream verify`` over the whole archive."""
    public = run.folder / "public.key"
    public.write_bytes(_output(ours, run, "keyring", "public"))
    before = _children_seconds()
    _output(ours, run, "verify", "--key", str(public))
    return records / (_children_seconds() - before)


async def restore_rate(ours: AuditStream, run: Run, keys: int) -> float:
    """Keys per second and core, of both workers restoring at once on an empty disk.

    Timed from launch to ready, less the same start with the disk as it was.
    """
    warm = await ready(ours, run)
    for member in range(run.members):
        shutil.rmtree(run.folder / f"state-{member}")
    cold = await ready(ours, run)
    return keys / (cold.seconds - warm.seconds) / min(run.members, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A start of all workers, until every one was ready."""

    seconds: float
    peak_rss_bytes: int  # of any one of them


async def ready(ours: AuditStream, run: Run) -> Ready:
    """Start the workers, and stop them again."""
    ports = [_free_port() for _ in range(run.members)]
    commands = [
        Command(
            name=f"restore-{member}",
            argv=command.argv,
            folder=command.folder,
            env={**command.env, "AUDIT_WEB_PORT": str(ports[member])},
        )
        for member, command in enumerate(ours.commands(run))
    ]
    fleet = Fleet(commands)
    started = time.perf_counter()
    fleet.start()
    try:
        for port in ports:
            await _wait_ready(port, fleet, started + _READY_LIMIT_SECONDS)
        seconds = time.perf_counter() - started
        return Ready(seconds=seconds, peak_rss_bytes=fleet.peak_rss_bytes)
    finally:
        await asyncio.to_thread(fleet.stop)


async def _wait_ready(port: int, fleet: Fleet, deadline: float) -> None:
    while not await asyncio.to_thread(_is_ready, port):
        if time.perf_counter() > deadline:
            raise RunFailed(f"a worker is not ready\n{fleet.tails()}")
        fleet.watch()
        await asyncio.sleep(_POLL_SECONDS)


def _is_ready(port: int) -> bool:
    url = f"http://127.0.0.1:{port}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _output(ours: AuditStream, run: Run, *words: str) -> bytes:
    done = subprocess.run(
        [sys.executable, *AuditStream.PROGRAM, *words],
        cwd=run.folder,
        env={**os.environ, **ours.settings(run, 0)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RunFailed(f"audit-stream {words[0]}: {done.stderr.decode('utf-8', 'replace')}")
    return done.stdout


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])
