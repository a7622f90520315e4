"""Lines about keys: written by a notary's own way, judged by `verify` (V24), never twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from audit_stream.errors import ConfigError, ForkAlarm, FormatError, UnknownVersion
from audit_stream.evidence.batch import Leaf, decode_batch
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.key_line import KeyHistory, KeyLine, Use
from audit_stream.evidence.log_names import parse_batch_name
from audit_stream.evidence.note import NoteSigner
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.notary import log as log_module
from audit_stream.notary.gather import Gatherer
from audit_stream.notary.keys import MOST_LINES, LoggedKeys, announcements, revocation
from audit_stream.notary.log import ArchiveLog, Head
from audit_stream.notary.notary import Notary
from audit_stream.ports import WormStore
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.verify.archive import ArchiveVerifier
from audit_stream.verify.log import LogVerifier
from audit_stream.verify.report import LogReport
from tests.support.chains import NAME, SIGNER, ChainMaker, stream_of
from tests.support.counting import Asked
from tests.support.overtaken import Overtaken

SECRET = b"\x22" * 32
LOG, SPEAKER = NoteSigner(NAME, SECRET), LineSigner(SECRET)
NEXT = LineSigner(b"\x12" * 32)
TRUSTED = TrustedKeys(SIGNER.public, NEXT.public)
FIRST: list[tuple[Use, bytes]] = [("log", SPEAKER.public), ("segment", SIGNER.public)]
BOTH: list[tuple[Use, bytes]] = [*FIRST, ("segment", NEXT.public)]


async def _no_broker() -> None:
    return None


class Desk:
    """Who speaks of keys in the log of a store."""

    def __init__(self, store: WormStore, time: str = "2026-11-25T00:00:00.000Z") -> None:
        gatherer = Gatherer(store, NAME, TRUSTED, AlarmBoard("n"))
        self.notary = Notary(store, LOG, gatherer, _no_broker, lambda: time)
        self.logged = LoggedKeys(self.notary.log)

    async def write(self, say: Callable[[KeyHistory, int], list[KeyLine]]) -> Head:
        await self.notary.resume()
        head = (await self.notary.write(lines=self.logged.saying(say))).head
        await self.logged.catch_up(head)
        return head

    async def announce(self, keys: list[tuple[Use, bytes]]) -> Head:
        return await self.write(lambda said, at: announcements(said, at, keys, SPEAKER, "why"))

    async def revoke(self, kid: str, start: int | None = None) -> Head:
        return await self.write(
            lambda said, at: [revocation(said, at, kid, SPEAKER, "rotated", start)]
        )


@pytest.fixture
def store() -> MemoryWormStore:
    return MemoryWormStore()


@pytest.fixture
async def maker(store: MemoryWormStore) -> ChainMaker:
    made = ChainMaker(store, stream_of("t"))
    await made.found()
    await made.add()
    return made


def sizes(desk: Desk) -> list[tuple[str, int, int | None]]:
    keys = desk.logged.history.keys
    return [(key.kid, key.not_before_size, key.revoked_at_size) for key in keys]


async def judged(store: WormStore) -> LogReport:
    objects = {name: await store.get(name) or b"" for name in await store.names("")}
    archive = ArchiveVerifier(objects, objects.get, TRUSTED)
    for _ in archive.run():
        pass
    assert archive.report.problems == []
    return LogVerifier(archive.log_names, objects.get, LOG.key, archive.leaves).run()


async def rotated(store: MemoryWormStore, maker: ChainMaker) -> Desk:
    """Announced, used, rotated: leaves 0 to 3 are the stream, the first keys and a digest, 4 and 5
    a segment and its digest, 6 the next key's line."""
    desk = Desk(store)
    await desk.announce(FIRST)
    await desk.announce(BOTH)
    maker.signer = NEXT
    await maker.add()
    await desk.revoke(SIGNER.kid)
    return desk


async def test_a_key_is_followed_by_another(store: MemoryWormStore, maker: ChainMaker) -> None:
    desk = await rotated(store, maker)
    assert sizes(desk) == [(SPEAKER.kid, 0, None), (SIGNER.kid, 0, 10), (NEXT.kid, 7, None)]
    assert (desk.logged.wrong, (await judged(store)).problems) == ([], [])
    again = LoggedKeys(ArchiveLog(store, LOG.key))
    assert (await again.catch_up(await again._log.head())).keys == desk.logged.history.keys


