"""Sending personal fields: opened through the keyring, and never of somebody who is erased."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from audit_stream.app.delivering import delivering
from audit_stream.archive.fleet import members
from audit_stream.archive.receivers import forget_receiver, receivers
from audit_stream.errors import BarrierError
from audit_stream.evidence.record import PERSONAL_FIELDS
from audit_stream.keys.file import load_keyring
from audit_stream.settings import Settings
from tests.support import golden
from tests.support.alerts import RecordedAlerts
from tests.support.delivering import Delivering, expected
from tests.support.erasing import RECORDS
from tests.support.eventually import eventually
from tests.support.keeping import AT, Kept, maps, sources
from tests.support.siem import Mode, Siem, siem
from tests.support.told import ToldReceiver, delivery_to, told_receiver

pytestmark = pytest.mark.timeout(180)
FIELDS = ",".join(PERSONAL_FIELDS)
#: Who has a record at an archive's end.
LAST = max(
    RECORDS, key=lambda tag: max(int(pub["source"].rpartition("/")[2]) for pub in RECORDS[tag])
)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Siem]:
    with siem(tmp_path / "siem") as found:
        yield found


@pytest.fixture
def desk() -> Iterator[ToldReceiver]:
    with told_receiver() as found:
        yield found


def place_of(kept: Kept, server: Siem) -> Delivering:
    return Delivering(kept.folder, server, {
        "AUDIT_KEYRING": str(kept.path), "AUDIT_DELIVERY_FIELDS": FIELDS,
    })  # fmt: skip


def personal_of(source: str) -> dict[str, str]:
    """What the raw event says, read without any code of ours."""
    topic, _, _, offset = source.split("/")
    recipient = json.loads(golden.raw_records(topic)[int(offset)].value or b"")["recipient"]
    found = {
        "customer_external_id": recipient.get("external_id"),
        "recipient_address": recipient.get("address"),
    }
    return {name: text for name, text in found.items() if text is not None}


def sent(entry: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: text for name, text in entry["body"].items() if name in PERSONAL_FIELDS}


async def test_named_fields_are_what_was_received(kept: Kept, server: Siem) -> None:
    place = place_of(kept, server)
    place.once(AUDIT_DELIVERY_FIELDS="recipient_address")
    assert server.keys() == expected()
    for entry in server.stored():
        whole = personal_of(entry["body"]["source"])
        assert sent(entry) == {k: v for k, v in whole.items() if k == "recipient_address"}
    [noted] = await receivers(kept.private)
    assert (noted.name, noted.fields) == ("siem", ("recipient_address",))
    assert await members(kept.private) == []


async def test_an_erasure_waits_for_the_deliverer_and_nothing_of_the_person_is_sent_after(
    kept: Kept, server: Siem, desk: ToldReceiver
) -> None:
    server.be(Mode(latency=0.15))
    place = place_of(kept, server)
    slow = {"AUDIT_DELIVERY_CONCURRENCY": "1"}
    async with delivery_to(desk) as delivery:
        kept.receivers["siem"] = delivery  # notices go to a desk of their own
        await _erased_while_sent(kept, server, place.running("siem", **slow))
    keys = {key for record in desk.records() for key in record["keys"]}
    assert keys == {f"{pub['message_uuid']}:{pub['delivery_status']}" for pub in RECORDS[LAST]}


async def _erased_while_sent(
    kept: Kept, server: Siem, running: AbstractContextManager[subprocess.Popen[str]]
) -> None:
    with running as process:

        async def begun() -> bool:
            assert process.poll() is None
            return len(server.stored()) > 5

        await eventually(begun)
        [member] = await members(kept.private)
        assert (member.role, member.epoch) == ("deliverer", 1)
        assert maps(process, "cover-1.bin")
        await kept.file("R-1", LAST)
        waited = await kept.barrier(2).look()
        assert [each.process for each in waited.blockers] == [member.process]

        async def certified() -> bool:
            with contextlib.suppress(BarrierError):
                await kept.run()
            return bool(await kept.certificates())

        await eventually(certified)
        assert not maps(process, "cover-1.bin")  # everybody's keys of before, theirs among them
        before = len(server.stored())
        server.be(Mode())

        async def done() -> bool:
            return server.keys() == expected()

        await eventually(done, 60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert await members(kept.private) == []
    after = server.stored()[before:]
    theirs = [each for each in after if each["body"]["source"] in sources(LAST)]
    assert theirs, "the test erased too late"
    for entry in after:
        source = entry["body"]["source"]
        assert sent(entry) == ({} if source in sources(LAST) else personal_of(source))


async def test_newer_keys_wait_for_the_post_under_way(
    kept: Kept, server: Siem, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in place_of(kept, server).environment.items():
        monkeypatch.setenv(name, value)
    async with delivering(Settings.load(None), RecordedAlerts()) as place:
        async with place.gate.passed():
            adopting = asyncio.ensure_future(place.adopt(load_keyring(kept.path)))

            async def shut() -> bool:
                return not place.gate._open.is_set()

            await eventually(shut)
            assert not adopting.done()
        await adopting
        assert not await shut()


async def test_a_receiver_that_was_forgotten_is_noted_again_while_it_is_sent_fields(
    kept: Kept, server: Siem
) -> None:
    place = place_of(kept, server)
    with place.running("siem") as process:

        async def noted() -> bool:
            assert process.poll() is None
            return [each.name for each in await receivers(kept.private)] == ["siem"]

        await eventually(noted)
        assert await forget_receiver(kept.private, "siem", "carol", "it was wiped", AT)
        await eventually(noted)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    [receiver] = await receivers(kept.private)  # what it was sent outlasts who sent it
    assert receiver.fields == PERSONAL_FIELDS


def test_without_fields_public_keys_are_enough(kept: Kept, server: Siem) -> None:
    public = kept.folder / "public.txt"
    public.write_text(kept.ring.publics.encode())
    place = place_of(kept, server)
    place.once(
        AUDIT_DELIVERY_FIELDS="", AUDIT_KEYRING=str(kept.folder / "none.json"),
        AUDIT_DELIVERY_PUBLIC_KEYS=str(public),
    )  # fmt: skip
    assert server.keys() == expected()
    assert not any(sent(entry) for entry in server.stored())
