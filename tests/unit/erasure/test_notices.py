"""Telling receivers to erase: all of it, once, nothing but it, before the certificate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit_stream.archive.receivers import note_receiver
from audit_stream.erasure.batch import JOURNAL
from audit_stream.erasure.notifying import waiting_for_receivers
from audit_stream.errors import NoticeError
from tests.support.erasing import ANOTHER, RECORDS, SOMEBODY
from tests.support.keeping import AT, Kept, Kill, Killed
from tests.support.told import ToldReceiver, delivery_to, told_receiver
from tests.unit.erasure.conftest import ID, RECORDS_A_PART
from tests.unit.erasure.test_keeper import KILLS

ADDRESS = "recipient_address"


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
    noted: Kept, receiver: ToldReceiver
) -> None:
    await noted.file("R-1", SOMEBODY)
    [entry] = (await noted.run()).certified
    parts = -(-len(RECORDS[SOMEBODY]) // RECORDS_A_PART)
    assert parts > 1
    assert told(receiver) == wanted(SOMEBODY)
    assert [body["part"] for body in receiver.bodies] == [*range(1, parts + 1)]
    assert {body["parts"] for body in receiver.bodies} == {parts}
    assert {len(body["records"]) <= RECORDS_A_PART for body in receiver.bodies} == {True}
    [target] = entry.said["targets"]
    assert target["target"] == "siem"
    assert target["receipt"] == f"acknowledged: {parts} of {parts} parts"
    assert left(noted) == []
    assert noted.problems() == []


async def test_a_notice_says_nothing_that_the_receiver_was_not_sent(
    noted: Kept, receiver: ToldReceiver
) -> None:
    await noted.file("R-1", SOMEBODY)
    [entry] = (await noted.run()).certified
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
    noted: Kept, receiver: ToldReceiver
) -> None:
    noted.records_a_part = 1_000
    await noted.file("R-1", SOMEBODY)
    await noted.file("R-2", ANOTHER)
    await noted.run()
    [body] = receiver.bodies
    hashes = [record["integrity_hash"] for record in body["records"]]
    assert hashes == sorted(hashes)
    assert told(receiver) == wanted(SOMEBODY, ANOTHER)


@pytest.mark.parametrize(("step", "when"), [
    *KILLS, ("counted", "between"), ("notified", "between"),
])  # fmt: skip
async def test_each_part_is_taken_once_whatever_ends_a_run(
    noted: Kept, receiver: ToldReceiver, step: str, when: str
) -> None:
    await noted.file("R-1", SOMEBODY)
    await noted.file("R-2", ANOTHER)
    with pytest.raises(Killed):
        await noted.run(Kill(step, when))
    await noted.run()
    assert (await noted.run()).certified == ()
    assert told(receiver) == wanted(SOMEBODY, ANOTHER)
    assert {len(stored) for stored in receiver.stored.values()} == {1}
    again = len(receiver.posts) - len(receiver.stored)
    assert again == ((step, when) == ("notified", "between"))  # its acknowledgement was lost
    certificates = await noted.certificates()
    assert len(certificates) == 2
    assert all([each["target"] for each in said.targets] == ["siem"] for said in certificates)
    assert left(noted) == []
    assert JOURNAL not in noted.private_names()


async def test_who_is_told_cannot_be_sent_the_fields_any_more_and_nothing_is_certified_yet(
    noted: Kept, receiver: ToldReceiver
) -> None:
    seen = []

    def look() -> None:
        redactions = noted.folder / "archive/redactions"
        seen.append((noted.ring.keyring.epoch, noted.destroyed, redactions.exists()))

    receiver.before = look
    await noted.file("R-1", SOMEBODY)
    await noted.run()
    assert seen
    assert all(each == (2, [1], False) for each in seen)


async def test_a_receiver_that_is_away_is_waited_for_and_the_keys_are_gone_all_the_same(
    noted: Kept, receiver: ToldReceiver
) -> None:
    await noted.file("R-1", SOMEBODY)
    receiver.answer = lambda _, count: (201, {}, b"") if count == 1 else (503, {}, b"")
    with pytest.raises(NoticeError, match="siem cannot be told"):
        await noted.run()
    assert (await noted.certificates(), noted.destroyed) == ([], [1])
    assert [alarm["key"] for alarm in noted.alarms.open()] == ["erasure:receiver:siem"]
    assert await waiting_for_receivers(noted.private) == 1
    receiver.answer, receiver.posts[:], stored = None, [], set(receiver.stored)
    await noted.run()
    assert receiver.posts[0][0].endswith(":2")  # it goes on behind what was acknowledged
    assert stored < set(receiver.stored)
    assert len(await noted.certificates()) == 1
    assert noted.alarms.open() == []
    assert await waiting_for_receivers(noted.private) == 0


async def test_how_far_another_notice_had_come_is_not_taken_for_this_ones(
    noted: Kept, receiver: ToldReceiver
) -> None:
    value = {"at": AT, "done": 99, "notice_id": "en-0123456789abcdef", "v": "audit-told/1"}
    await noted.private.create("private/notices/told/siem", value)
    await noted.file("R-1", SOMEBODY)
    await noted.run()
    assert told(receiver) == wanted(SOMEBODY)


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(
    noted: Kept, receiver: ToldReceiver
) -> None:
    await noted.file("R-1", SOMEBODY)
    receiver.drops = 1
    with pytest.raises(NoticeError):
        await noted.run()
    await noted.run()
    assert told(receiver) == wanted(SOMEBODY)
    assert receiver.posts[0] == receiver.posts[1]
    assert {len(stored) for stored in receiver.stored.values()} == {1}


async def test_a_refusal_waits_for_a_person_and_is_not_quoted(
    noted: Kept, receiver: ToldReceiver
) -> None:
    await noted.file("R-1", SOMEBODY)
    receiver.statuses = [400]  # its answer repeats what was posted
    with pytest.raises(NoticeError, match="refused the notice with status 400") as raised:
        await noted.run()
    ids = {pub["message_uuid"] for pub in RECORDS[SOMEBODY]}
    said = str(raised.value) + json.dumps(noted.alarms.open())
    assert not any(each in said for each in ids)


async def test_everybody_at_once_is_one_notice(noted: Kept, receiver: ToldReceiver) -> None:
    noted.records_a_part = 10
    for number, tag in enumerate(RECORDS):
        await noted.file(f"R-{number}", tag)
    entries = (await noted.run()).certified
    assert len(entries) == len(RECORDS) > 10
    assert told(receiver) == wanted(*RECORDS)
    assert len({body["notice_id"] for body in receiver.bodies}) == 1
    assert len(receiver.posts) == -(-sum(map(len, RECORDS.values())) // 10)


async def test_one_receiver_does_not_hold_up_the_telling_of_another(
    noted: Kept, receiver: ToldReceiver
) -> None:
    await note_receiver(noted.private, "lake", [ID, ADDRESS], "message_uuid", AT)
    await noted.file("R-1", SOMEBODY)
    with told_receiver() as lake:
        async with delivery_to(lake, "lake") as delivery:
            noted.receivers["lake"] = delivery
            receiver.statuses = [503]
            with pytest.raises(NoticeError, match=r"1 receivers.*siem"):
                await noted.run()
            assert [body["fields"] for body in lake.bodies] == [[ID, ADDRESS]] * len(lake.bodies)
            assert len(lake.records()) == len(RECORDS[SOMEBODY])
            assert all(each["keys"] == [each["message_uuid"]] for each in lake.records())
            posts = len(lake.posts)
            [entry] = (await noted.run()).certified
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


async def test_who_has_no_records_is_told_to_nobody(noted: Kept, receiver: ToldReceiver) -> None:
    await noted.file("R-1", bytes(range(16)))
    [entry] = (await noted.run()).certified
    assert (receiver.posts, entry.said["targets"]) == ([], [])
    await noted.file("R-2", bytes(range(1, 17)))
    await noted.file("R-3", SOMEBODY)
    none, some = (await noted.run()).certified
    assert none.said["targets"] == []
    assert [each["target"] for each in some.said["targets"]] == ["siem"]


async def test_the_list_is_sealed_while_it_is_kept(noted: Kept, receiver: ToldReceiver) -> None:
    await noted.file("R-1", SOMEBODY)
    receiver.statuses = [503]
    with pytest.raises(NoticeError):
        await noted.run()
    ids = [pub["message_uuid"].encode() for pub in RECORDS[SOMEBODY]]
    files = [noted.folder / "subjects" / name for name in left(noted)]
    assert files
    assert not any(each in file.read_bytes() for file in files for each in ids)