async def test_nothing_is_announced_twice(store: MemoryWormStore, maker: ChainMaker) -> None:
    await Desk(store).announce(FIRST)
    await Desk(store).announce(FIRST)
    desk = Desk(store)
    await desk.announce(BOTH)
    assert [kid for kid, _, _ in sizes(desk)] == [SPEAKER.kid, SIGNER.kid, NEXT.kid]
    assert (await judged(store)).problems == []


@pytest.mark.parametrize("theirs", [FIRST, BOTH, []], ids=["the same", "more", "none"])
async def test_the_loser_of_a_put_says_what_the_winner_did_not(
    theirs: list[tuple[Use, bytes]],
) -> None:
    """A line is signed for its place: who lost it signs another, or has nothing left to say."""
    store = Overtaken()
    maker = ChainMaker(store, stream_of("t"))
    await maker.found()
    loser, winner = Desk(store), Desk(store, "2026-11-25T00:00:01.000Z")
    store.rival = lambda: winner.announce(theirs)
    await loser.announce(FIRST)
    assert [kid for kid, _, _ in sizes(loser)][:2] == [SPEAKER.kid, SIGNER.kid]
    assert (loser.logged.wrong, (await judged(store)).problems) == ([], [])


async def test_what_a_key_signed_from_its_revocation_on_is_found(
    store: MemoryWormStore, maker: ChainMaker
) -> None:
    await rotated(store, maker)
    maker.signer = SIGNER
    name = await maker.add()
    for logged in (False, True):  # also before a notary comes by, or where none does any more
        if logged:
            await Desk(store).announce(BOTH)
        problems = (await judged(store)).problems
        assert [(p.step, p.name) for p in problems] == [("V24", name)]
        assert SIGNER.kid in problems[0].what


async def test_what_was_disposed_of_behind_the_end_of_the_log_does_not_stop_the_judge(
    store: MemoryWormStore, maker: ChainMaker
) -> None:
    """As where a log was cut back: its header is known, and the segment is gone."""
    await rotated(store, maker)
    name = await maker.add()
    objects = {each: await store.get(each) or b"" for each in await store.names("")}
    archive = ArchiveVerifier(objects, objects.get, TRUSTED)
    for _ in archive.run():
        pass
    del objects[name]
    report = LogVerifier(archive.log_names, objects.get, LOG.key, archive.leaves).run()
    assert (report.problems, report.newer) == ([], 1)


async def test_a_stream_that_a_revoked_key_founded_is_found(
    store: MemoryWormStore, maker: ChainMaker
) -> None:
    """A stream object names no key, and a thief may begin a topic of his own."""
    await rotated(store, maker)
    for topic, signer in (("ours", NEXT), ("theirs", SIGNER)):
        await ChainMaker(store, stream_of(topic), signer).found()
    for logged in (False, True):
        if logged:
            await Desk(store).announce(BOTH)
        [problem] = (await judged(store)).problems
        assert (problem.step, problem.name) == ("V24", "streams/theirs/00001.json")
        assert "no key counts that signed it" in problem.what


async def test_what_a_key_signed_before_it_was_announced_is_found(
    store: MemoryWormStore, maker: ChainMaker
) -> None:
    desk = Desk(store)
    await desk.announce(FIRST)
    maker.signer = NEXT
    name = await maker.add()
    await desk.announce(BOTH)
    assert [(p.step, p.name) for p in (await judged(store)).problems] == [("V24", name)]


async def test_a_revocation_reaches_back(store: MemoryWormStore, maker: ChainMaker) -> None:
    """The key was stolen before anybody saw it."""
    desk = Desk(store)
    await desk.announce(FIRST)
    stolen = [await maker.add(), await maker.add()]
    head = await desk.announce(BOTH)
    await desk.revoke(SIGNER.kid, head.old_size + 1)
    assert [(p.step, p.name) for p in (await judged(store)).problems] == [("V24", stolen[1])]


