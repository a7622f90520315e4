"""Anchoring beside a real log: who is asked when, what is stored, what failing does."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from audit_stream.anchors.anchoring import Anchoring
from audit_stream.anchors.http import poster
from audit_stream.anchors.newest import newest_vouched, vouched_at
from audit_stream.anchors.timestamps import TimestampAuthority
from audit_stream.anchors.witness import Witness
from audit_stream.errors import StoreTransient
from audit_stream.evidence.note import NoteSigner, parse_note
from audit_stream.evidence.policy import any_of
from audit_stream.evidence.timestamp import (
    TrustedAuthorities,
    check_timestamp,
    parse_authorities,
)
from audit_stream.evidence.vouching import Trust
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support.clock import FakeClock
from tests.support.logs import SIGNER, WrittenLog
from tests.support.tsa import LocalAuthority, Said, serving, timestamps
from tests.unit.anchors.test_witness import KEY, Server

WITNESS = f"witness_example_w1-{KEY.id.hex()}"
NOW = datetime.now(UTC)
AWAY = Said(503, "text/plain", b"")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalAuthority:
    return LocalAuthority(tmp_path_factory.mktemp("tsa") / "authority")


class Office:
    """A log with authorities and a witness."""

    def __init__(
        self, local: LocalAuthority, authorities: dict[str, str], witness: str | None,
        limit_seconds: float = 60.0, log: WrittenLog | None = None,
    ) -> None:  # fmt: skip
        self.log, self.clock, self.alarms = log or WrittenLog(), FakeClock(), AlarmBoard("notary")
        self.trusted = parse_authorities(local.roots.read_bytes(), "the roots")
        post = poster(ssl.create_default_context(), limit_seconds)
        self.anchoring = Anchoring(
            self.log.store, self.log.log,
            [TimestampAuthority(name, lambda url=url: url, self.trusted, post)  # type: ignore[misc]
             for name, url in authorities.items()],
            [] if witness is None else [Witness(KEY, witness, post)],
            self.alarms, self.clock, timestamp_seconds=600, limit_seconds=limit_seconds,
        )  # fmt: skip
        self.trust = Trust(any_of(SIGNER.key, [KEY]), self.trusted)

    async def minute(self) -> None:
        """One batch, and all that comes of it."""
        self.anchoring.offer(await self.log.grow(1))
        await self.anchoring.settle()
        self.clock.now += 60

    async def stored(self) -> list[str]:
        return await self.log.store.names("anchor/")

    @property
    def alarmed(self) -> list[str]:
        return [alarm["key"] for alarm in self.alarms.open()]


@pytest.fixture
def served() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def name(size: int, file: str) -> str:
    return f"anchor/{size:020d}/{file}"


async def test_authorities_are_asked_now_and_then_a_witness_each_time(
    local: LocalAuthority, served: ExitStack
) -> None:
    url = served.enter_context(serving(timestamps(local)))
    witness = served.enter_context(serving(Server(), "/add-checkpoint"))
    office = Office(local, {"one": f"{url}/tsr", "two": f"{url}/tsr"}, witness)
    for _ in range(12):
        await office.minute()
    # Each anchor is a leaf of the batch behind it, so sizes grow by more than the digest.
    batches = [b.new_size async for b in office.log.log.batches(0)]
    expected = [name(size, f"{WITNESS}.note") for size in batches]
    expected += [name(batches[at], f"{who}.tsr") for at in (0, 10) for who in ("one", "two")]
    assert await office.stored() == sorted(expected)
    assert office.alarmed == []
    assert [each.failures for each in office.anchoring.standings] == [0, 0, 0]
    assert office.anchoring.newest is not None
    assert office.anchoring.newest.size == batches[-1]


async def test_what_is_stored_is_over_exactly_the_batchs_checkpoint(
    local: LocalAuthority, served: ExitStack
) -> None:
    url = served.enter_context(serving(timestamps(local)))
    witness = served.enter_context(serving(Server(), "/add-checkpoint"))
    office = Office(local, {"one": f"{url}/tsr"}, witness)
    await office.minute()
    batch = await office.log.log.batch(0)
    assert batch is not None
    checkpoint = batch.checkpoint.encode()
    reply = await office.log.store.get(name(1, "one.tsr"))
    cosigned = await office.log.store.get(name(1, f"{WITNESS}.note"))
    assert reply is not None
    assert cosigned is not None
    said = check_timestamp(reply, checkpoint, office.trusted, "it")
    assert local.openssl_verifies(reply, checkpoint, said.time)
    assert cosigned.startswith(checkpoint)
    assert parse_note(cosigned, "it").cosigned_at(KEY)


async def test_one_that_fails_holds_up_nobody_and_is_an_alarm_until_it_is_back(
    local: LocalAuthority, served: ExitStack
) -> None:
    server = Server(*[AWAY] * 4)
    url = served.enter_context(serving(timestamps(local)))
    witness = served.enter_context(serving(server, "/add-checkpoint"))
    office = Office(local, {"one": f"{url}/tsr", "gone": "http://127.0.0.1:9/"}, witness)
    await office.minute()
    await office.minute()
    assert office.alarmed == []
    assert await office.stored() == [name(1, "one.tsr")]
    await office.minute()
    assert set(office.alarmed) == {f"anchor:{WITNESS}", "anchor:gone"}
    for _ in range(2):
        await office.minute()
    assert office.alarmed == ["anchor:gone"]
    assert [each.failures for each in office.anchoring.standings] == [0, 5, 0]


async def test_one_that_hangs_is_asked_once_and_given_up(
    local: LocalAuthority, served: ExitStack
) -> None:
    held, asked = threading.Event(), []

    def hang(query: bytes) -> Said:
        asked.append(query)
        held.wait(30)
        return AWAY

    url = served.enter_context(serving(hang))
    served.callback(held.set)
    office = Office(local, {"slow": f"{url}/tsr"}, None, limit_seconds=1.0)
    for _ in range(3):  # nothing waits here
        office.anchoring.offer(await office.log.grow(1))
    await asyncio.wait_for(office.anchoring.settle(), 20)
    assert len(asked) == 1
    assert office.anchoring.standings[0].failures == 1


async def test_closing_stops_what_is_under_way(local: LocalAuthority, served: ExitStack) -> None:
    held = threading.Event()

    def hang(_: bytes) -> Said:
        held.wait(30)
        return AWAY

    url = served.enter_context(serving(hang))
    served.callback(held.set)
    office = Office(local, {"slow": f"{url}/tsr"}, None)
    office.anchoring.offer(await office.log.grow(1))
    await asyncio.sleep(0)
    await asyncio.wait_for(office.anchoring.close(), 20)
    assert await office.stored() == []


async def test_a_store_that_is_away_is_a_failure(local: LocalAuthority, served: ExitStack) -> None:
    url = served.enter_context(serving(timestamps(local)))
    office = Office(local, {"one": f"{url}/tsr"}, None)
    head = await office.log.grow(1)
    office.log.store.fail_next(1, False, StoreTransient("away"))
    office.anchoring.offer(head)
    await office.anchoring.settle()
    assert office.anchoring.standings[0].failures == 1
    await office.minute()
    assert office.anchoring.standings[0].failures == 0


async def test_a_fork_is_an_alarm_that_stays(local: LocalAuthority, served: ExitStack) -> None:
    server = Server(Said(422, "text/plain", b"bad proof"))
    office = Office(local, {}, served.enter_context(serving(server, "/add-checkpoint")))
    await office.minute()
    assert office.alarmed == [f"fork:{WITNESS}"]
    await office.minute()
    assert office.alarmed == [f"fork:{WITNESS}"]
    assert office.anchoring.standings[0].forked
    assert office.anchoring.standings[0].failures == 0


async def test_without_anyone_there_is_no_anchor(local: LocalAuthority) -> None:
    office = Office(local, {}, None)
    await office.minute()
    assert office.anchoring.newest is None
    assert await newest_vouched(office.log.store, office.log.log, office.trust, NOW) is None


async def test_the_newest_that_counts_is_found_by_the_readers_trust(
    local: LocalAuthority, served: ExitStack
) -> None:
    url = served.enter_context(serving(timestamps(local)))
    server = Server()
    witness = served.enter_context(serving(server, "/add-checkpoint"))
    office = Office(local, {"one": f"{url}/tsr"}, witness)
    await office.minute()
    await office.minute()
    store, log = office.log.store, office.log.log
    sizes = [b.new_size async for b in log.batches(0)]
    both = await newest_vouched(store, log, office.trust, NOW)
    assert both is not None
    assert both.checkpoint.size == sizes[1]
    assert both.judgement.witnessed
    assert both.timestamps == {}
    stamps_only = Trust(any_of(SIGNER.key, []), office.trusted)
    stamped = await newest_vouched(store, log, stamps_only, NOW)
    assert stamped is not None
    assert stamped.checkpoint.size == 1
    assert [each.authority for each in stamped.timestamps.values()] == ["CN=tsa"]
    another = NoteSigner(SIGNER.key.name, b"\x23" * 32).key
    assert await newest_vouched(store, log, Trust(any_of(another, []), office.trusted), NOW) is None
    nobody = Trust(any_of(SIGNER.key, []), TrustedAuthorities())
    assert await newest_vouched(store, log, nobody, NOW) is None


async def test_what_anyone_puts_there_does_not_count(
    local: LocalAuthority, served: ExitStack
) -> None:
    witness = served.enter_context(serving(Server(), "/add-checkpoint"))
    office = Office(local, {}, witness)
    await office.minute()
    store, log = office.log.store, office.log.log
    head = await office.log.grow(1)
    other = parse_note((await store.get(name(1, f"{WITNESS}.note"))) or b"", "it")
    await store.put_if_absent(name(head.size, "a.tsr"), b"garbage", {})
    await store.put_if_absent(name(head.size, "b.note"), other.encode(), {})
    await store.put_if_absent(name(head.size, "c.note"), b"garbage", {})
    await store.put_if_absent(name(99, "d.note"), other.encode(), {})
    found = await newest_vouched(store, log, office.trust, NOW)
    assert found is not None
    assert found.checkpoint.size == 1
    passed_over = await vouched_at(store, log, office.trust, head.size, NOW)
    assert passed_over is not None
    assert not passed_over.is_anchored
    assert [text.rpartition("/")[2] for text in passed_over.useless] == [
        "a.tsr is not a timestamp reply: ValueError",
        "b.note is not a note of this checkpoint",
        "c.note is not a text, an empty line and signatures",
    ]


async def test_a_timestamp_counts_until_its_authoritys_certificate_ends(
    local: LocalAuthority, served: ExitStack
) -> None:
    local.issue("short", end=timedelta(hours=1))
    urls = [
        served.enter_context(serving(timestamps(local, signer=each))) for each in ("tsa", "short")
    ]
    office = Office(local, {"long": f"{urls[0]}/tsr"}, None)
    await office.minute()
    store, log, later = office.log.store, office.log.log, NOW + timedelta(hours=2)
    renewed = Office(local, {"short": f"{urls[1]}/tsr"}, None, log=office.log)
    await renewed.minute()
    newest = await newest_vouched(store, log, office.trust, NOW)
    assert newest is not None
    assert [path.rpartition("/")[2] for path in newest.timestamps] == ["short.tsr"]
    ended = await vouched_at(store, log, office.trust, newest.checkpoint.size, later)
    assert ended is not None
    assert not ended.is_anchored
    [why] = ended.useless
    assert "counts no longer: its authority's certificate ended on" in why
    before = await newest_vouched(store, log, office.trust, later)
    assert before is not None
    assert before.checkpoint.size == 1
    assert await newest_vouched(store, log, office.trust, NOW + timedelta(days=999)) is None
