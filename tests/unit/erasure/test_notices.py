"""Telling receivers to erase: all of it, once, nothing but it, before the certificate."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from audit_stream.archive.receivers import note_receiver
from audit_stream.erasure.batch import JOURNAL
from audit_stream.erasure.notifying import excuse_receiver, waiting_for_receivers
from audit_stream.errors import NoticeError, RequestError
from tests.support.erasing import ANOTHER, RECORDS, SOMEBODY
from tests.support.keeping import AT, Kept, Kill, Killed
from tests.support.told import ToldReceiver, delivery_to, told_receiver
from tests.unit.erasure.test_keeper import KILLS

ID, ADDRESS = "customer_external_id", "recipient_address"
KEY = "message_uuid:delivery_status"
_PART = 2  # records


@pytest.fixture
def receiver() -> Iterator[ToldReceiver]:
    with told_receiver() as receiver:
        yield receiver


@pytest.fixture
async def kept(tmp_path: Path, receiver: ToldReceiver) -> AsyncIterator[Kept]:
    """One installation whose receiver was sent customers' ids."""
    async with delivery_to(receiver) as delivery:
        kept = Kept(tmp_path, receivers={"siem": delivery}, records_a_part=_PART)
        await note_receiver(kept.private, "siem", [ID], KEY, AT)
        yield kept


def wanted(*tags: bytes) -> list[dict[str, object]]:
    """What a receiver has to be told of these."""
    pubs = [pub for tag in tags for pub in RECORDS[tag]]
    return sorted(
        ({"keys": [f"{pub['message_uuid']}:{pub['delivery_status']}"],
          "message_uuid": pub["message_uuid"], "delivery_status": pub["delivery_status"]}
         for pub in pubs), key=str
    )  # fmt: skip


def told(receiver: ToldReceiver) -> list[dict[str, object]]:
    hashes = [record["integrity_hash"] for record in receiver.records()]
    assert len(set(hashes)) == len(hashes)
    return sorted(
        ({name: record[name] for name in ("keys", "message_uuid", "delivery_status")}
         for record in receiver.records()), key=str
    )  # fmt: skip


def left(kept: Kept) -> list[str]:
    """What is still kept of a notice."""
    return [
        name for name in kept.private_names()
        if name.startswith(("private/notices/", "private/excused-receivers/"))
    ]  # fmt: skip