async def test_a_key_that_a_stolen_key_announced_is_found(
    store: MemoryWormStore, maker: ChainMaker
) -> None:
    desk = Desk(store)
    thiefs = LineSigner(b"\x66" * 32)
    at = (await desk.announce(BOTH)).size
    line = KeyLine(archive=NAME, not_before_size=at + 1, public=thiefs.public, reason="",
                   use="segment").signed(SIGNER)  # fmt: skip
    await desk.write(lambda _said, _at: [line])
    assert (await judged(store)).problems == []
    await desk.revoke(SIGNER.kid, at)
    [problem] = (await judged(store)).problems
    assert (problem.step, problem.name) == ("V24", "log/")
    assert f"leaf {at} announces the segment key {thiefs.kid}" in problem.what
    assert desk.logged.wrong == [problem.what]


async def test_a_log_without_lines_about_keys_is_good(
    store: MemoryWormStore, maker: ChainMaker
) -> None:
    desk = Desk(store)
    await desk.announce([])
    assert (await judged(store)).problems == []
    assert desk.logged.history.keys == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (replace(KeyLine(archive=NAME, not_before_size=99, public=NEXT.public, reason="",
                         use="segment")).signed(NEXT), "not signed by a key"),
        (KeyLine(archive=NAME, not_before_size=0, public=SPEAKER.public, reason="",
                 use="log").signed(SPEAKER), "a second time"),
    ],
)  # fmt: skip
async def test_a_line_that_breaks_a_rule_is_reported_and_changes_nothing(
    store: MemoryWormStore, maker: ChainMaker, line: KeyLine, words: str
) -> None:
    desk = Desk(store)
    await desk.announce(FIRST)
    await desk.write(lambda _said, _at: [line])
    assert [kid for kid, _, _ in sizes(desk)] == [SPEAKER.kid, SIGNER.kid]
    [said] = desk.logged.wrong
    [problem] = (await judged(store)).problems
    assert words in said
    assert (problem.step, problem.what) == ("V24", said)


async def test_a_line_of_a_newer_version_cannot_be_judged(
    store: MemoryWormStore, maker: ChainMaker
) -> None:
    desk = Desk(store)

    async def newer(_head: Head | None, _index: int) -> list[Leaf]:
        return [Leaf(canonical({"v": "audit-key/2"}))]

    await desk.announce(FIRST)
    await desk.notary.write(lines=newer)
    report = await judged(store)
    assert ([p.step for p in report.unknown], report.problems) == (["V24"], [])
    maker.signer = NEXT  # which the newer line may have announced
    name = await maker.add()
    await desk.notary.write()
    report = await judged(store)
    assert ([p.name for p in report.unknown], report.problems) == (["log/", name], [])


async def test_nothing_is_said_behind_a_line_of_a_newer_version(
    store: MemoryWormStore, maker: ChainMaker
) -> None:
    """It may have announced or revoked what one is about to."""
    desk = Desk(store)

    async def newer(_head: Head | None, _index: int) -> list[Leaf]:
        return [Leaf(canonical({"v": "audit-key/2"}))]

    await desk.notary.write(lines=newer)
    before = await store.names("log/")
    with pytest.raises(UnknownVersion):
        await desk.announce(FIRST)
    assert await store.names("log/") == before


@pytest.mark.parametrize(
    ("kid", "start", "words"),
    [
        ("00" * 8, None, "is not in the archive log"),
        (SIGNER.kid, None, "was revoked already"),
        (SPEAKER.kid, None, "no other log key"),
        (NEXT.kid, None, "no other segment key"),
        (NEXT.kid, 2, "2 is not between"),
        (NEXT.kid, 1000, "1000 is not between"),
    ],
)
async def test_what_must_not_be_revoked_is_not(
    store: MemoryWormStore, maker: ChainMaker, kid: str, start: int | None, words: str
) -> None:
    desk = await rotated(store, maker)
    before = await store.names("log/")
    with pytest.raises(ConfigError, match=words):
        await desk.revoke(kid, start)
    assert await store.names("log/") == before


