"""`import` puts every line into Kafka, byte for byte, in order, under the right key."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
import zstandard
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.partitioner import murmur2
from typer.testing import CliRunner

from audit_stream.cli.import_ import import_files as command
from audit_stream.errors import BrokerError, ConfigError, TopicError
from audit_stream.kafka.ask import describe_topics, topic_ends
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.embedded import EmbeddedKafka
from audit_stream.kafka.importer import Imported, Options, Progress, import_files
from audit_stream.kafka.lines import find_file
from audit_stream.kafka.refused import KEPT, MOST_OPEN, Refused
from audit_stream.kafka.topics import topics_dir
from tests.integration.conftest import not_run
from tests.support.eventually import eventually

pytestmark = pytest.mark.kafka
PARTITIONS = 3


@dataclass(frozen=True)
class Got:
    """A record as read back."""

    partition: int
    key: bytes | None
    value: bytes


@pytest.fixture
async def topic(connection: KafkaConnection, fresh: str) -> str:
    """A raw topic of the test's own."""
    await make(connection, fresh)
    return fresh


async def make(connection: KafkaConnection, name: str, **configs: str) -> None:
    """A topic of three partitions, visible on return."""
    spelled = {key.replace("_", "."): value for key, value in configs.items()}

    async def there() -> bool:
        return name in await describe_topics(connection, [name])

    async with open_admin(connection) as admin:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=spelled)])
    await eventually(there)


async def read(connection: KafkaConnection, topic: str) -> list[Got]:
    """Everything in a topic, partition by partition, in offset order."""
    ends = {
        TopicPartition(*where): end
        for where, (_, end) in (await topic_ends(connection, [topic])).items()
    }
    consumer = AIOKafkaConsumer(**connection.client_options(), enable_auto_commit=False)
    await consumer.start()
    found: dict[TopicPartition, list[Got]] = defaultdict(list)
    try:
        consumer.assign(list(ends))
        await consumer.seek_to_beginning()
        async with asyncio.timeout(60):
            while sum(map(len, found.values())) < sum(ends.values()):
                for part, records in (await consumer.getmany(timeout_ms=200)).items():
                    found[part] += [Got(part.partition, r.key, r.value) for r in records]
    finally:
        await consumer.stop()
    return [one for part in sorted(found) for one in found[part]]


def event(message: str, status: str = "SENT", **more: object) -> bytes:
    """A minimal event."""
    return json.dumps({"message_id": message, "status": status, **more}).encode()


async def run(
    connection: KafkaConnection, raw: Sequence[str], *paths: Path, topic: str | None = None
) -> Imported:
    """Import some files."""
    files = [find_file(str(path)) for path in paths]
    return await import_files(connection, files, raw_topics=raw, options=Options(topic=topic))


async def test_every_line_arrives_byte_for_byte_under_its_message_id(
    connection: KafkaConnection, topic: str, tmp_path: Path
) -> None:
    lines = [event(f"m-{n % 40}", status=f"s{n}", name="Größe 李雷") for n in range(5000)]
    path = tmp_path / f"{topic}.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    done = await run(connection, [topic], path)
    got = await read(connection, topic)
    assert done.sent == {topic: 5000}
    assert done.sent_bytes == sum(map(len, lines))
    assert sorted(one.value for one in got) == sorted(lines)
    for one in got:
        assert one.key == json.loads(one.value)["message_id"].encode()
        assert one.partition == (murmur2(one.key) & 0x7FFFFFFF) % PARTITIONS


async def test_order_within_a_partition_is_the_order_of_the_lines(
    connection: KafkaConnection, topic: str, tmp_path: Path
) -> None:
    lines = [event(f"m-{n % 7}", number=n, padding="x" * 400) for n in range(20_000)]
    path = tmp_path / f"{topic}.jsonl"
    path.write_bytes(b"\n".join(lines))
    await run(connection, [topic], path)
    for partition in range(PARTITIONS):
        numbers = [
            json.loads(one.value)["number"]
            for one in await read(connection, topic)
            if one.partition == partition
        ]
        assert numbers == sorted(numbers)
        assert numbers


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
async def test_packed_files_are_read_by_their_names(
    connection: KafkaConnection, topic: str, tmp_path: Path, packing: str
) -> None:
    text = b"\n".join(event(f"m-{n}") for n in range(300)) + b"\n"
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}
    path = tmp_path / f"{topic}.jsonl{packing}"
    path.write_bytes(pack[packing](text))
    await run(connection, [topic], path)
    assert b"".join(sorted(one.value + b"\n" for one in await read(connection, topic))) == b"".join(
        sorted(text.splitlines(keepends=True))
    )


