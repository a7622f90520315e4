"""Whose turn it is: generations one after the other, nobody held up by another partition."""

from __future__ import annotations

import asyncio

from tests.support.resealed import EMAIL, MESSAGES, OBJECTS, second_generation
from tests.support.tailing import ALL, Installation, Receiver, stored

MAILS = sorted((k for k in ALL if k.startswith(EMAIL)), key=lambda k: int(k.split("/")[3]))


class Stuck(Receiver):
    """Comes to no end with one post, until it is let go."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key, self.go = key, asyncio.Event()

    async def deliver(self, body, key):
        if key == self.key:
            await self.go.wait()
        return await super().deliver(body, key)


async def test_a_generation_begins_behind_the_one_before_in_one_pass():
    place = Installation(await stored(OBJECTS | second_generation(MESSAGES)))
    await place.run()  # as `--once` does: until no partition has more
    again = [key.replace("/1/", "/2/", 1) for key in ALL if key.startswith(MESSAGES)]
    assert sorted(place.receiver.keys) == sorted(ALL + again)
    generations = [key.split("/")[1] for key in place.receiver.keys if key.startswith(MESSAGES)]
    assert generations == sorted(generations)
    assert place.alerts.events == []


async def test_a_generation_that_is_forged_does_not_hide_the_next_one():
    objects = OBJECTS | second_generation(MESSAGES)
    first = min(each for each in objects if each.startswith(f"segments/{MESSAGES}/00001/"))
    del objects[first]
    place = Installation(await stored(objects))
    made = await place.run()
    assert list(made.stopped) == [f"{MESSAGES}/1/0"]
    again = [key.replace("/1/", "/2/", 1) for key in ALL if key.startswith(MESSAGES)]
    others = [key for key in ALL if not key.startswith(MESSAGES)]
    assert sorted(place.receiver.keys) == sorted(others + again)


async def test_what_one_partition_has_more_of_is_not_forgotten_for_another():
    place = Installation(await stored(OBJECTS))
    made = place.deliverer()
    await made._open_new()
    ended = asyncio.Event()

    async def more():
        ended.set()
        await asyncio.sleep(0)
        return True

    async def nothing_more():
        await ended.wait()
        return False

    for lane in made.lanes:
        lane.turn = nothing_more
    made.lanes[-1].turn = more
    assert await made.catch_up() is True


async def test_a_post_that_comes_to_no_end_holds_up_no_other_partition():
    place = Installation(await stored(OBJECTS), Stuck(MAILS[0]))
    place.longest_turn = 0.5
    made = place.deliverer()
    assert await made.catch_up() is True
    others = [key for key in ALL if not key.startswith(EMAIL)]
    assert sorted(key for key in place.receiver.keys if not key.startswith(EMAIL)) == others
    behind = await made.lag_offsets()
    assert [topic for topic, offsets in behind.items() if offsets] == [EMAIL]
    assert [topic for topic, age in made.lag_seconds(4e12).items() if age] == [EMAIL]
    place.receiver.go.set()
    while await made.catch_up():
        pass
    assert set(place.receiver.keys) == set(ALL)
    assert place.told["stored"] == len(ALL)


async def test_what_was_settled_before_it_is_written_down():
    middle = len(MAILS) // 2
    place = Installation(await stored(OBJECTS), Stuck(MAILS[middle]))
    place.longest_turn = 0.5
    assert await place.deliverer().catch_up() is True
    place.receiver.go.set()
    await place.run()  # another process
    before = [key for key in place.receiver.keys if key in MAILS[:middle]]
    assert before == MAILS[:middle]
    assert set(place.receiver.keys) == set(ALL)


async def test_a_partition_with_more_goes_on_while_another_is_held_up():
    place = Installation(await stored(OBJECTS))
    made = place.deliverer()
    await made._open_new()
    held, other = made.lanes[:2]
    turns, enough = [], asyncio.Event()

    async def held_up():
        await enough.wait()
        return False

    async def much():
        turns.append(other)
        await asyncio.sleep(0)
        if len(turns) == 5:
            enough.set()
        return True

    held.turn, other.turn = held_up, much
    async with asyncio.timeout(10):
        assert await made.catch_up() is True
    assert len(turns) >= 5