async def test_more_keys_than_a_batch_takes_are_announced_in_turn(
    store: MemoryWormStore, maker: ChainMaker
) -> None:
    many = [*FIRST, *(("segment", LineSigner(bytes([n]) * 32).public) for n in range(40, 60))]
    for _ in range(300):
        await maker.add()
    desk = Desk(store)
    await desk.announce(many)  # type: ignore[arg-type]
    batches = [decode_batch(await store.get(n) or b"", n) for n in await store.names("log/")]
    assert [len(batch.leaves) for batch in batches] == [18, 257, 46]
    assert len(sizes(desk)) == MOST_LINES
    await desk.announce(many)  # type: ignore[arg-type]
    assert len(sizes(desk)) == len(many)
    assert (await judged(store)).problems == []


async def test_a_batch_that_is_away_is_said(store: MemoryWormStore, maker: ChainMaker) -> None:
    desk = Desk(store)
    for _ in range(40):
        head = await desk.announce(FIRST)
    found = [batch async for batch in desk.notary.log.whole_batches(0, head.size)]
    assert [batch.old_size for batch in found] == [0, 4, *range(6, head.size)]
    lost = MemoryWormStore()
    for name in await store.names("log/"):
        if name != f"log/{17:020d}.json":
            await lost.put_if_absent(name, await store.get(name) or b"", {})
    with pytest.raises(FormatError, match=r"log/0+17.json is missing"):
        await LoggedKeys(ArchiveLog(lost, LOG.key)).catch_up(head)


async def test_batches_are_listed_block_by_block(
    store: MemoryWormStore, maker: ChainMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Azure every listing begins with its prefix: the whole folder's, for each 32 batches, was
    more requests than there are batches."""
    monkeypatch.setattr(log_module, "_BLOCK", len("log/") + 19)  # of ten leaves
    monkeypatch.setattr(log_module, "_LISTED", 4)
    monkeypatch.setattr(log_module, "_AT_A_TIME", 3)
    desk = Desk(store)
    for _ in range(40):
        head = await desk.announce(FIRST)
    names = await store.names("log/")
    asked = Asked(store)
    log = ArchiveLog(asked, LOG.key)  # type: ignore[arg-type]
    for start, end in ((0, head.size), (9, 21), (30, 31), (head.size, head.size)):
        found = [batch.old_size async for batch in log.whole_batches(start, end)]
        assert found == [
            size for name in names if start <= (size := parse_batch_name(name) or 0) < end
        ]  # fmt: skip
    assert {len(prefix) for prefix, _ in asked.listings} == {log_module._BLOCK}
    for gone in names:
        lost = MemoryWormStore()
        for name in (*names, f"log/{12:020d}.js", f"log/{12:020d}.json.x"):
            if name != gone:
                await lost.put_if_absent(name, await store.get(name) or b"junk", {})
        with pytest.raises(FormatError, match=f"{gone} is missing"):
            _ = [each async for each in ArchiveLog(lost, LOG.key).whole_batches(0, head.size)]


async def test_checkpoints_of_a_log_key_that_was_revoked_are_found(
    store: MemoryWormStore, maker: ChainMaker
) -> None:
    """No command says so, but whoever holds the key can."""
    desk = Desk(store)
    await desk.announce([*FIRST, ("log", NEXT.public)])
    [log] = [key for key in desk.logged.history.keys if key.public == SPEAKER.public]
    await desk.write(lambda _said, at: [replace(log, revoked_at_size=at).signed(SPEAKER)])
    problems = (await judged(store)).problems
    assert {(p.step, p.name) for p in problems} == {("V24", "log/")}
    assert [int(p.what.split()[4]) for p in problems] == [7, 9]


async def test_batches_that_are_not_those_of_the_checkpoint_are_an_alarm(
    store: MemoryWormStore, maker: ChainMaker
) -> None:
    head = await Desk(store).announce(FIRST)
    other = MemoryWormStore()
    founded = ChainMaker(other, stream_of("t"))
    await founded.found()
    await founded.add()
    await Desk(other, "2026-11-25T00:00:01.000Z").announce(FIRST)
    with pytest.raises(ForkAlarm, match="do not have the root"):
        await LoggedKeys(ArchiveLog(other, LOG.key)).catch_up(head)
