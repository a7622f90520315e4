"""Excusing a receiver that cannot be told: by a person, for one erasure or for good."""

from __future__ import annotations

import pytest

from audit_stream.archive.receivers import note_receiver
from audit_stream.erasure.barrier import excuse
from audit_stream.erasure.notifying import excuse_receiver
from audit_stream.errors import BarrierError, FormatError, NoticeError, RequestError
from tests.support.erasing import ANOTHER, RECORDS, SOMEBODY
from tests.support.keeping import AT, Kept, Kill, Killed
from tests.support.told import ToldReceiver
from tests.unit.erasure.conftest import ID, KEY, RECORDS_A_PART
from tests.unit.erasure.test_notices import left


async def test_who_cannot_be_told_is_excused_by_a_person_and_that_is_certified(
    noted: Kept, receiver: ToldReceiver
) -> None:
    await noted.file("R-1", SOMEBODY)
    receiver.answer = lambda _, count: (201, {}, b"") if count == 1 else (503, {}, b"")
    with pytest.raises(NoticeError, match="redact excuse"):
        await noted.run()
    posts = len(receiver.posts)
    await excuse_receiver(noted.private, "siem", "operator", "its disks were shredded", AT)
    [entry] = (await noted.run()).certified
    assert len(receiver.posts) == posts
    parts = -(-len(RECORDS[SOMEBODY]) // RECORDS_A_PART)
    said = f"excused by operator: its disks were shredded (acknowledged: 1 of {parts} parts)"
    assert entry.said["targets"] == [{"at": AT, "receipt": said, "target": "siem"}]
    assert left(noted) == []
    await noted.file("R-2", ANOTHER)  # for which nobody has excused it
    with pytest.raises(NoticeError):
        await noted.run()


async def test_an_excuse_that_came_too_late_is_not_for_the_next_erasure(
    noted: Kept, receiver: ToldReceiver
) -> None:
    await noted.file("R-1", SOMEBODY)
    receiver.answer = lambda *_: (503, {}, b"")
    with pytest.raises(NoticeError):
        await noted.run()
    await excuse_receiver(noted.private, "siem", "operator", "it was scrapped", AT)
    [name] = [name for name in noted.private_names() if "excused-receivers" in name]
    late = await noted.private.get(name)
    assert late is not None
    await noted.run()
    await noted.private.create(name, late.value)  # as by a person who was a moment too late
    await noted.file("R-2", ANOTHER)
    with pytest.raises(NoticeError):
        await noted.run()


async def test_nobody_is_excused_whom_nothing_waits_for(noted: Kept) -> None:
    for target in ("siem", "another"):
        with pytest.raises(RequestError, match=f"waits for the receiver {target}"):
            await excuse_receiver(noted.private, target, "operator", "just in case", AT)
    await noted.file("R-1", SOMEBODY)
    await noted.run()
    with pytest.raises(RequestError):
        await excuse_receiver(noted.private, "siem", "operator", "just in case", AT)


async def test_who_has_no_copies_any_more_is_excused_for_good_until_it_is_sent_some_again(
    noted: Kept, receiver: ToldReceiver
) -> None:
    noted.receivers = {}
    await noted.file("R-1", SOMEBODY)
    with pytest.raises(NoticeError):
        await noted.run()
    await excuse_receiver(noted.private, "siem", "operator", "scrapped", AT, for_good=True)
    [entry] = (await noted.run()).certified
    assert entry.said["targets"][0]["receipt"].startswith("excused by operator: scrapped (")
    await noted.file("R-2", ANOTHER)
    [entry] = (await noted.run()).certified
    assert entry.said["targets"] == []
    gone = await noted.private.get("private/receivers-gone/siem")
    assert gone is not None
    assert (gone.value["by"], gone.value["reason"]) == ("operator", "scrapped")
    await note_receiver(noted.private, "siem", [ID], KEY, AT)  # as a deliverer that still ran
    await noted.file("R-3", *(set(RECORDS) - {SOMEBODY, ANOTHER}))
    with pytest.raises(NoticeError):
        await noted.run()


async def test_who_is_not_known_is_not_excused_for_good(noted: Kept) -> None:
    with pytest.raises(RequestError, match="waits for the receiver lake"):
        await excuse_receiver(noted.private, "lake", "operator", "scrapped", AT, for_good=True)
    await excuse_receiver(noted.private, "siem", "operator", "scrapped", AT, for_good=True)
    await noted.file("R-1", SOMEBODY)
    assert len((await noted.run()).certified) == 1


async def test_a_receiver_that_left_the_settings_is_not_left_out(noted: Kept) -> None:
    noted.receivers = {}
    await noted.file("R-1", SOMEBODY)
    with pytest.raises(NoticeError, match="siem is in no setting"):
        await noted.run()
    assert await noted.certificates() == []


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 201])
async def test_a_reason_that_cannot_stand_in_a_certificate_is_refused(
    noted: Kept, reason: str
) -> None:
    with pytest.raises(FormatError, match="printable"):
        await excuse_receiver(noted.private, "siem", "operator", reason, AT, for_good=True)


async def test_no_process_is_excused_that_nothing_waits_for(noted: Kept) -> None:
    gone, loaded = await noted.member(), await noted.member()
    process = gone.member.process
    await noted.file("R-1", SOMEBODY)
    with pytest.raises(Killed):
        await noted.run(Kill("taken", "after"))  # nothing is punctured: a hold may still come
    for early in (process, "worker-mistyped"):
        with pytest.raises(RequestError, match=f"no erasure waits for the process {early}"):
            await excuse(noted.private, early, "operator", "just in case")
    with pytest.raises(BarrierError):
        await noted.run()
    await loaded.loaded(2)
    for other in ("worker-mistyped", loaded.member.process):
        with pytest.raises(RequestError, match=f"does not wait for the process {other}") as raised:
            await excuse(noted.private, other, "operator", "just in case")
        assert f"it waits for {process}:" in str(raised.value.hint)
    assert not any("excused/" in name for name in noted.private_names())
    await excuse(noted.private, process, "operator", "scrapped")
    await noted.run()
    with pytest.raises(RequestError, match="no erasure waits"):
        await excuse(noted.private, process, "operator", "once more")
    [certificate] = await noted.certificates()
    assert [each["process"] for each in certificate.barrier["excused"]] == [process]


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 201])
async def test_a_reason_about_a_process_that_cannot_stand_in_a_certificate_is_refused(
    noted: Kept, reason: str
) -> None:
    gone = await noted.member()
    await noted.file("R-1", SOMEBODY)
    with pytest.raises(BarrierError):
        await noted.run()
    with pytest.raises(FormatError, match="printable"):
        await excuse(noted.private, gone.member.process, "operator", reason)
