"""moto, an S3 server in this process and in memory: Amazon's words, and little of its rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from moto.server import ThreadedMotoServer

from tests.support.versitygw import S3Server


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """A server on a free port of the loopback interface, for the block. It checks no key."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield S3Server(f"http://{host}:{port}")
    finally:
        server.stop()
