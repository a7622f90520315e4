"""A witness of others: it cosigns our log as it grows, and refuses any other history of it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from audit_stream.anchors.anchoring import Anchoring
from audit_stream.anchors.http import Post, poster
from audit_stream.anchors.witness import Witness
from audit_stream.errors import AnchorRefused, ForkAlarm
from audit_stream.evidence.note import NoteSigner, parse_note
from audit_stream.evidence.policy import any_of
from audit_stream.telemetry.alerts import AlarmBoard
from tests.support.chains import NAME
from tests.support.clock import FakeClock
from tests.support.litewitness import LiteWitness, stopping
from tests.support.logs import SIGNER, WrittenLog

pytestmark = pytest.mark.timeout(1200)  # the first test may have to build it
OTHER_TIME = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.fixture
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiteWitness]:
    folder = tmp_path_factory.mktemp("w")  # short: the path of a socket may have 108 bytes
    with stopping(LiteWitness(folder, SIGNER.key)) as witness:
        await witness.start()
        yield witness


@pytest.fixture
def post() -> Post:
    return poster(ssl.create_default_context(), 30)


async def test_it_cosigns_a_log_that_grows(running: LiteWitness, post: Post) -> None:
    log, witness = WrittenLog(), Witness(running.key, running.url, post)
    policy = any_of(SIGNER.key, [running.key])
    head = await log.grow(1)
    for batches in (0, 1, 5, 293, 0, 1):
        if batches:
            head = await log.grow(batches)
        cosigned = await witness.ask(log.log, head)
        assert cosigned.head == head
        judgement = policy.judge(parse_note(cosigned.note.encode(), "the note"))
        assert judgement.witnessed
        assert abs(cosigned.seconds - datetime.now(UTC).timestamp()) < 600


async def test_another_notary_goes_on_where_the_witness_is(
    running: LiteWitness, post: Post
) -> None:
    log = WrittenLog()
    await Witness(running.key, running.url, post).ask(log.log, await log.grow(70))
    cosigned = await Witness(running.key, running.url, post).ask(log.log, await log.grow(7))
    assert cosigned.head.size == 77


async def test_a_notary_that_is_behind_has_the_newest_cosigned(
    running: LiteWitness, post: Post
) -> None:
    log = WrittenLog()
    stale = await log.grow(3)
    newest = await log.grow(2)
    await Witness(running.key, running.url, post).ask(log.log, newest)
    cosigned = await Witness(running.key, running.url, post).ask(log.log, stale)
    assert cosigned.head == newest


async def test_a_rewritten_history_is_a_fork(running: LiteWitness, post: Post) -> None:
    log, rewritten = WrittenLog(), WrittenLog(OTHER_TIME)
    witness = Witness(running.key, running.url, post)
    await witness.ask(log.log, await log.grow(5))
    for batches in (5, 1):  # of the same size, and longer
        head = await rewritten.grow(batches)
        for asking in (witness, Witness(running.key, running.url, post)):
            with pytest.raises(ForkAlarm, match="saw another log of 5 leaves"):
                await asking.ask(rewritten.log, head)
    assert (await witness.ask(log.log, await log.grow(1))).head.size == 6


async def test_a_shrunk_history_is_a_fork(running: LiteWitness, post: Post) -> None:
    log, shrunk = WrittenLog(), WrittenLog()
    witness = Witness(running.key, running.url, post)
    await witness.ask(log.log, await log.grow(5))
    head = await shrunk.grow(4)
    for asking in (witness, Witness(running.key, running.url, post)):
        with pytest.raises(ForkAlarm, match="has cosigned 5 leaves, and this log has 4"):
            await asking.ask(shrunk.log, head)


async def test_a_log_or_key_that_it_does_not_know_is_refused(
    running: LiteWitness, post: Post
) -> None:
    for signer in (NoteSigner("audit.example/else", b"\x22" * 32), NoteSigner(NAME, b"\x23" * 32)):
        log = WrittenLog(signer=signer)
        with pytest.raises(AnchorRefused, match="HTTP 403"):
            await Witness(running.key, running.url, post).ask(log.log, await log.grow(1))


async def test_its_note_is_stored_and_a_fork_is_an_alarm(running: LiteWitness, post: Post) -> None:
    log, rewritten, alarms = WrittenLog(), WrittenLog(OTHER_TIME), AlarmBoard("notary")

    def anchoring(of: WrittenLog) -> Anchoring:
        witness = Witness(running.key, running.url, post)
        return Anchoring(of.store, of.log, [], [witness], alarms, FakeClock())

    good, bad = anchoring(log), anchoring(rewritten)
    good.offer(await log.grow(4))
    await good.settle()
    name = f"witness_example_w1-{running.key.id.hex()}"
    data = await log.store.get(f"anchor/{4:020d}/{name}.note")
    assert data is not None
    assert parse_note(data, "the note").cosigned_at(running.key)
    assert good.newest is not None
    assert (good.newest.size, good.newest.name) == (4, name)
    assert alarms.open() == []
    bad.offer(await rewritten.grow(9))
    await bad.settle()
    assert [alarm["key"] for alarm in alarms.open()] == [f"fork:{name}"]
    assert bad.newest is None
    assert await rewritten.store.names("anchor/") == []
