"""`audit-stream state rebuild`: the precedence table from the archive alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from audit_stream.cli.options import Config, Json
from audit_stream.cli.output import Output
from audit_stream.cli.topics import wanted_topics
from audit_stream.settings import Settings

if TYPE_CHECKING:
    from audit_stream.kafka.connect import KafkaConnection

app = typer.Typer(help="The precedence table is a cache of the archive.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The precedence table is a cache of the archive."""


@app.command()
def rebuild(
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write the table's changelog anew from the archive and drop the local copy.

    A changelog of another partition count than AUDIT_PARTITIONS is deleted and created again.
    Stop the fleet first: a worker that still runs is fenced and ends.
    """
    settings = Settings.load(config)
    out = Output(as_json)
    counts = asyncio.run(_rebuild(settings, out))
    out.document({"states": sum(counts), "partitions": counts})
    out.table("Rebuilt", ["partition", "states"], list(enumerate(counts)))


async def _rebuild(settings: Settings, out: Output) -> list[int]:
    from audit_stream.app.checks import check_same, lock_state_dir
    from audit_stream.app.places import archive_to_read
    from audit_stream.app.topics import archived_topics, changelog_topic
    from audit_stream.archive.streams import newest_stream
    from audit_stream.kafka.connect import KafkaConnection
    from audit_stream.keys.file import load_closed
    from audit_stream.stream.changelog import ChangelogWriter
    from audit_stream.stream.rebuild import Rebuilder, discard_local

    with lock_state_dir(settings.state_dir):
        store = archive_to_read(settings)
        trusted = load_closed(settings.keyring).trusted
        connection = KafkaConnection.from_settings(settings)
        options = connection.client_options()
        topic = changelog_topic(settings)
        found = [await newest_stream(store, trusted, t) for t in archived_topics(settings).values()]
        streams = {stream.topic: stream for stream in found if stream is not None}
        for stream in streams.values():
            check_same(stream, settings.partitions, None)
        await _match_partitions(connection, settings, topic)
        writer = ChangelogWriter(settings.app_id, topic, options)
        rebuilder = Rebuilder(store, trusted, streams, writer, topic, options, settings.state_dir)
        counts: list[int] = []
        with out.progress() as progress:
            task = progress.add_task("rebuilding", total=None, rate="")
            for partition in range(settings.partitions):  # one producer open at a time
                count = await rebuilder.partition(partition, lambda n: progress.advance(task, n))
                counts.append(count)
        await writer.close()
        discard_local(settings.state_dir)
        await store.close()
    return counts


async def _match_partitions(connection: KafkaConnection, settings: Settings, topic: str) -> None:
    """Make the changelog anew, empty, where it has another partition count."""
    from audit_stream.kafka.ask import topic_partitions
    from audit_stream.kafka.topic_apply import recreate_topic

    counts = await topic_partitions(connection, [topic])
    if counts.get(topic) != settings.partitions:
        wanted = next(wanted for wanted in wanted_topics(settings) if wanted.name == topic)
        await recreate_topic(connection, wanted)
