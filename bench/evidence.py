"""``python -m bench.evidence``: notary, bundles and API on an archive made without Kafka.

    notary   from an empty log to one with every segment, in one call: seconds a 1,000 segments
    bundle   100 messages looked up, proven, zipped: seconds
    api      one gateway process, asked at a steady rate over a pool of connections: p50, p99

Client and gateway share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from rich.console import Console

from audit_stream.app.now import now
from audit_stream.bundle.build import build_bundle
from audit_stream.bundle.facts import Custody
from audit_stream.bundle.messages import Collector
from audit_stream.evidence.note import NoteSigner
from audit_stream.gateway.tokens import TokenFile
from audit_stream.index.database import ArchiveIndex
from audit_stream.index.lookup import Lookup
from audit_stream.index.tail import Archive, Tail
from audit_stream.kafka.embedded import free_ports
from audit_stream.notary.gather import Ends, Gatherer
from audit_stream.notary.notary import Notary
from audit_stream.telemetry.alerts import AlarmBoard
from bench.archive import COVER, KEYRING, NAME, TRUSTED, BenchArchive
from bench.index import messages_of
from bench.processes import RunFailed

_BUNDLED = 100
_LIMIT_SECONDS = 600.0
_KEPT = httpx.Limits(max_connections=64, max_keepalive_connections=64)  # as a caller's pool has
Keys = list[tuple[str, str]]  # tenant, message id


async def _nobody() -> Ends | None:
    return None


async def notary(archive: BenchArchive) -> tuple[int, float]:
    """Segments, and the seconds it took to log them all."""
    store = archive.store
    gatherer = Gatherer(store, NAME, TRUSTED, AlarmBoard(NAME))
    writer = Notary(store, NoteSigner(NAME, KEYRING.log_key or b""), gatherer, _nobody, now)
    await writer.resume()
    began = time.perf_counter()
    written = await writer.write()
    seconds = time.perf_counter() - began
    return written.leaves - written.batches, seconds


async def bundle(archive: BenchArchive, keys: Keys, folder: Path) -> tuple[int, float]:
    """Bytes, and seconds, of a bundle of some messages; the index is made before."""
    index = ArchiveIndex.open(folder, NAME, KEYRING.index_key)
    source = Archive(archive.store, archive.subjects, TRUSTED, KEYRING)
    tail = Tail(source, index, AlarmBoard(NAME))
    await tail.catch_up()
    lookup = Lookup(index, source, lambda _: COVER)
    signer = NoteSigner(NAME, KEYRING.log_key or b"")
    log = Notary(archive.store, signer, Gatherer(archive.store, NAME, TRUSTED, AlarmBoard(NAME)),
                 _nobody, now).log  # fmt: skip
    custody = Custody(exported_by="bench", exported_at=now(), request="bench", software="bench")
    began = time.perf_counter()
    found = [(await lookup.by_message(*key))[0] for key in keys]
    collector = Collector(store=archive.store, log=log, segment_keys=TRUSTED.publics)
    data = build_bundle(await collector.collect(found, custody))
    seconds = time.perf_counter() - began
    index.close()
    return len(data), seconds


async def api(folder: Path, keys: Keys, rate: int, seconds: int) -> list[float]:
    """Seconds of each request; the index is there, as it is after a restart."""
    keyring = folder / "keys" / "keyring.json"
    keyring.parent.mkdir(exist_ok=True)
    for path, data in ((keyring, KEYRING.encode() + b"\n"),
                       (keyring.parent / KEYRING.trees[0].cover, COVER)):  # fmt: skip
        path.write_bytes(data)
        path.chmod(0o600)
    _, token = TokenFile(folder / "tokens.json").create(("*",), ("audit:read",), None)
    port, web = free_ports(2)
    environment = os.environ | {
        "AUDIT_ARCHIVE": (folder / "archive").as_uri(), "AUDIT_ARCHIVE_NAME": NAME,
        "AUDIT_SUBJECTS": (folder / "subjects").as_uri(), "AUDIT_KEYRING": str(keyring),
        "AUDIT_INDEX_DIR": str(folder / "index"), "AUDIT_GATEWAY_PORT": str(port),
        "AUDIT_GATEWAY_TOKENS": str(folder / "tokens.json"), "AUDIT_GATEWAY_RATE": "100000",
        "AUDIT_ANSWER_KEYS": str(folder / "answers"), "AUDIT_JOURNAL_DIR": str(folder / "journal"),
        "AUDIT_WEB_PORT": str(web), "AUDIT_LOG_LEVEL": "WARNING",
    }  # fmt: skip
    process = _start(environment)
    try:
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30, limits=_KEPT
        ) as client:
            await _ready(client, process)
            await _load(client, keys, rate, min(seconds, 5))  # to warm up
            return await _load(client, keys, rate, seconds)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


def _start(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "audit_stream", "gateway"], env=environment)


async def _ready(client: httpx.AsyncClient, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _LIMIT_SECONDS
    while True:
        try:
            await client.get("/.well-known/jwks.json")
            return
        except httpx.ConnectError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RunFailed("the gateway does not serve") from None
            await asyncio.sleep(0.2)


async def _load(client: httpx.AsyncClient, keys: Keys, rate: int, seconds: int) -> list[float]:
    """Ask at a steady rate, whatever the answers take: an open load."""
    times: list[float] = []

    async def ask(key: tuple[str, str]) -> None:
        began = time.perf_counter()
        answer = await client.get("/api/v1/audit/notifications", params={
            "platform_tenant_id": key[0], "message_uuid": key[1],
        })  # fmt: skip
        times.append(time.perf_counter() - began)
        if answer.status_code != 200:
            raise RunFailed(f"answered {answer.status_code}")

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(rate * seconds):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            group.create_task(ask(keys[number % len(keys)]))
    return times


def main() -> int:
    """Measure and print; exit code 3 when something failed."""
    parser = argparse.ArgumentParser(prog="bench.evidence", description=__doc__)
    parser.add_argument("--events", type=int, default=2_800_000, help="of which 0.36 are archived")
    parser.add_argument("--segment-records", type=int, default=1_000)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=20)
    given = parser.parse_args()
    console, folder = Console(), Path(tempfile.mkdtemp(prefix="audit-bench-"))
    try:
        archive = BenchArchive(folder=folder, segment_records=given.segment_records)
        records = archive.make(given.events)
        console.print(f"{records:,} records, {given.segment_records:,} a segment")
        segments, seconds = asyncio.run(notary(archive))
        console.print(f"notary: {segments:,} leaves, {1000 * seconds / segments:.2f} s a 1,000")
        sample = random.Random(1)  # noqa: S311 - a sample
        keys = sample.sample(sorted(set(messages_of(archive))), 5_000)
        size, seconds = asyncio.run(bundle(archive, keys[:_BUNDLED], folder / "index"))
        console.print(f"bundle of {_BUNDLED} messages: {seconds:.2f} s, {size:,} bytes")
        times = sorted(asyncio.run(api(folder, keys, given.rate, given.seconds)))
        console.print(
            f"api at {given.rate} requests/s: p50 {1000 * statistics.median(times):.1f} ms, "
            f"p99 {1000 * times[int(len(times) * 0.99)]:.1f} ms"
        )
    except RunFailed as failure:
        console.print(str(failure), markup=False)
        return 3
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
