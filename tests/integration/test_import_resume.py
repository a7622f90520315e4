"""An import that is cut off goes on where it was: nothing is skipped, whatever ended it."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from audit_stream.kafka.ask import topic_ends
from audit_stream.kafka.connect import KafkaConnection
from audit_stream.kafka.embedded import EmbeddedKafka
from tests.integration.test_import import event, make, read
from tests.support.eventually import eventually
from tests.support.fleet import ROOT

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
LINES = 60_000


class Import:
    """`audit-stream import` of one file, as a process."""

    def __init__(self, kafka: EmbeddedKafka, path: Path, *topics: str) -> None:
        self.path = path
        self.position = path.with_name(f"{path.name}.position")
        self._environment = os.environ | {
            "AUDIT_BROKER": kafka.url, "AUDIT_TOPICS": ",".join(topics), "PYTHONPATH": str(ROOT)
        }  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "audit_stream", "import", str(self.path), "--json", *words],
            env=self._environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    async def run(self, *words: str) -> tuple[int, dict[str, object], str]:
        process = self.start(*words)
        output, said = await asyncio.to_thread(process.communicate, None, 120)
        return process.returncode, json.loads(output or "{}"), said

    @property
    def line(self) -> int:
        """The line the position names."""
        return json.loads(self.position.read_bytes())["line"] if self.position.exists() else 0

    async def reaches(self, line: int) -> bool:
        return self.line >= line


@pytest.fixture
async def topic(connection: KafkaConnection, fresh: str) -> str:
    await make(connection, fresh)
    return fresh


def write(folder: Path, topic: str, count: int, packing: str = "") -> tuple[Path, list[bytes]]:
    lines = [event(f"m-{n % 997}", number=n, padding="x" * 150) for n in range(count)]
    text = b"\n".join(lines) + b"\n"
    path = folder / f"{topic}.jsonl{packing}"
    path.write_bytes(gzip.compress(text, 1) if packing else text)
    return path, lines


@pytest.mark.parametrize(("seed", "packing"), [(1, ""), (2, ".gz")])
async def test_p1_killed_again_and_again_it_skips_nothing(
    kafka: EmbeddedKafka, connection: KafkaConnection, topic: str, tmp_path: Path, seed: int,
    packing: str,
) -> None:  # fmt: skip
    chance = random.Random(seed)
    path, lines = write(tmp_path, topic, LINES, packing)
    mine = Import(kafka, path, topic)
    for _ in range(3):
        process = mine.start("--resume", "--rate", "20000")
        target = mine.line + chance.randrange(1000, 12_000)
        await eventually(lambda: mine.reaches(target), 60)  # noqa: B023
        await asyncio.sleep(chance.random() / 5)  # somewhere between two saves
        process.kill()
        await asyncio.to_thread(process.communicate)
    assert 0 < mine.line < LINES
    left = LINES - mine.line
    code, done, said = await mine.run("--resume")
    assert (code, done["total"]) == (0, left), said
    assert not mine.position.exists()
    got = Counter(one.value for one in await read(connection, topic))
    assert set(got) == set(lines)
    again = got.total() - LINES
    assert again < LINES / 2  # sent twice, and counted: what was in flight when it was killed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_asked_to_stop_it_sends_nothing_twice(
    kafka: EmbeddedKafka, connection: KafkaConnection, topic: str, tmp_path: Path,
    number: signal.Signals,
) -> None:  # fmt: skip
    path, lines = write(tmp_path, topic, LINES)
    mine = Import(kafka, path, topic)
    process = mine.start("--rate", "20000")
    await eventually(lambda: mine.reaches(1000), 60)
    process.send_signal(number)
    output, _ = await asyncio.to_thread(process.communicate, None, 60)
    stopped = json.loads(output)
    assert (process.returncode, stopped["stopped"]) == (1, True)
    assert stopped["files"] == {path.name: mine.line} == {path.name: stopped["total"]}
    code, done, _ = await mine.run("--resume")
    assert (code, done["total"]) == (0, LINES - stopped["total"])
    assert sorted(one.value for one in await read(connection, topic)) == sorted(lines)


async def test_a_dry_run_reads_everything_and_sends_nothing(
    kafka: EmbeddedKafka, connection: KafkaConnection, fresh: str, tmp_path: Path
) -> None:
    await make(connection, fresh, max_message_bytes="5000")
    path, lines = write(tmp_path, fresh, 2000)
    large = event("large", padding="x" * 6000)
    path.write_bytes(b"\n".join([*lines, b"no json", large]))
    mine = Import(kafka, path, fresh)
    code, dry, _ = await mine.run("--dry-run")
    assert code == 1
    assert await read(connection, fresh) == []
    assert not mine.position.exists()
    code, real, _ = await mine.run()
    told = {key: value for key, value in dry.items() if key not in ("dry_run", "seconds")}
    assert told == {key: value for key, value in real.items() if key in told}
    assert (dry["total"], dry["without_key"], len(dry["refused"])) == (2001, 1, 1)  # type: ignore[arg-type]
    assert dry["partitions"][fresh] == [  # type: ignore[index]
        end for _, end in (await topic_ends(connection, [fresh])).values()
    ]


async def test_the_rate_is_a_limit(
    kafka: EmbeddedKafka, connection: KafkaConnection, topic: str, tmp_path: Path
) -> None:
    path, lines = write(tmp_path, topic, 900)
    code, done, _ = await Import(kafka, path, topic).run("--rate", "300")
    assert code == 0
    assert 2.5 < float(done["seconds"]) < 15  # type: ignore[arg-type]
    assert len(await read(connection, topic)) == len(lines)


async def killed_midway(mine: Import) -> None:
    process = mine.start("--rate", "20000")
    await eventually(lambda: mine.reaches(1000), 60)
    process.kill()
    await asyncio.to_thread(process.communicate)


async def test_what_was_not_sent_is_told_at_once_and_again_by_the_run_that_ends(
    kafka: EmbeddedKafka, connection: KafkaConnection, fresh: str, tmp_path: Path
) -> None:
    """Its position is behind the line: who only went on would lose it, and say all is well."""
    await make(connection, fresh, max_message_bytes="5000")
    path, lines = write(tmp_path, fresh, LINES)
    path.write_bytes(b"\n".join([lines[0], event("large", padding="x" * 6000), *lines[1:]]))
    mine = Import(kafka, path, fresh)
    process = mine.start("--rate", "20000")
    await eventually(lambda: mine.reaches(1000), 60)
    process.kill()
    _, said = await asyncio.to_thread(process.communicate)
    assert f"not sent: {path.name} line 2: larger than {fresh} takes" in said
    code, done, said = await mine.run("--resume")
    assert (code, done["refused_lines"]) == (1, 1), said
    assert [one["line"] for one in done["refused"]] == [2]  # type: ignore[attr-defined]
    assert f"not sent by an earlier run: {path.name} line 2" in said
    assert len(set(await read(connection, fresh))) == LINES
    assert not mine.position.exists()


async def test_without_resume_it_begins_anew(
    kafka: EmbeddedKafka, connection: KafkaConnection, topic: str, tmp_path: Path
) -> None:
    path, lines = write(tmp_path, topic, LINES)
    mine = Import(kafka, path, topic)
    await killed_midway(mine)
    code, done, _ = await mine.run()
    assert (code, done["total"]) == (0, len(lines))


async def test_a_position_of_other_topics_is_refused(
    kafka: EmbeddedKafka, connection: KafkaConnection, topic: str, tmp_path: Path
) -> None:
    path, _ = write(tmp_path, topic, LINES)
    mine = Import(kafka, path, topic)
    await killed_midway(mine)
    await make(connection, f"{topic}-other")
    code, _, said = await mine.run("--resume", "--topic", f"{topic}-other")
    assert (code, "other topics" in said) == (2, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_silent_pipe_holds_back_neither_what_came_nor_the_end(
    kafka: EmbeddedKafka, connection: KafkaConnection, topic: str, number: signal.Signals
) -> None:
    process = Import(kafka, Path("-"), topic).start("--topic", topic)
    assert process.stdin is not None
    process.stdin.write("".join(f"{event(str(n)).decode()}\n" for n in range(3)) + "half a li")
    process.stdin.flush()

    async def arrived() -> bool:
        return sum(end for _, end in (await topic_ends(connection, [topic])).values()) == 3

    await eventually(arrived, 60)
    process.send_signal(number)
    assert await asyncio.to_thread(process.wait, 60) == 1  # its input is open still
    output, _ = await asyncio.to_thread(process.communicate)
    done = json.loads(output)
    assert (done["stopped"], done["total"]) == (True, 3)
    assert done["files"] == {"standard input": 3}


async def test_a_pipe_is_read_to_its_end(
    kafka: EmbeddedKafka, connection: KafkaConnection, topic: str
) -> None:
    lines = [event(f"m-{n % 97}", number=n, padding="x" * 150) for n in range(5000)]
    process = Import(kafka, Path("-"), topic).start("--topic", topic)
    text = b"\n".join(lines).decode()  # no line feed behind the last
    output, said = await asyncio.to_thread(process.communicate, text, 120)
    assert process.returncode == 0, said
    assert json.loads(output)["total"] == len(lines)
    assert sorted(one.value for one in await read(connection, topic)) == sorted(lines)


async def test_standard_input_cannot_be_resumed(kafka: EmbeddedKafka, topic: str) -> None:
    code, _, said = await Import(kafka, Path("-"), topic).run("--resume")
    assert (code, "standard input cannot be resumed" in said) == (2, True)
