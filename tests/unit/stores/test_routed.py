"""One archive in several stores: to whoever uses it, it is one."""

from __future__ import annotations

from itertools import product

import pytest

from audit_stream.evidence import layout
from audit_stream.evidence.layout import SegmentName
from audit_stream.posture import Assurance
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.routed import RoutedStore

CLASSES = {"voice": "CALLS", "email": "MAIL", "email-rekeyed": "MAIL"}
NAMES = sorted([
    *(str(SegmentName(topic, 1, part, base)) for topic, part, base in product(
        ("email", "email-rekeyed", "sms", "voice"), (0, 1), (0, 7))),
    *(layout.stream_name(topic, 1) for topic in ("email", "sms", "voice")),
    "log/00000000000000000000.json", "maps/aa.json", "tile/0/000",
    layout.disposed_name(SegmentName("voice", 1, 0, 0)),
])  # fmt: skip


class Routed:
    def __init__(self) -> None:
        self.main, self.calls, self.mail = (MemoryWormStore() for _ in range(3))
        classes = {"CALLS": self.calls, "MAIL": self.mail}
        self.store = RoutedStore(self.main, classes, lambda topic: CLASSES.get(topic, "REST"))

    async def fill(self) -> None:
        for name in NAMES:
            await self.store.put_if_absent(name, name.encode(), {})


@pytest.fixture
async def routed() -> Routed:
    made = Routed()
    await made.fill()
    return made


async def test_a_class_lies_in_its_own_store_and_all_else_in_the_main_one(routed: Routed) -> None:
    assert {name.split("/")[1] for name in routed.calls.objects} == {"voice"}
    assert {name.split("/")[1] for name in routed.mail.objects} == {"email", "email-rekeyed"}
    assert sum(len(each.objects) for each in (routed.main, routed.calls, routed.mail)) == len(NAMES)
    assert not any("/voice/" in name or "/email" in name for name in routed.main.objects
                   if not name.startswith("disposed/"))  # fmt: skip
    for name in NAMES:
        assert await routed.store.get(name) == name.encode()


async def test_it_lists_as_one_store_would(routed: Routed) -> None:
    """Every beginning of every name, from before, on and behind names, cut short and whole."""
    one = MemoryWormStore()
    for name in NAMES:
        await one.put_if_absent(name, b"x", {})
    prefixes = {name[:size] for name in NAMES for size in range(len(name) + 1)}
    prefixes = {each for each in prefixes if not each.endswith("/.")}
    for prefix in sorted(prefixes):
        for after, limit in product(("", NAMES[3], NAMES[-2], "segments/f"), (None, 1, 3)):
            wanted = await one.names(prefix, after=after, limit=limit)
            assert await routed.store.names(prefix, after=after, limit=limit) == wanted


async def test_a_topic_that_is_named_asks_one_store(routed: Routed) -> None:
    routed.main.outage = True
    assert len(await routed.store.names("segments/voice/")) == 4
    assert len(await routed.store.names("segments/voice/00001/00000/", limit=1)) == 1
    routed.main.outage, routed.calls.outage = False, True
    assert await routed.store.names("log/") == ["log/00000000000000000000.json"]


async def test_holds_and_retention_go_where_the_object_is(routed: Routed) -> None:
    name = str(SegmentName("voice", 1, 0, 0))
    await routed.store.set_hold(name, True)
    await routed.store.extend_retention(name, 10**15)
    found = routed.calls.objects[name]
    assert (found.held, found.retain_until_ms) == (True, 10**15)


async def test_its_posture_is_the_weakest(routed: Routed) -> None:
    assert (await routed.store.posture()).assurance is Assurance.WORM_LOCKED
    routed.mail.assurance = Assurance.WORM_UNLOCKED
    posture = await routed.store.posture()
    assert posture.assurance is Assurance.WORM_UNLOCKED
    assert [str(each) for each in posture.missing(Assurance.WORM_LOCKED)] == [
        "MAIL: in memory: lost with the process"
    ]


async def test_what_lies_in_another_store_than_its_class_is_found(routed: Routed) -> None:
    await routed.main.put_if_absent(layout.stream_name("voice", 2), b"x", {})
    posture = await routed.store.posture()
    assert posture.assurance is Assurance.MUTABLE
    assert any(each.fact == "routing" and "voice" in each.value for each in posture.findings)
