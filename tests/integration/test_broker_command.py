"""`audit-stream broker`: a Kafka that stays up, keeps what it was given, and tells how it ended."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from aiokafka.admin import NewTopic

from audit_stream.kafka.ask import describe_topics
from audit_stream.kafka.connect import KafkaConnection, open_admin
from audit_stream.kafka.embedded import EmbeddedKafka, free_ports

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]


@contextmanager
def up(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """The command, once it says that it is up; killed behind the block if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "audit_stream", "broker", "--folder", str(folder),
         "--port", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first == f"kafka://127.0.0.1:{port} is up; its data is in {folder}\n", first
            yield process
        finally:
            process.kill()


async def create(port: int) -> None:
    async with open_admin(KafkaConnection.parse(f"kafka://127.0.0.1:{port}")) as admin:
        await admin.create_topics([NewTopic("kept", 1, 1)])


def test_it_stays_up_and_keeps_its_data(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    [port] = free_ports(1)
    with up(tmp_path, port) as first:
        asyncio.run(create(port))
        first.send_signal(signal.SIGTERM)
        said, _ = first.communicate(timeout=60)
        assert (first.returncode, said) == (0, "stopped\n")
    with up(tmp_path, port) as again:
        connection = KafkaConnection.parse(f"kafka://127.0.0.1:{port}")
        assert set(asyncio.run(describe_topics(connection, ["kept"]))) == {"kept"}
        [java] = psutil.Process(again.pid).children()
        java.kill()
        _, said = again.communicate(timeout=60)
        assert again.returncode == 1
        assert "the Kafka ended by itself" in said