async def test_a_receiver_is_told_which_records_to_erase(
    kept: Kept, receiver: ToldReceiver
) -> None:
    await kept.file("R-1", SOMEBODY)
    [entry] = (await kept.run()).certified
    parts = -(-len(RECORDS[SOMEBODY]) // _PART)
    assert parts > 1
    assert told(receiver) == wanted(SOMEBODY)
    assert [body["part"] for body in receiver.bodies] == [*range(1, parts + 1)]
    assert {body["parts"] for body in receiver.bodies} == {parts}
    assert {len(body["records"]) <= _PART for body in receiver.bodies} == {True}
    [target] = entry.said["targets"]
    assert target["target"] == "siem"
    assert target["receipt"] == f"acknowledged: {parts} of {parts} parts"
    assert left(kept) == []
    assert kept.problems() == []


async def test_a_notice_says_nothing_that_the_receiver_was_not_sent(
    kept: Kept, receiver: ToldReceiver
) -> None:
    await kept.file("R-1", SOMEBODY)
    [entry] = (await kept.run()).certified
    said = entry.said
    for key, body in receiver.posts:
        text = key.encode() + body
        for never in (said["certificate_id"], said["request_ref"], said["commitment"],
                      said["basis"], SOMEBODY.hex()):  # fmt: skip
            assert str(never).encode() not in text
    [notice] = {body["notice_id"] for body in receiver.bodies}
    assert notice.encode() not in entry.line()  # who has the list does not find the certificate
    assert all(body["fields"] == [ID] for body in receiver.bodies)
    assert all(set(body) == {
        "archive", "fields", "notice_id", "part", "parts", "records", "v",
    } for body in receiver.bodies)  # fmt: skip


async def test_records_of_several_persons_do_not_lie_apart(
    kept: Kept, receiver: ToldReceiver
) -> None:
    kept.records_a_part = 1_000
    await kept.file("R-1", SOMEBODY)
    await kept.file("R-2", ANOTHER)
    await kept.run()
    [body] = receiver.bodies
    hashes = [record["integrity_hash"] for record in body["records"]]
    assert hashes == sorted(hashes)
    assert told(receiver) == wanted(SOMEBODY, ANOTHER)


@pytest.mark.parametrize(("step", "when"), [
    *KILLS, ("counted", "between"), ("notified", "between"),
])  # fmt: skip
async def test_each_part_is_taken_once_whatever_ends_a_run(
    kept: Kept, receiver: ToldReceiver, step: str, when: str
) -> None:
    await kept.file("R-1", SOMEBODY)
    await kept.file("R-2", ANOTHER)
    with pytest.raises(Killed):
        await kept.run(Kill(step, when))
    await kept.run()
    assert (await kept.run()).certified == ()
    assert told(receiver) == wanted(SOMEBODY, ANOTHER)
    assert {len(stored) for stored in receiver.stored.values()} == {1}
    again = len(receiver.posts) - len(receiver.stored)
    assert again == ((step, when) == ("notified", "between"))  # its acknowledgement was lost
    certificates = await kept.certificates()
    assert len(certificates) == 2
    assert all([each["target"] for each in said.targets] == ["siem"] for said in certificates)
    assert left(kept) == []
    assert JOURNAL not in kept.private_names()


async def test_who_is_told_cannot_be_sent_the_fields_any_more_and_nothing_is_certified_yet(
    kept: Kept, receiver: ToldReceiver
) -> None:
    seen = []

    def look() -> None:
        redactions = kept.folder / "archive/redactions"
        seen.append((kept.ring.keyring.epoch, kept.destroyed, redactions.exists()))

    receiver.before = look
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    assert seen
    assert all(each == (2, [1], False) for each in seen)


async def test_a_receiver_that_is_away_is_waited_for_and_the_keys_are_gone_all_the_same(
    kept: Kept, receiver: ToldReceiver
) -> None:
    await kept.file("R-1", SOMEBODY)
    receiver.answer = lambda _, count: (201, {}, b"") if count == 1 else (503, {}, b"")
    with pytest.raises(NoticeError, match="siem does not answer"):
        await kept.run()
    assert (await kept.certificates(), kept.destroyed) == ([], [1])
    assert [alarm["key"] for alarm in kept.alarms.open()] == ["erasure:receiver:siem"]
    assert await waiting_for_receivers(kept.private) == 1
    receiver.answer, receiver.posts[:], stored = None, [], set(receiver.stored)
    await kept.run()
    assert receiver.posts[0][0].endswith(":2")  # it goes on behind what was acknowledged
    assert stored < set(receiver.stored)
    assert len(await kept.certificates()) == 1
    assert kept.alarms.open() == []
    assert await waiting_for_receivers(kept.private) == 0


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(
    kept: Kept, receiver: ToldReceiver
) -> None:
    await kept.file("R-1", SOMEBODY)
    receiver.drops = 1
    with pytest.raises(NoticeError):
        await kept.run()
    await kept.run()
    assert told(receiver) == wanted(SOMEBODY)
    assert receiver.posts[0] == receiver.posts[1]
    assert {len(stored) for stored in receiver.stored.values()} == {1}


async def test_a_refusal_waits_for_a_person_and_is_not_quoted(
    kept: Kept, receiver: ToldReceiver
) -> None:
    await kept.file("R-1", SOMEBODY)
    receiver.statuses = [400]  # its answer repeats what was posted
    with pytest.raises(NoticeError, match="refused the notice with status 400") as raised:
        await kept.run()
    ids = {pub["message_uuid"] for pub in RECORDS[SOMEBODY]}
    said = str(raised.value) + json.dumps(kept.alarms.open())
    assert not any(each in said for each in ids)


async def test_who_cannot_be_told_is_excused_by_a_person_and_that_is_certified(
    kept: Kept, receiver: ToldReceiver
) -> None:
    await kept.file("R-1", SOMEBODY)
    receiver.answer = lambda _, count: (201, {}, b"") if count == 1 else (503, {}, b"")
    with pytest.raises(NoticeError, match="redact excuse"):
        await kept.run()
    posts = len(receiver.posts)
    await excuse_receiver(kept.private, "siem", "operator", "its disks were shredded", AT)
    [entry] = (await kept.run()).certified
    assert len(receiver.posts) == posts
    parts = -(-len(RECORDS[SOMEBODY]) // _PART)
    said = f"excused by operator: its disks were shredded (acknowledged: 1 of {parts} parts)"
    assert entry.said["targets"] == [{"at": AT, "receipt": said, "target": "siem"}]
    assert left(kept) == []
    await kept.file("R-2", ANOTHER)  # for which nobody has excused it
    with pytest.raises(NoticeError):
        await kept.run()


async def test_an_excuse_that_came_too_late_is_not_for_the_next_erasure(
    kept: Kept, receiver: ToldReceiver
) -> None:
    await kept.file("R-1", SOMEBODY)
    receiver.answer = lambda *_: (503, {}, b"")
    with pytest.raises(NoticeError):
        await kept.run()
    await excuse_receiver(kept.private, "siem", "operator", "it was scrapped", AT)
    [name] = [name for name in kept.private_names() if "excused-receivers" in name]
    late = await kept.private.get(name)
    assert late is not None
    await kept.run()
    await kept.private.create(name, late.value)  # as by a person who was a moment too late
    await kept.file("R-2", ANOTHER)
    with pytest.raises(NoticeError):
        await kept.run()


async def test_nobody_is_excused_whom_nothing_waits_for(kept: Kept) -> None:
    for target in ("siem", "another"):
        with pytest.raises(RequestError, match=f"waits for the receiver {target}"):
            await excuse_receiver(kept.private, target, "operator", "just in case", AT)
    await kept.file("R-1", SOMEBODY)
    await kept.run()
    with pytest.raises(RequestError):
        await excuse_receiver(kept.private, "siem", "operator", "just in case", AT)


async def test_a_receiver_that_left_the_settings_is_not_left_out(kept: Kept) -> None:
    kept.receivers = {}
    await kept.file("R-1", SOMEBODY)
    with pytest.raises(NoticeError, match="siem is in no setting"):
        await kept.run()
    assert await kept.certificates() == []


async def test_one_receiver_does_not_hold_up_the_telling_of_another(
    kept: Kept, receiver: ToldReceiver
) -> None:
    await note_receiver(kept.private, "lake", [ID, ADDRESS], "message_uuid", AT)
    await kept.file("R-1", SOMEBODY)
    with told_receiver() as lake:
        async with delivery_to(lake, "lake") as delivery:
            kept.receivers["lake"] = delivery
            receiver.statuses = [503]
            with pytest.raises(NoticeError, match=r"1 receivers.*siem"):
                await kept.run()
            assert [body["fields"] for body in lake.bodies] == [[ID, ADDRESS]] * len(lake.bodies)
            assert len(lake.records()) == len(RECORDS[SOMEBODY])
            assert all(each["keys"] == [each["message_uuid"]] for each in lake.records())
            posts = len(lake.posts)
            [entry] = (await kept.run()).certified
            assert len(lake.posts) == posts
    assert [each["target"] for each in entry.said["targets"]] == ["lake", "siem"]


async def test_where_nobody_was_sent_anything_no_list_is_ever_made(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    listed = []

    def hook(step: str, when: str) -> None:
        listed.extend(left(kept))

    await kept.file("R-1", SOMEBODY)
    [entry] = (await kept.run(hook)).certified
    assert (listed, entry.said["targets"]) == ([], [])


async def test_who_has_no_records_is_told_to_nobody(kept: Kept, receiver: ToldReceiver) -> None:
    await kept.file("R-1", bytes(range(16)))
    [entry] = (await kept.run()).certified
    assert (receiver.posts, entry.said["targets"]) == ([], [])
    await kept.file("R-2", bytes(range(1, 17)))
    await kept.file("R-3", SOMEBODY)
    none, some = (await kept.run()).certified
    assert none.said["targets"] == []
    assert [each["target"] for each in some.said["targets"]] == ["siem"]


async def test_the_list_is_sealed_while_it_is_kept(kept: Kept, receiver: ToldReceiver) -> None:
    await kept.file("R-1", SOMEBODY)
    receiver.statuses = [503]
    with pytest.raises(NoticeError):
        await kept.run()
    ids = [pub["message_uuid"].encode() for pub in RECORDS[SOMEBODY]]
    files = [kept.folder / "subjects" / name for name in left(kept)]
    assert files
    assert not any(each in file.read_bytes() for file in files for each in ids)
