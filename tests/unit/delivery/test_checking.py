"""Checking a receiver over HTTP, a day of a test's clock long."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import pytest

from audit_stream.delivery.checking import Checker, check_name, kept_check
from audit_stream.delivery.endpoint import HttpDelivery
from audit_stream.delivery.outcome import Answer
from audit_stream.delivery.probing import Check, Verdict, count_in
from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.stores.subjects import FileSubjectStore
from tests.support.told import ToldReceiver, delivery_to, told_receiver

DAY = 86_400.0


@pytest.fixture
def receiver() -> Iterator[ToldReceiver]:
    with told_receiver() as receiver:
        yield receiver


@dataclass
class Checking:
    """A checker with a clock of its own."""

    delivery: HttpDelivery
    store: FileSubjectStore
    at: float = 1_800_000_000.0
    drawn: Iterator[int] = field(default_factory=count)

    @property
    def checker(self) -> Checker:
        async def observe(body: bytes, key: str) -> Answer:
            return (await self.delivery.observe(body, key))[0]

        return Checker(
            target="siem", archive="test.example/a", store=self.store, observe=observe,
            now=lambda: self.at, draw=lambda: f"{next(self.drawn):016x}",
        )  # fmt: skip

    async def run(self, after: float = 0.0) -> Check:
        self.at += after
        return await self.checker.run()

    async def count(self, key: str) -> int:
        url = self.delivery._endpoint.url
        return count_in(await self.delivery.read(url.rpartition("/")[0] + f"/{key}"))


@pytest.fixture
async def checking(tmp_path: Path, receiver: ToldReceiver) -> AsyncIterator[Checking]:
    async with delivery_to(receiver) as delivery:
        yield Checking(delivery, FileSubjectStore(tmp_path))


def judged(check: Check) -> tuple[Verdict | None, Verdict | None]:
    soon, later = check.soon, check.later
    return soon and soon.verdict, later and later.verdict


async def test_a_receiver_that_honours_keys_is_found_to_for_as_long_as_it_was_shown(
    checking: Checking, receiver: ToldReceiver
) -> None:
    check = await checking.run()
    assert judged(check) == (Verdict.HONOURED, None)
    assert check.remembered == 0
    [key, before, again, after] = [key for key, _ in receiver.posts]
    assert key == again
    assert len({key, before, after}) == 3
    assert receiver.posts[0] == receiver.posts[2]
    assert await checking.run(3_600) == check  # run every hour, it waits for its day
    assert len(receiver.posts) == 4
    check = await checking.run(DAY)
    assert judged(check) == (Verdict.HONOURED, Verdict.HONOURED)
    assert check.remembered == DAY + 3_600
    assert receiver.posts[5] == receiver.posts[0]
    assert {len(stored) for stored in receiver.stored.values()} == {1}
    assert receiver.posts[7][0] not in {key, before, after}  # and a new probe is at work


async def test_a_receiver_that_forgets_over_night_is_found_out(
    checking: Checking, receiver: ToldReceiver
) -> None:
    await checking.run()
    receiver.remembers = False
    for stored in receiver.stored.values():
        stored.append(b"")  # what it is given next is its second
    check = await checking.run(DAY)
    assert check.later is not None
    assert check.later.verdict is Verdict.NOT_HONOURED
    assert check.remembered == 0
    assert (await checking.run(3_600)).judgement == check.judgement  # for as long as it stands
    receiver.remembers = True
    check = await checking.run(DAY)
    assert judged(check) == (Verdict.HONOURED, Verdict.HONOURED)


async def test_a_receiver_that_honours_no_key_is_found_out_at_once(
    checking: Checking, receiver: ToldReceiver
) -> None:
    receiver.remembers = False
    assert judged(await checking.run()) == (Verdict.NOT_HONOURED, None)


async def test_a_receiver_whose_answers_say_nothing_is_unknown_until_it_can_be_counted(
    checking: Checking, receiver: ToldReceiver
) -> None:
    receiver.answer = lambda *_: (200, {}, b"")
    assert judged(await checking.run()) == (Verdict.UNKNOWN, None)
    counting = replace(checking.checker, count=checking.count)
    checking.at += DAY
    check = await counting.run()
    assert judged(check) == (Verdict.HONOURED, Verdict.HONOURED)
    receiver.remembers = False
    checking.at += DAY
    assert judged(await counting.run()) == (Verdict.NOT_HONOURED, Verdict.NOT_HONOURED)


async def test_a_count_that_lags_is_waited_for(checking: Checking, receiver: ToldReceiver) -> None:
    receiver.remembers = False
    receiver.answer = lambda *_: (200, {}, b"")
    shown = 1  # of the posts, as long as nothing was waited for

    async def count(key: str) -> int:
        return sum(each == key for each, _ in receiver.posts[:shown])

    async def sleep(_: float) -> None:
        nonlocal shown
        shown += 1

    counting = replace(checking.checker, count=count, sleep=sleep)
    assert judged(await counting.run()) == (Verdict.NOT_HONOURED, None)


async def test_a_count_that_never_comes_tells_nothing(
    checking: Checking, receiver: ToldReceiver
) -> None:
    async def count(key: str) -> int:
        return int(key == receiver.posts[0][0])

    async def sleep(_: float) -> None:
        pass

    counting = replace(checking.checker, count=count, sleep=sleep)
    assert judged(await counting.run()) == (Verdict.UNKNOWN, None)


@pytest.mark.parametrize("posts", [0, 1, 2, 3])
async def test_a_run_that_was_cut_off_gives_its_probe_up(
    checking: Checking, receiver: ToldReceiver, posts: int
) -> None:
    receiver.answer = lambda _, number: (503, {}, b"") if number > posts else (201, {}, b"")
    with pytest.raises(StoreTransient):
        await checking.run()
    receiver.answer = None
    check = await checking.run(60)
    assert judged(check) == (Verdict.HONOURED, None)
    assert check.probe.probe_id == f"{1:016x}"
    assert check.began == int(checking.at)


async def test_a_last_post_that_was_cut_off_is_made_again(
    checking: Checking, receiver: ToldReceiver
) -> None:
    began = await checking.run()
    receiver.statuses = [503]
    with pytest.raises(StoreTransient):
        await checking.run(DAY)
    assert await kept_check(checking.store, "siem") == began
    check = await checking.run(60)
    assert check.later is not None
    assert check.later.verdict is Verdict.HONOURED
    assert check.remembered == DAY + 60


async def test_a_receiver_that_takes_no_probe_is_not_judged(
    checking: Checking, receiver: ToldReceiver
) -> None:
    receiver.statuses = [400]
    with pytest.raises(StoreRefused, match="HTTP 400"):
        await checking.run()
    kept = await kept_check(checking.store, "siem")
    assert kept is not None
    assert kept.judgement is None


async def test_of_two_at_once_one_says_that_there_is_another(
    checking: Checking, receiver: ToldReceiver
) -> None:
    async def meanwhile(body: bytes, key: str) -> Answer:
        found = await checking.store.get(check_name("siem"))
        assert found is not None
        if not receiver.posts:
            await checking.store.replace(check_name("siem"), found.data + b" ", found.etag)
        return (await checking.delivery.observe(body, key))[0]

    with pytest.raises(StoreRefused, match="another process checks siem"):
        await replace(checking.checker, observe=meanwhile).run()


async def test_a_probe_holds_nothing_but_that_it_is_one(
    checking: Checking, receiver: ToldReceiver
) -> None:
    await checking.run()
    for _, body in receiver.posts:
        assert set(json.loads(body)) == {"archive", "at", "note", "probe_id", "v"}
