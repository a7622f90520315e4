"""Each container's command, run for real as a process: broker, store, init services, and ours."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from audit_stream.kafka.embedded import EmbeddedKafka
from tests.support.azurite import script
from tests.support.compose import FOLDER, OURS, Machine, ordered, render, seconds
from tests.support.eventually import eventually
from tests.support.image import Image
from tests.support.prometheus import alerts, tool
from tests.support.siem import Mode, Siem, siem

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(400)]
TOPIC = "outbound_voice_status_update"
#: Of the KAFKA_ variables, those that the image reads itself; all others are broker settings.
NOT_SETTINGS = {"KAFKA_HEAP_OPTS", "KAFKA_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS"}


def kafka_settings(machine: Machine) -> dict[str, str]:
    """The broker settings that apache/kafka's image makes of its environment."""
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in machine.environment("kafka").items()
        if name.startswith("KAFKA_") and name not in NOT_SETTINGS
    }


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Siem]:
    """Who takes the token that the compose file's folder has."""
    token = (FOLDER / "secrets" / "siem-token").read_text("utf-8").strip()
    with siem(tmp_path / "siem") as made:
        made.be(Mode(tokens=[token]))
        yield made


@pytest.fixture
def machine(image: Image, receiver: Siem, tmp_path: Path) -> Iterator[Machine]:
    model = render(
        AUDIT_PARTITIONS="2", AUDIT_SEGMENT_MAX_SECONDS="1", AUDIT_DELIVERY_SYNCHRONOUS="true",
        AUDIT_DELIVERY_URL=receiver.url.replace("127.0.0.1", "localhost"),  # outside the machine
    )  # fmt: skip
    made = Machine(model, image, tmp_path)
    yield made
    made.close()


@pytest.fixture
def broker(machine: Machine) -> Iterator[EmbeddedKafka]:
    kafka = EmbeddedKafka(
        machine.root / "kafka", port=machine.port("kafka", "9092"),
        overrides=kafka_settings(machine),
    )  # fmt: skip
    asyncio.run(kafka.start())
    yield kafka
    asyncio.run(kafka.stop())


@pytest.fixture
def store(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Azurite, by the compose file's own command line."""
    main = script()
    if main is None:
        if os.environ.get("AUDIT_TEST_REQUIRE") == "1":
            pytest.fail("Azurite is not installed", pytrace=False)
        pytest.skip("NOT RUN: Azurite is not installed (see tests/support/azurite.py)")
    programs = main.parents[5] / "node_modules" / ".bin"
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    process = machine.start("azurite")

    async def answers() -> bool:
        assert process.poll() is None, machine.logs(["azurite"])
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", machine.port("azurite", "10000"))
        except OSError:
            return False
        writer.close()
        return True

    asyncio.run(eventually(answers, 60))


@pytest.fixture
def monitoring(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus and Alertmanager, by the compose file's own command lines."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "alertmanager").symlink_to(tool("alertmanager", "prometheus-alertmanager"))
    (programs / "prometheus").symlink_to(tool("prometheus"))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    for name in ("alertmanager", "prometheus"):
        machine.start(name)


async def asked(machine: Machine, path: str) -> Any:
    """What Prometheus answers; None while it does not."""
    assert machine.processes["prometheus"].poll() is None, machine.logs(["prometheus"])
    assert machine.processes["alertmanager"].poll() is None, machine.logs(["alertmanager"])
    url = f"http://127.0.0.1:{machine.port('prometheus', '9090')}/api/v1/{path}"
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(url) as answer:
                return (await answer.json())["data"] if answer.status == 200 else None
        except aiohttp.ClientConnectionError:
            return None


async def scraped(machine: Machine) -> None:
    """Prometheus scrapes every target, has our rules, and reaches Alertmanager."""

    async def up() -> bool:
        found = await asked(machine, "targets")
        active = found["activeTargets"] if found else []
        return len(active) == 6 and all(target["health"] == "up" for target in active)

    await eventually(up, 120)
    managers = (await asked(machine, "alertmanagers"))["activeAlertmanagers"]
    port = machine.port("alertmanager", "9093")
    assert [m["url"] for m in managers] == [f"http://127.0.0.1:{port}/api/v2/alerts"]
    groups = (await asked(machine, "rules"))["groups"]
    names = {rule["name"] for group in groups for rule in group["rules"]}
    assert names >= set(alerts())


async def answered(machine: Machine, sample: Path) -> None:
    """The gateway answers who has a token, about a message of the sample, and signs it."""
    token = machine.within(
        "gateway", "audit-stream", "tokens", "create", "--tenant", "*", "--scope", "audit:read"
    ).strip()
    with gzip.open(sample, "rt") as lines:
        message = json.loads(next(lines))["message_id"]
    port = machine.port("gateway", "8443")
    url = f"http://127.0.0.1:{port}/api/v1/audit/notifications?message_uuid={message}"
    async with aiohttp.ClientSession() as session:

        async def found() -> bool:
            async with session.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
                said = await answer.json(content_type=None)
                return answer.status == 200 and said["signature"].count(".") == 2

        await eventually(found, 60)


async def delivered(machine: Machine, receiver: Siem) -> None:
    """Every archived record stands at the receiver, once."""
    verified = json.loads(machine.within("cli", "audit-stream", "verify", "--json"))
    records = verified["records"]
    assert records > 0

    async def all_there() -> bool:
        return receiver.keys().total() >= records

    await eventually(all_there, 60)
    assert receiver.keys().total() == len(receiver.keys()) == records


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


async def ready(machine: Machine, name: str) -> None:
    async def check() -> bool:
        assert machine.processes[name].poll() is None, machine.logs()
        return machine.healthy(name)

    await eventually(check, 120)


@pytest.mark.usefixtures("broker", "store", "monitoring")
def test_the_system_as_the_compose_file_describes_it(
    machine: Machine, image: Image, receiver: Siem
) -> None:
    before = files(image.root)
    order = [name for name in ordered(machine.services) if name in OURS]
    once = [name for name in order if name.startswith("init-")]
    stay = [name for name in order if machine.services[name]["restart"] == "unless-stopped"]
    assert len(once) == 3
    assert set(stay) == {"worker-1", "worker-2", "notary", "gateway", "deliverer", "mirror"}
    for name in [*once, *once]:  # each `up` runs them again
        machine.run(name)
    for name in stay:
        assert not machine.healthy(name)
        machine.start(name)
    for name in stay:
        asyncio.run(ready(machine, name))
    asyncio.run(scraped(machine))

    (sample,) = image.root.glob(f"opt/**/audit_stream/topics/samples/{TOPIC}.jsonl.gz")
    assert "records" in machine.run("cli", "import", str(sample))
    assert "unexplained: 0" in machine.run("cli", "reconcile", "--wait", "60")
    assert "VERIFIED" in machine.run("cli", "verify")
    assert "\n— audit-stream " in machine.run("cli", "log", "checkpoint")  # its signature
    asyncio.run(answered(machine, sample))
    asyncio.run(delivered(machine, receiver))
    machine.within("mirror", "audit-stream", "archive", "mirror")  # what a pass does
    assert "EQUAL" in machine.within("mirror", "audit-stream", "archive", "compare")

    for name in stay:
        began = time.monotonic()
        assert machine.stop(name) == 0, machine.logs()
        grace = seconds(machine.services[name]["stop_grace_period"])
        assert time.monotonic() - began < grace
    # A read-only root: nothing was written but to volumes.
    assert files(image.root) == before
    assert files(machine.root / "folders") <= files(machine.root / "folders" / "azurite")
