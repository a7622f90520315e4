"""What a run leaves when it fails in the middle of telling several receivers."""

from __future__ import annotations

import asyncio

import pytest

from audit_stream.archive.receivers import note_receiver
from audit_stream.ports import Receipt
from tests.support.erasing import SOMEBODY
from tests.support.keeping import AT, Kept
from tests.support.told import ToldReceiver
from tests.unit.erasure.conftest import ID


class Broken:
    """A receiver whose client fails as nobody thought of."""

    target = "lake"

    async def deliver(self, body: bytes, key: str) -> Receipt:
        raise ZeroDivisionError


class Slow:
    """One that takes its time."""

    target = "siem"

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def deliver(self, body: bytes, key: str) -> Receipt:
        for _ in range(20):
            await asyncio.sleep(0)
        self.keys.append(key)
        return Receipt(at=AT, said="HTTP 201")


async def test_nobody_is_told_behind_a_run_that_has_failed(
    noted: Kept, receiver: ToldReceiver
) -> None:
    await note_receiver(noted.private, "lake", [ID], "message_uuid", AT)
    slow = Slow()
    noted.receivers.update(siem=slow, lake=Broken())
    await noted.file("R-1", SOMEBODY)
    with pytest.raises(ZeroDivisionError):
        await noted.run()
    told = list(slow.keys)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others
    assert told
    noted.receivers["lake"] = Slow()
    await noted.run()
    assert slow.keys == told  # what it acknowledged was written down
