"""`audit-stream broker`: a real Kafka of one node that stays up, to try things on."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit_stream.cli.output import Output
from audit_stream.errors import BrokerError

if TYPE_CHECKING:
    from audit_stream.kafka.embedded import EmbeddedKafka

_POLL_SECONDS = 0.5


def broker(
    folder: Annotated[
        Path, typer.Option(help="Where its data goes; what is there is gone on with.")
    ] = Path("var/broker"),
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Its port on 127.0.0.1.")] = 9092,
) -> None:
    """Run a Kafka of one node here, until SIGTERM or Ctrl-C. To try things on, not for real.

    Loopback only, without security, and one disk is all there is of it. Needs what the demo needs:
    the extra [demo], and Maven Central at the first start.

    Exit 0: stopped. 1: it did not start, or ended by itself. 2: wrong use.
    """
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_serve(folder, port, Output()))


async def _serve(folder: Path, port: int, out: Output) -> None:
    from audit_stream.kafka.embedded import EmbeddedKafka

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    async with EmbeddedKafka(folder, port=port) as kafka:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        out.say(f"{kafka.url} is up; its data is in {folder}")
        await _until(stop, kafka)
    out.say("stopped")


async def _until(stop: asyncio.Event, kafka: EmbeddedKafka) -> None:
    while not stop.is_set():
        if not kafka.is_running:
            raise BrokerError("the Kafka ended by itself", hint=f"see {kafka.log_path}")
        try:
            await asyncio.wait_for(stop.wait(), _POLL_SECONDS)
        except TimeoutError:
            continue
