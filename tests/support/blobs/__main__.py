"""The double as a process, for workers that are processes themselves.

    python -m tests.support.blobs [--port N] [--control-port N] [--now SECONDS]
                                  [--tls-cert PEM --tls-key PEM]

The first line on stdout is JSON: ``url`` (of the account ``devaccount``: what AUDIT_AZURE_ENDPOINT
or the BlobEndpoint of a connection string wants), ``root`` (the same without the account) and
``control``. It runs until SIGTERM. `control` has what
can be asked and told on the way, `process.BlobProcess` starts one and speaks for a test.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import ssl
import time

from tests.support.blobs.control import Control
from tests.support.blobs.http import BlobDouble
from tests.support.blobs.service import BlobService


async def serve(given: argparse.Namespace) -> None:
    """Until told to stop."""
    tls = None
    if given.tls_cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(given.tls_cert, given.tls_key)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    service = BlobService(now=given.now)
    async with (
        BlobDouble(service, port=given.port, tls=tls) as double,
        Control(double, given.control_port) as control,
    ):
        places = {"url": double.url, "root": double.root, "control": control.url}
        print(json.dumps(places), flush=True)
        await stop.wait()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.blobs")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--now", type=int, default=int(time.time()))
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
