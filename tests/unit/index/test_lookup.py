"""Looking up in real indexes of the golden archive: every way in, what is answered, what is not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from audit_stream.errors import FormatError
from audit_stream.evidence.record import integrity_hash, parse_record
from audit_stream.evidence.segment import decode
from audit_stream.evidence.tree import leaf_hash, verify_inclusion
from audit_stream.index.lookup import Message
from audit_stream.stores.file import FileStore
from tests.support import golden
from tests.support.indexing import (
    CUSTOMERS,
    PUBS,
    Asking,
    Key,
    by_message,
    golden_archive,
    golden_subjects,
    message_keys,
)
from tests.support.replaying import stored
from tests.support.resealed import (
    EMAIL,
    MESSAGES,
    OBJECTS,
    edited,
    name,
    only,
    relinked,
    second_generation,
)


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Asking]:
    archive = golden_archive(FileStore(golden.ARCHIVE, True), golden_subjects())
    made = Asking(archive, tmp_path)
    await made.catch_up()
    yield made
    made.index.close()


def sources(message: Message) -> list[str]:
    return [each.record.pub["source"] for each in message.revisions]


async def test_every_message_is_found_with_all_its_revisions(asking: Asking) -> None:
    lookup, expected = asking.lookup, by_message()
    for (tenant, message), wanted in expected.items():
        (found,) = await lookup.by_message(tenant, message)
        assert sources(found) == wanted
        assert [each.record.pub["revision"] for each in found.revisions] == [
            *range(1, len(wanted) + 1)
        ]
        assert found.effective is found.revisions[-1]
        everybodys = message_keys(await lookup.by_message(None, message))
        assert sorted(everybodys) == sorted(key for key in expected if key[1] == message)


async def test_each_revision_is_proven_up_to_a_signed_header(asking: Asking) -> None:
    for tenant, message in by_message():
        (found,) = await asking.lookup.by_message(tenant, message)
        for each in found.revisions:
            header = decode(OBJECTS[each.segment], "x").header
            assert each.header == header
            leaf, root = leaf_hash(integrity_hash(each.record.pub)), bytes.fromhex(header.root)
            assert verify_inclusion(leaf, each.index, header.count, each.path, root)


def with_status(source: str, status: bytes, changed: bytes) -> dict[str, bytes]:
    """The archive with another status in the record that stands at `source`."""
    for each, data in OBJECTS.items():
        if not each.startswith("segments/"):
            continue
        for index, line in enumerate(decode(data, "x").record_lines()):
            if parse_record(line, "x").pub["source"] == source:
                form = b'"delivery_status":"%b"'
                new = edited(data, index, (form % status, form % changed))
                return relinked(OBJECTS | {each: new})
    raise AssertionError(source)


async def test_conflict_is_delivered_and_failed_standing_together(tmp_path: Path) -> None:
    read = next(pub for pub in PUBS if pub["delivery_status"] == "READ" and pub["revision"] == 2)
    message = (read["platform_tenant_id"], read["message_uuid"])
    for number, (status, conflict) in enumerate({b"READ": False, b"FAILED": True}.items()):
        objects = with_status(read["source"], b"READ", status)
        made = Asking(golden_archive(await stored(objects), None), tmp_path / str(number))
        await made.catch_up()
        (found,) = await made.lookup.by_message(*message)
        assert found.conflict is conflict
        assert found.effective.record.pub["source"] == read["source"]


@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_a_customers_messages_come_in_pages_in_the_order_of_the_archive(
    asking: Asking, limit: int
) -> None:
    assert max(map(len, CUSTOMERS.values())) > 2
    for (tenant, customer), wanted in CUSTOMERS.items():
        found: list[Message] = []
        cursor = None
        while True:
            page = await asking.lookup.by_customer(tenant, customer, cursor=cursor, limit=limit)
            assert len(page.messages) <= limit
            found += page.messages
            cursor = page.cursor
            if cursor is None:
                break
        assert len(set(message_keys(found))) == len(found)
        assert sorted(message_keys(found)) == sorted(wanted)
        assert all(each.is_of(customer) for each in found)
        assert (await asking.lookup.by_customer(f"{tenant}x", customer)).messages == ()


async def test_a_page_reads_each_record_once(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, read = asking.archive.store, list[str]()
    get = store.get

    async def counted(wanted: str) -> bytes | None:
        read.append(wanted)
        return await get(wanted)

    monkeypatch.setattr(store, "get", counted)
    for (tenant, customer), messages in CUSTOMERS.items():
        read.clear()
        await asking.lookup.by_customer(tenant, customer)
        assert len(read) == sum(len(by_message()[each]) for each in messages)


async def test_pages_are_the_same_however_they_are_cut(asking: Asking) -> None:
    (tenant, customer), _ = max(CUSTOMERS.items(), key=lambda item: len(item[1]))
    whole = await asking.lookup.by_customer(tenant, customer)
    first = await asking.lookup.by_customer(tenant, customer, limit=1)
    rest = await asking.lookup.by_customer(tenant, customer, cursor=first.cursor)
    assert message_keys(first.messages + rest.messages) == message_keys(whole.messages)
    for cursor in ("", "x", "AAAA", "_w", first.cursor[:-4] if first.cursor else "!"):
        with pytest.raises(FormatError, match="cursor"):
            await asking.lookup.by_customer(tenant, customer, cursor=cursor)


async def test_every_source_position_leads_to_its_message(asking: Asking) -> None:
    archived = {pub["source"]: pub for pub in PUBS}
    for topic in golden.TOPICS:
        for raw in golden.raw_records(topic):
            position = f"{topic}/1/0/{raw.offset}"
            found = await asking.lookup.by_source(position)
            if position not in archived:
                assert found is None
                continue
            assert found is not None
            assert position in sources(found)
    last = PUBS[0]["source"]
    place, _, offset = last.rpartition("/")
    for wrong in ("", "x", last + "x", f"{place}/0{offset}", f"{place}/99999", f"x{last}",
                  last.replace("/1/0/", "/1/1/"), last.replace("/1/0/", "/01/0/")):  # fmt: skip
        assert await asking.lookup.by_source(wrong) is None


CARRIED = ((60, 0, "car-1"), (60, 1, "car-2"), (120, 0, "car-1"))


def carried_objects() -> tuple[dict[str, bytes], dict[str, set[Key]]]:
    """The archive with carrier message ids in some records, and whose they are."""
    objects, wanted = dict(OBJECTS), defaultdict[str, set[Key]](set)
    for base, index, carrier in CARRIED:
        each = name(MESSAGES, base)
        given = b'"carrier_message_id":"%b"' % carrier.encode()
        objects[each] = edited(objects[each], index, (b'"carrier_message_id":null', given))
        pub = parse_record(decode(objects[each], "x").record_lines()[index], "x").pub
        wanted[carrier].add((pub["platform_tenant_id"], pub["message_uuid"]))
    return relinked(objects), wanted


async def test_a_carriers_id_leads_to_its_messages(tmp_path: Path) -> None:
    objects, carried = carried_objects()
    made = Asking(golden_archive(await stored(objects), None), tmp_path)
    await made.catch_up()
    assert made.alarmed == []
    for carrier, wanted in carried.items():
        assert set(message_keys(await made.lookup.by_carrier(None, carrier))) == wanted
        for tenant in {tenant for tenant, _ in wanted}:
            found = message_keys(await made.lookup.by_carrier(tenant, carrier))
            assert set(found) == {key for key in wanted if key[0] == tenant}
        assert await made.lookup.by_carrier("nobody", carrier) == []
    assert await made.lookup.by_carrier(None, "car-3") == []


async def test_what_is_unknown_is_nothing(asking: Asking) -> None:
    assert await asking.lookup.by_message(None, "unknown") == []
    assert await asking.lookup.by_message("unknown", PUBS[0]["message_uuid"]) == []
    assert await asking.lookup.by_carrier(None, "unknown") == []
    assert (await asking.lookup.by_customer("unknown", "unknown")).messages == ()


async def test_a_message_of_two_generations_has_the_revisions_of_both(tmp_path: Path) -> None:
    objects = second_generation(EMAIL)
    made = Asking(golden_archive(await stored(objects), None), tmp_path)
    await made.catch_up()
    assert made.alarmed == []
    one = next(pub for pub in PUBS if pub["source"].startswith(EMAIL) and pub["revision"] > 1)
    (found,) = await made.lookup.by_message(one["platform_tenant_id"], one["message_uuid"])
    generations = [each.header.generation for each in found.revisions]
    assert generations == sorted(generations)
    assert set(generations) == {1, 2}
    assert found.effective.record.pub["revision"] == max(
        each.record.pub["revision"] for each in found.revisions
    )
    again = await made.lookup.by_source(one["source"].replace("/1/0/", "/2/0/"))
    assert again is not None
    assert sources(again) == sources(found)


async def test_a_new_segment_is_found_once_it_is_indexed(tmp_path: Path) -> None:
    store = await stored(only(EMAIL))
    made = Asking(golden_archive(store, golden_subjects()), tmp_path)
    await made.catch_up()
    one = next(pub for pub in PUBS if pub["source"].startswith(MESSAGES))
    assert await made.lookup.by_source(one["source"]) is None
    for each, data in only(MESSAGES).items():
        await store.put_if_absent(each, data, {})
    await made.catch_up()
    assert await made.lookup.by_source(one["source"]) is not None
