"""The golden archive to erase from, and a receiver that has copies of what is in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from audit_stream.archive.receivers import note_receiver
from tests.support.erasing import Erasing
from tests.support.keeping import AT, Kept
from tests.support.told import ToldReceiver, delivery_to, told_receiver

ID, KEY = "customer_external_id", "message_uuid:delivery_status"
RECORDS_A_PART = 2


@pytest.fixture
def erasing(tmp_path: Path) -> Erasing:
    return Erasing(tmp_path)


@pytest.fixture
def receiver() -> Iterator[ToldReceiver]:
    with told_receiver() as receiver:
        yield receiver


@pytest.fixture
async def noted(tmp_path: Path, receiver: ToldReceiver) -> AsyncIterator[Kept]:
    """One installation, whose receiver was sent customers' ids."""
    async with delivery_to(receiver) as delivery:
        kept = Kept(tmp_path, receivers={"siem": delivery}, records_a_part=RECORDS_A_PART)
        await note_receiver(kept.private, "siem", [ID], KEY, AT)
        yield kept
