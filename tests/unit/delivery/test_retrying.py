"""Trying entries again: the archive's record under the entry's key, and never one that is passed
before it is settled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_stream.delivery.retried import Retries
from audit_stream.delivery.retrying import RecordReader, retry
from audit_stream.delivery.undeliverable import Undeliverable
from audit_stream.errors import BrokerError, FormatError
from tests.support import golden
from tests.support.delivering import pubs
from tests.support.resealed import MESSAGES, OBJECTS, name
from tests.support.tailing import NOW, Installation, Receiver, stored

PUB = next(pub for pub in pubs() if pub["source"].startswith(f"{MESSAGES}/1/0/"))
ENTRY = Undeliverable(
    target="siem", topic=MESSAGES, generation=1, partition=0,
    offset=int(PUB["source"].rpartition("/")[2]), segment=name(MESSAGES, 0),
    key=f"{PUB['message_uuid']}:{PUB['delivery_status']}", status=422, answer="no", at=NOW,
)  # fmt: skip


class Trying:
    """An archive, its undeliverable entries, and a retry of them."""

    def __init__(self, store, receiver=None):
        self.place = Installation(store, receiver)
        self.courier = self.place.deliverer()._work.courier
        self.reader = RecordReader(store, golden.trusted(), golden.KEYRING.archive, self.courier)
        self.retries = Retries(self.place.positions, "siem", "topic-1", lambda: NOW)

    async def run(self, *entries):
        async def found():
            for offset in range((await self.retries.at(0)).next, len(entries)):
                yield 0, offset, entries[offset].encode()

        return await retry(found(), self.retries, self.reader, self.courier, self.place.keep)


async def test_an_entry_goes_out_under_its_own_key_whatever_the_setting_says_today():
    for key in (ENTRY.key, PUB["message_uuid"], PUB["source"]):
        trying = Trying(await stored(OBJECTS))
        done = await trying.run(replace(ENTRY, key=key))
        assert (done.stored, trying.place.receiver.keys) == (1, [key])
        assert (await trying.retries.at(0)).next == 1


@pytest.mark.parametrize("key", ["another:READ", "a\r\nAuthorization: Bearer mine", "é", ""])
async def test_a_key_that_is_not_its_records_is_not_posted(key):
    trying = Trying(await stored(OBJECTS))
    with pytest.raises(FormatError, match="another record's key"):
        await trying.run(replace(ENTRY, key=key))
    assert trying.place.receiver.keys == []
    assert (await trying.retries.at(0)).next == 0


async def test_what_is_rejected_again_is_kept_before_the_entry_is_passed():
    trying = Trying(await stored(OBJECTS), Receiver(frozenset({ENTRY.key})))
    trying.place.broker = False
    with pytest.raises(BrokerError):
        await trying.run(ENTRY)
    assert (await trying.retries.at(0)).next == 0
    trying.place.broker = True
    assert (await trying.run(ENTRY)).rejected == 1
    assert [entry.key for entry in trying.place.kept] == [ENTRY.key]
    assert (await trying.retries.at(0)).next == 1


async def test_an_entry_of_a_record_that_is_not_there_is_said_and_not_passed():
    trying = Trying(await stored(OBJECTS))
    for entry in (replace(ENTRY, offset=10**6), replace(ENTRY, segment=name(MESSAGES, 7))):
        with pytest.raises(FormatError):
            await trying.run(entry)
    assert (await trying.retries.at(0)).next == 0
