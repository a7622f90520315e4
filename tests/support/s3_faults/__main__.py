"""The proxy as a process, before a server that several processes use.

    OTHER_KEY_ID=… OTHER_SECRET=… python -m tests.support.s3_faults UPSTREAM

The first line on stdout is JSON: ``url`` and ``control``. It runs until SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal

from audit_stream.stores.s3_target import S3Keys
from tests.support.faulty.control import FaultControl
from tests.support.s3_faults.proxy import FaultProxy


async def serve(upstream: str) -> None:
    """Until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    other = S3Keys(key_id=os.environ["OTHER_KEY_ID"], secret=os.environ["OTHER_SECRET"])
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
