"""The register of who was ever sent personal fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_stream.archive.private import PrivateObjects
from audit_stream.archive.receivers import RECEIVERS, Receiver, note_receiver, receivers
from audit_stream.errors import FormatError
from audit_stream.stores.subjects import FileSubjectStore
from tests.support.erasing import INDEX_KEY

ID, ADDRESS = "customer_external_id", "recipient_address"
BY_STATUS, BY_MESSAGE = "message_uuid:delivery_status", "message_uuid"
THEN, LATER = "2026-11-26T08:00:00.000Z", "2026-12-26T08:00:00.000Z"


@pytest.fixture
def store(tmp_path: Path) -> FileSubjectStore:
    return FileSubjectStore(tmp_path)


@pytest.fixture
def private(store: FileSubjectStore) -> PrivateObjects:
    return PrivateObjects(store, INDEX_KEY)


async def test_what_was_ever_sent_is_remembered(private: PrivateObjects) -> None:
    assert await receivers(private) == []
    await note_receiver(private, "siem", [ADDRESS], BY_STATUS, THEN)
    await note_receiver(private, "siem", [ID], BY_MESSAGE, LATER)
    await note_receiver(private, "lake", [ADDRESS, ID], BY_MESSAGE, LATER)
    assert await receivers(private) == [
        Receiver(name="lake", fields=(ID, ADDRESS), keys=(BY_MESSAGE,), since=LATER),
        Receiver(name="siem", fields=(ID, ADDRESS), keys=(BY_MESSAGE, BY_STATUS), since=THEN),
    ]  # fmt: skip


async def test_to_note_it_again_rewrites_nothing(
    private: PrivateObjects, store: FileSubjectStore
) -> None:
    await note_receiver(private, "siem", [ID, ADDRESS], BY_STATUS, THEN)
    [name] = store.names_sync(RECEIVERS)
    before = store.get_sync(name)
    await note_receiver(private, "siem", [ADDRESS, ID], BY_STATUS, LATER)
    assert (store.names_sync(RECEIVERS), store.get_sync(name)) == ([name], before)


async def test_who_is_sent_no_personal_field_is_not_noted(private: PrivateObjects) -> None:
    await note_receiver(private, "siem", ["delivery_status"], BY_STATUS, THEN)
    assert await receivers(private) == []


@pytest.mark.parametrize("name", ["", "a/b", "..", "name of somebody", "x" * 65, "é"])
async def test_a_name_that_cannot_stand_in_a_certificate_is_refused(
    private: PrivateObjects, name: str
) -> None:
    with pytest.raises(FormatError, match="receiver's name"):
        await note_receiver(private, name, [ID], BY_STATUS, THEN)


@pytest.mark.parametrize("change", [
    {"name": "another"}, {"fields": ["delivery_status"]}, {"fields": "all"}, {"since": "then"},
    {"v": "audit-receiver/9"}, {"more": 1},
])  # fmt: skip
async def test_what_is_no_note_is_not_passed_over(
    private: PrivateObjects, change: dict[str, object]
) -> None:
    value = {"fields": [ID], "key": BY_STATUS, "name": "siem", "since": THEN,
             "v": "audit-receiver/1"}  # fmt: skip
    await private.create(f"{RECEIVERS}siem/{'0' * 16}", value | change)
    with pytest.raises(FormatError):
        await receivers(private)
