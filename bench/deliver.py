"""``python -m bench.deliver``: deliveries a second at 1 and 50 ms of the endpoint's latency.

One deliverer, with the parts and the file store of the real one, in this process; the endpoint is a
process of its own that waits and answers 201. Medians of three runs; CPU is the deliverer's alone.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web
from pydantic import SecretStr
from rich.console import Console

from audit_stream.app.deliverer import deliverer_of
from audit_stream.app.delivering import delivering
from audit_stream.keys.file import log_signer
from audit_stream.keys.public import PublicKeys
from audit_stream.settings import Settings
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.telemetry.metrics import Metrics
from bench.archive import KEYRING, NAME, SIGNER, BenchArchive

LATENCIES = (0.001, 0.05)  # seconds
CONCURRENCIES = (1, 32, 128)
RUNS = 3
_SECONDS = 4.0  # a run takes about so long
_MOST = 8_000  # records of a run
_ARCHIVED = 0.4  # of events


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    records: int
    seconds: float
    cpu: float  # seconds of the deliverer's

    @property
    def rate(self) -> float:
        """Deliveries a second."""
        return self.records / self.seconds

    @property
    def cpu_each(self) -> float:
        """Microseconds a delivery."""
        return self.cpu / self.records * 1e6


def _serve(latency: float, told: Connection) -> None:
    async def post(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(latency)
        return web.Response(status=201)

    async def run() -> None:
        app = web.Application()
        app.router.add_post("/{any:.*}", post)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        told.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


@contextmanager
def endpoint(latency: float) -> Iterator[int]:
    """The port of an endpoint that takes so long, for the block."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(latency, there))
    process.start()
    try:
        yield here.recv()
    finally:
        process.terminate()
        process.join()


def measure(folder: Path, port: int, concurrency: int) -> Measured:
    """Deliver the archive in the folder once, positions included."""
    (folder / "public.txt").write_text(
        PublicKeys(segments=(SIGNER.public,), log=log_signer(KEYRING).key).encode()
    )
    settings = Settings.load(
        archive=(folder / "archive").as_uri(), archive_name=NAME,
        state_dir=Path(tempfile.mkdtemp(dir=folder)), web_port=0,
        delivery_url=f"http://127.0.0.1:{port}", delivery_token=SecretStr("bench"),
        delivery_synchronous=True, delivery_public_keys=folder / "public.txt",
        delivery_concurrency=concurrency,
    )  # fmt: skip
    return asyncio.run(_deliver(settings))


async def _deliver(settings: Settings) -> Measured:
    metrics, alarms = Metrics(), AlarmBoard("bench")
    async with delivering(settings, alarms) as place:
        deliverer, _ = deliverer_of(place, metrics, alarms)
        began, cpu = time.perf_counter(), time.process_time()
        while await deliverer.catch_up():
            pass
        seconds, used = time.perf_counter() - began, time.process_time() - cpu
    name = {"target": settings.delivery_name, "outcome": "stored"}
    records = metrics.registry.get_sample_value("audit_stream_deliveries_total", name)
    return Measured(int(records or 0), seconds, used)


def main(latencies: Sequence[float] = LATENCIES) -> None:
    """Print a table."""
    Console().print("| latency | concurrency | deliveries/s | CPU µs each |\n|---|---|---|---|")
    for latency in latencies:
        with endpoint(latency) as port:
            for concurrency in CONCURRENCIES:
                wanted = min(_MOST, int(_SECONDS * concurrency / latency))
                with tempfile.TemporaryDirectory() as folder:
                    BenchArchive(folder=Path(folder)).make(int(wanted / _ARCHIVED))
                    runs = [measure(Path(folder), port, concurrency) for _ in range(RUNS)]
                rate = statistics.median(run.rate for run in runs)
                each = statistics.median(run.cpu_each for run in runs)
                Console().print(
                    f"| {latency * 1000:g} ms | {concurrency} | {rate:,.0f} | {each:,.0f} |",
                    markup=False,
                )


if __name__ == "__main__":
    main()
