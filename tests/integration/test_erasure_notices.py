"""A SIEM that was sent customers' ids is told which to erase, by its own keys, and no others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_erasure import QUICK, ask, carry_out
from tests.support.commands import ROOT, environment, run
from tests.support.events import Events
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.siem import TOKEN, Mode, Siem, siem

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@contextlib.asynccontextmanager
async def deliverer(fleet: Fleet) -> AsyncIterator[None]:
    """`deliver siem`, for the block."""
    log = (fleet.folder / "deliver.log").open("ab")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "audit_stream", "deliver", "siem",
        env=environment(fleet), cwd=ROOT, stdout=log, stderr=log,
    )  # fmt: skip
    log.close()
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0, (fleet.folder / "deliver.log").read_text()[-3000:]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def copies(server: Siem, who: str) -> set[str]:
    """The keys under which the receiver has copies of a customer's id."""
    return {
        entry["key"] for entry in server.stored()
        if entry["body"].get("customer_external_id") == who
    }  # fmt: skip


def customers(server: Siem) -> Counter[str]:
    """How many copies the receiver has of each customer's id."""
    return Counter(
        entry["body"]["customer_external_id"] for entry in server.stored()
        if entry["body"].get("customer_external_id")
    )  # fmt: skip


def notices(server: Siem) -> list[dict[str, Any]]:
    return [
        entry["body"] for entry in server.stored()
        if entry["body"]["v"] == "audit-erasure-notice/1"
    ]  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Siem]:
    with siem(tmp_path / "siem") as server:
        yield server


async def test_p7_a_siem_is_told_by_its_own_keys_what_to_erase(fleet: Fleet, server: Siem) -> None:
    events = Events(21, fleet.topic)
    fleet.extra |= {
        "AUDIT_DELIVERY_URL": server.url, "AUDIT_DELIVERY_TOKEN": TOKEN,
        "AUDIT_DELIVERY_SYNCHRONOUS": "true", "AUDIT_DELIVERY_NAME": "siem-1",
        "AUDIT_DELIVERY_FIELDS": "customer_external_id",
        "AUDIT_STATE_DIR": str(fleet.folder / "deliver-state"),
        "AUDIT_DELIVERY_POLL_SECONDS": "0.5",
    }  # fmt: skip
    fleet.start(0)
    await fleet.send(events.lines(600))
    await fleet.settled()
    async with deliverer(fleet):
        await eventually(lambda: delivered(fleet, server))
        gone, count = customers(server).most_common(1)[0]
        theirs = copies(server, gone)
        assert len(theirs) == count > 1
        await ask(fleet, "R-1", gone)
        server.be(Mode(status=400, echo=True))
        waiting = await run(fleet, "redact", "run", **QUICK)
        assert waiting.returncode == 1
        assert "siem-1 refused the notice with status 400" in waiting.stderr
        assert not any(key.split(":")[0] in waiting.stderr for key in theirs)
        server.be(Mode())
        await killed_after_an_answer(fleet)
        [certificate] = await carry_out(fleet)
        await fleet.send(events.lines(600))
        await fleet.settled()
        await eventually(lambda: delivered(fleet, server))
        another = await taken_out_of_the_register_too_soon(fleet, server, gone)
    [notice, second] = notices(server)
    assert told(notice) == theirs
    assert told(second) == copies(server, another)
    assert notice["fields"] == ["customer_external_id"]
    assert set(server.keys().values()) == {1}
    assert copies(server, gone) == theirs  # what came later has no field of theirs
    [target] = certificate["targets"]
    assert (target["target"], target["receipt"]) == ("siem-1", "acknowledged: 1 of 1 parts")
    [known] = json.loads((await run(fleet, "redact", "receivers", "--json")).stdout)
    assert (known["receiver"], known["notice"]) == ("siem-1", "nothing waits for it")
    verified = await run(fleet, "verify")
    assert verified.returncode == 0, verified.stderr


def told(notice: dict[str, Any]) -> set[str]:
    return {key for each in notice["records"] for key in each["keys"]}


async def taken_out_of_the_register_too_soon(fleet: Fleet, server: Siem, gone: str) -> str:
    """Somebody says that the receiver has no copies, while a deliverer sends it more: the next
    erasure tells it all the same. Whose that was."""
    said = await run(
        fleet, "redact", "excuse", "--target", "siem-1", "--for-good", "--reason", "scrapped"
    )
    assert said.returncode == 0, said.stderr
    assert json.loads((await run(fleet, "redact", "receivers", "--json")).stdout) == []
    another = next(who for who, _ in customers(server).most_common(2) if who != gone)
    await ask(fleet, "R-2", another)
    await carry_out(fleet)
    return another


async def delivered(fleet: Fleet, server: Siem) -> bool:
    """Whether the receiver has every record."""
    found = [each for each in server.stored() if each["body"]["v"] == "audit-record/1"]
    return len(found) == len(await asyncio.to_thread(fleet.lines))


async def killed_after_an_answer(fleet: Fleet) -> None:
    """The receiver has acknowledged, and the keeper is killed before it could note it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.dying_keeper", "notified", "between",
        env=environment(fleet) | QUICK, cwd=ROOT, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    assert process.returncode == -signal.SIGKILL, said