async def test_lines_that_are_no_event_go_in_as_they_are_without_a_key(
    connection: KafkaConnection, topic: str, tmp_path: Path
) -> None:
    lines = [b"{", b"[]", b"", b"\xff\x00\xfe", b'{"message_id": 7}', b'"m"', b"  {}\r"]
    path = tmp_path / f"{topic}.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    done = await run(connection, [topic], path)
    got = await read(connection, topic)
    assert done.without_key == len(lines)
    assert {one.key for one in got} == {None}
    assert sorted(one.value for one in got) == sorted(lines)
    assert {one.partition for one in got} == set(range(PARTITIONS))


async def test_the_sidecar_names_other_keys_by_line(
    connection: KafkaConnection, topic: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{topic}.jsonl"
    path.write_bytes(b"\n".join(event(f"m-{n}") for n in (1, 2, 3)) + b"\n")
    (tmp_path / f"{topic}.keys.json").write_text('{"1": "other", "3": null}', "utf-8")
    await run(connection, [topic], path)
    keys = {json.loads(one.value)["message_id"]: one.key for one in await read(connection, topic)}
    assert keys == {"m-1": b"other", "m-2": b"m-2", "m-3": None}


async def test_the_event_type_names_the_topic_where_nothing_else_does(
    connection: KafkaConnection, topic: str, tmp_path: Path
) -> None:
    other = f"{topic}-other"
    await make(connection, other)
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(
        b"\n".join(
            [event("a", type=topic), event("b", type=other), event("c", type="unknown"), b"{"]
        )
    )
    done = await run(connection, [topic, other], path)
    assert done.sent == {topic: 1, other: 1}
    assert [(one.line, one.reason[:8]) for one in done.refused] == [
        (3, "no topic"),
        (4, "no topic"),
    ]
    assert [one.key for one in await read(connection, other)] == [b"b"]


async def test_the_given_topic_wins_over_name_and_type(
    connection: KafkaConnection, topic: str, tmp_path: Path
) -> None:
    path = tmp_path / "outbound_voice_status_update.jsonl"
    path.write_bytes(event("a", type="outbound_voice_status_update"))
    done = await run(connection, ["unused"], path, topic=topic)
    assert done.sent == {topic: 1}


async def test_a_line_too_large_for_the_topic_harms_no_neighbour(
    connection: KafkaConnection, fresh: str, tmp_path: Path
) -> None:
    await make(connection, fresh, max_message_bytes="20000")
    lines = [event(f"m-{n}", padding="x" * 3000) for n in range(50)]
    lines.insert(20, event("large", padding="x" * 30_000))
    path = tmp_path / f"{fresh}.jsonl"
    path.write_bytes(b"\n".join(lines))
    done = await run(connection, [fresh], path)
    assert [one.line for one in done.refused] == [21]
    assert len(await read(connection, fresh)) == 50


async def test_however_many_lines_are_refused_memory_is_bounded_and_neighbours_arrive(
    connection: KafkaConnection, topic: str, tmp_path: Path
) -> None:
    """One batch that never fills holds the position back; it is sent when too many wait for it."""
    count = 2 * MOST_OPEN + 10
    path, told = tmp_path / "mixed.jsonl", [0]
    path.write_bytes(b"\n".join([event("a", type=topic), *[b"{}"] * count, event("b", type=topic)]))

    def tell(_: Refused) -> None:
        told[0] += 1

    done = await import_files(
        connection, [find_file(str(path))], raw_topics=[topic], refused=tell,
        options=Options(keep_positions=True),
    )  # fmt: skip
    assert (done.sent, done.refused_lines, told) == ({topic: 2}, count, [count])
    assert [one.line for one in done.refused] == list(range(2, KEPT + 2))
    assert len(await read(connection, topic)) == 2


async def test_a_missing_topic_is_told_and_not_created(
    connection: KafkaConnection, fresh: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{fresh}.jsonl"
    path.write_bytes(event("a"))
    with pytest.raises(TopicError, match="topics apply"):
        await run(connection, [fresh], path)
    assert await describe_topics(connection, [fresh]) == {}


async def test_a_damaged_file_ends_the_import_with_its_name(
    connection: KafkaConnection, topic: str, tmp_path: Path
) -> None:
    packed = gzip.compress(b"\n".join(event(f"m-{n}") for n in range(3000)))
    path = tmp_path / f"{topic}.jsonl.gz"
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ConfigError, match=path.name):
        await run(connection, [topic], path)


async def test_progress_rises_to_the_whole(
    connection: KafkaConnection, topic: str, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    path = tmp_path / f"{topic}.jsonl"
    path.write_bytes(b"\n".join(event(f"m-{n}") for n in range(5000)))
    await import_files(connection, [find_file(str(path))], raw_topics=[topic], progress=seen.append)
    assert [one.lines for one in seen] == sorted(one.lines for one in seen)
    assert seen[-1].lines == 5000
    assert seen[-1].read_bytes == seen[-1].total_bytes == path.stat().st_size
    assert len(seen) > 2


@pytest.mark.slow
async def test_a_broker_restart_in_the_middle_loses_and_doubles_nothing(tmp_path: Path) -> None:
    lines = [event(f"m-{n}", padding="x" * 300) for n in range(60_000)]
    path = tmp_path / "restarted.jsonl"
    path.write_bytes(b"\n".join(lines))
    halfway = asyncio.Event()
    broker = EmbeddedKafka(tmp_path / "kafka")
    try:
        await broker.start()
    except (BrokerError, ConfigError) as error:
        not_run(error)
    try:
        connection = KafkaConnection.parse(broker.url)
        await make(connection, "restarted")
        importing = asyncio.create_task(
            import_files(
                connection,
                [find_file(str(path))],
                raw_topics=["restarted"],
                progress=lambda now: halfway.set() if now.lines > len(lines) // 2 else None,
            )
        )
        await halfway.wait()
        await broker.restart()
        async with asyncio.timeout(60):
            done = await importing
        got = await read(connection, "restarted")
    finally:
        await broker.stop()
    assert done.total == len(lines)
    assert sorted(one.value for one in got) == sorted(lines)


async def test_the_shipped_sample_goes_in_whole(connection: KafkaConnection, fresh: str) -> None:
    samples = topics_dir() / "samples"
    expected = json.loads((samples / "expected.json").read_text("utf-8"))["by_topic"]
    name = "outbound_voice_status_update"
    await make(connection, fresh)
    done = await run(connection, [fresh], samples / f"{name}.jsonl.gz", topic=fresh)
    wrong = json.loads((samples / f"{name}.keys.json").read_text("utf-8"))
    got = await read(connection, fresh)
    assert done.total == expected[name]["read"]
    assert sum(one.key is not None and one.key.startswith(b"not-") for one in got) == sum(
        key is not None for key in wrong.values()
    )


def invoke(
    kafka: EmbeddedKafka, topic: str, *arguments: str, text: bytes | None = None
) -> tuple[int, str, str]:
    """The command as a person runs it: exit code, output, error output."""
    app = typer.Typer()
    app.command()(command)
    environment = {"AUDIT_BROKER": kafka.url, "AUDIT_TOPICS": topic}
    result = CliRunner().invoke(app, list(arguments), env=environment, input=text)
    return result.exit_code, result.stdout, result.stderr


async def test_the_command_reads_standard_input_and_sums_up(
    kafka: EmbeddedKafka, topic: str
) -> None:
    text = event("a", type=topic) + b"\n" + event("b", type=topic) + b"\n"
    code, output, _ = await asyncio.to_thread(invoke, kafka, topic, "-", text=text)
    assert code == 0
    assert f"{topic}: 2 records" in output


async def test_the_command_ends_with_one_when_a_line_was_not_sent(
    kafka: EmbeddedKafka, topic: str
) -> None:
    text = event("a", type=topic) + b"\nbroken\n"
    code, output, _ = await asyncio.to_thread(invoke, kafka, topic, "--json", "-", text=text)
    summary = json.loads(output)
    assert code == 1
    assert summary["sent"] == {topic: 1}
    assert [one["line"] for one in summary["refused"]] == [2]
