"""How long a worker takes until it archives again: on an empty disk, on a kept volume, and with its
changelog lost, where the archive alone is left.

``python -m tests.campaigns.takeover --keys 1000000``; a broker of its own, a worker as a process.
Most of the keys are written to the changelog directly, as a worker's would be: restoring them does
not depend on how they came there.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from functools import partial
from pathlib import Path

from audit_stream.app.topics import changelog_topic
from audit_stream.archive.streams import newest_stream
from audit_stream.cli.verify import trusted_keys
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.embedded import EmbeddedKafka
from audit_stream.precedence.matrix import State, table_key
from audit_stream.stores.file import FileStore
from audit_stream.stream.changelog import ChangelogWriter
from audit_stream.stream.form import FIRST_FORM
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.load import Progress

_STEP = 50_000
_LIMIT_SECONDS = 600.0
#: A worker that is stopped is no member any more, so nothing waits for its session.
_SETTINGS = {"AUDIT_LEAVE_ON_STOP": "true", "AUDIT_SESSION_TIMEOUT_SECONDS": "45"}


async def fill(fleet: Fleet, keys: int) -> None:
    """So many states more in the changelog, spread over the partitions."""
    settings = fleet.settings
    store = FileStore(settings.archive_path)
    stream = await newest_stream(store, trusted_keys(settings, []), fleet.topic)
    assert stream is not None
    options = KafkaConnection.from_settings(settings).client_options()
    writer = ChangelogWriter(settings.app_id, changelog_topic(settings), options)
    await writer.own(range(fleet.partitions))
    state = State(rank=1, revision=1, offset=1, timestamp=1)
    for begin in range(0, keys, _STEP):
        end = min(keys, begin + _STEP)
        states = {table_key(stream.stream, "tenant_a", f"filled-{n:032d}"): state
                  for n in range(begin, end)}  # fmt: skip
        await writer.write(begin // _STEP % fleet.partitions, FIRST_FORM.states(states))
    await writer.close()


async def taken(fleet: Fleet, events: Events, index: int) -> float:
    """Start a worker; seconds until every partition has a segment of what came since."""
    await fleet.send(events.lines(500))
    began, since = time.monotonic(), time.time()
    fleet.start(index)
    await eventually(partial(Progress(fleet).everywhere, since), _LIMIT_SECONDS)
    return time.monotonic() - began


async def measure(keys: int, folder: Path) -> None:
    async with EmbeddedKafka(folder / "kafka") as broker:
        fleet = Fleet(broker.url, folder, "takeover", extra=_SETTINGS)
        await fleet.prepare()
        events = Events(1, fleet.topic)
        try:
            await taken(fleet, events, 0)
            await fleet.settled()
            await fleet.stop(0)
            await fill(fleet, keys)
            print("| | seconds until it archives |\n|---|---|")
            print(f"| empty disk, {keys:,} keys | {await taken(fleet, events, 1):.1f} |")
            await fleet.settled()
            await fleet.stop(1)
            print(f"| its volume, {keys:,} keys | {await taken(fleet, events, 1):.1f} |")
            await fleet.settled()
            await fleet.stop(1)
            print(f"| empty disk, no keys | {await bare(fleet, events):.1f} |")
            await fleet.check(events.oracle)
        finally:
            await fleet.close()


async def bare(fleet: Fleet, events: Events) -> float:
    """Another group and changelog, both empty: what little there is comes from the archive."""
    fleet.app = "takeover-again"
    await fleet.prepare()
    return await taken(fleet, events, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    keys = parser.parse_args().keys
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(keys, Path(folder)))


if __name__ == "__main__":
    main()
