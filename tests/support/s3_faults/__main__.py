"""The proxy as a process, before a server that several processes use.

    OTHER_ACCESS_KEY=… OTHER_SECRET_KEY=… python -m tests.support.s3_faults UPSTREAM

The first line on stdout is JSON: ``url`` and ``control``. It runs until SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal

from tests.support.faulty.control import FaultControl
from tests.support.s3_faults.proxy import FaultProxy
from tests.support.s3_faults.signed import Credentials


async def serve(upstream: str) -> None:
    """Until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    other = Credentials(os.environ["OTHER_ACCESS_KEY"], os.environ["OTHER_SECRET_KEY"])
    async with FaultProxy(upstream, other) as proxy, FaultControl(proxy) as control:
        print(json.dumps({"url": proxy.url, "control": control.url}), flush=True)
        await stop.wait()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.s3_faults")
    parser.add_argument("upstream", help="URL of the S3 server")
    asyncio.run(serve(parser.parse_args().upstream))


if __name__ == "__main__":
    main()
