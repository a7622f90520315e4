"""The archive log against its objects: a good one, and every way to make it bad."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest

from audit_stream.evidence.batch import Batch, Leaf, decode_batch
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.checkpoint import Checkpoint, checkpoint_of
from audit_stream.evidence.log_names import anchor_name, batch_name
from audit_stream.evidence.log_tree import Frontier
from audit_stream.evidence.note import NoteSigner, parse_note
from audit_stream.notary.gather import Ends, Gatherer
from audit_stream.notary.notary import Notary
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.verify.archive import ArchiveVerifier
from audit_stream.verify.log import LogVerifier
from audit_stream.verify.report import LogReport
from tests.support.chains import NAME, SIGNER, TRUSTED, ChainMaker, stream_of
from tests.support.logs import WrittenLog

LOG = NoteSigner(NAME, b"\x22" * 32)
OTHER = NoteSigner(NAME, b"\x23" * 32)
Objects = dict[str, bytes]
SIZES = (2, 259, 304, 305)  # of the log, behind each batch


async def _nobody() -> Ends | None:
    return None


async def made() -> Objects:
    """A log of four batches over 301 segments, one stream and two partitions."""
    store = MemoryWormStore()
    maker = ChainMaker(store, stream_of("t"))
    await maker.found()
    for number in range(300):
        await maker.add(number % 2)
    gatherer = Gatherer(store, NAME, TRUSTED, AlarmBoard("n"))
    notary = Notary(store, LOG, gatherer, _nobody, lambda: "2026-11-25T00:00:00.000Z")
    await notary.resume()
    await notary.write()
    await notary.write()
    await maker.add(0)
    return {name: await store.get(name) or b"" for name in await store.names("")}


@pytest.fixture(scope="module")
def good() -> Objects:
    import asyncio

    return asyncio.run(made())


def judged(objects: Objects, *kept: Checkpoint, key: NoteSigner = LOG) -> LogReport:
    archive = ArchiveVerifier(objects, objects.get, TRUSTED)
    for _ in archive.run():
        pass
    return LogVerifier(archive.log_names, objects.get, key.key, archive.leaves, kept).run()


def steps(report: LogReport) -> set[str]:
    return {problem.step for problem in report.problems}


def kept(objects: Objects, old_size: int) -> Checkpoint:
    batch = decode_batch(objects[batch_name(old_size)], "it")
    return checkpoint_of(parse_note(batch.checkpoint.encode(), "it"), "it")


def sealed(old: int, leaves: list[Leaf], before: Frontier, signer: NoteSigner = LOG) -> bytes:
    """A batch as its signer would write it."""
    after = before.add(leaf.hash for leaf in leaves)
    text = Checkpoint(origin=NAME, size=after.size, root=after.root).text()
    note = signer.sign(text).encode().decode()
    return Batch(old_size=old, leaves=tuple(leaves), checkpoint=note).encode()


def rewritten(objects: Objects, change: Callable[[list[list[Leaf]]], None]) -> Objects:
    """The log written anew over changed leaves, by whoever has the log's key."""
    names = sorted(name for name in objects if name.startswith("log/"))
    batches = [list(decode_batch(objects[name], name).leaves) for name in names]
    change(batches)
    result = {n: d for n, d in objects.items() if not n.startswith(("log/", "tile/"))}
    frontier = Frontier()
    for leaves in batches:
        digest = orjson.loads(leaves[-1].line) | {"prev_root": frontier.root.hex()}
        leaves[-1] = Leaf(canonical(digest))
        result[batch_name(frontier.size)] = sealed(frontier.size, leaves, frontier)
        frontier = frontier.add(leaf.hash for leaf in leaves)
    return result


def test_a_good_log_is_good(good: Objects) -> None:
    report = judged(good, *(kept(good, old) for old in (0, *SIZES[:-1])))
    assert report.problems == []
    assert report.size == SIZES[-1]
    assert report.newer == 1
    assert report.notes == ["V18: 1 objects are newer than the log's last batch"]
    assert sum(name.startswith("tile/") for name in good) == 1


def test_every_size_has_its_root(good: Objects) -> None:
    leaves = [leaf.hash for old in (0, *SIZES[:-1])
              for leaf in decode_batch(good[batch_name(old)], "it").leaves]  # fmt: skip
    for size in (0, 1, 100, 258, 304):
        root = Frontier().add(leaves[:size]).root
        right = Checkpoint(origin=NAME, size=size, root=root)
        wrong = Checkpoint(origin=NAME, size=size, root=b"\x01" * 32)
        assert steps(judged(good, right)) == set()
        assert steps(judged(good, wrong)) == {"V20"}


def test_a_log_that_was_cut_shows_against_a_kept_checkpoint(good: Objects) -> None:
    last = kept(good, SIZES[2])
    cut = {n: d for n, d in good.items() if n != batch_name(SIZES[2])}
    assert steps(judged(cut)) == set()  # alone it cannot
    assert steps(judged(cut, last)) == {"V20"}
    gone = {n: d for n, d in good.items() if not n.startswith(("log/", "tile/"))}
    assert steps(judged(gone, last)) == {"V20"}


def test_a_history_written_anew_shows_against_a_kept_checkpoint(good: Objects) -> None:
    def change(batches: list[list[Leaf]]) -> None:
        digest = orjson.loads(batches[0][-1].line) | {"time": "2026-11-24T00:00:00.000Z"}
        batches[0][-1] = Leaf(canonical(digest))

    anew = rewritten(good, change)
    assert steps(judged(anew)) == set()
    assert steps(judged(anew, kept(good, SIZES[2]))) == {"V20"}


@pytest.mark.parametrize("old", [0, *SIZES[:-1]])
def test_a_batch_that_is_missing_is_named(good: Objects, old: int) -> None:
    report = judged({n: d for n, d in good.items() if n != batch_name(old)})
    assert old == SIZES[2] or report.problems[0].name == batch_name(old)


@pytest.mark.parametrize("old", [0, *SIZES[:-1]])
def test_a_bit_flipped_anywhere_in_a_batch_is_found(good: Objects, old: int) -> None:
    data = good[batch_name(old)]
    for at in range(0, len(data), max(1, len(data) // 37)):
        flipped = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
        assert judged(good | {batch_name(old): flipped}).problems


def test_another_key_does_not_vouch(good: Objects) -> None:
    assert "V16" in steps(judged(good, key=OTHER))


def test_a_missing_or_changed_object_is_found(good: Objects) -> None:
    segments = [name for name in good if name.startswith("segments/")]
    name = segments[5]
    without = {n: d for n, d in good.items() if n != name}
    assert "V17" in steps(judged(without))


async def test_a_chain_written_anew_by_the_segment_key_is_found(good: Objects) -> None:
    """Whoever has the segment key alone cannot change what was logged."""
    store = MemoryWormStore()
    maker = ChainMaker(store, stream_of("t"), SIGNER)
    await maker.found()
    for number in range(300):
        await maker.add(number % 2, writer="another")
    forged = {name: await store.get(name) or b"" for name in await store.names("segments/")}
    report = judged({n: d for n, d in good.items() if not n.startswith("segments/")} | forged)
    assert len([p for p in report.problems if p.step == "V17"]) == 300


def test_leaves_left_out_twice_or_out_of_order_are_found(good: Objects) -> None:
    def leave_out(batches: list[list[Leaf]]) -> None:
        del batches[1][3]

    def twice(batches: list[list[Leaf]]) -> None:
        batches[2].insert(0, batches[1][3])

    def swap(batches: list[list[Leaf]]) -> None:
        batches[1][2], batches[1][3] = batches[1][3], batches[1][2]

    def digest(batches: list[list[Leaf]]) -> None:
        value = orjson.loads(batches[1][-1].line)
        value["coverage"][0]["archived_next"] += 1
        batches[1][-1] = Leaf(canonical(value))

    assert "V18" in steps(judged(rewritten(good, leave_out)))
    assert "V18" in steps(judged(rewritten(good, twice)))
    assert "V18" in steps(judged(rewritten(good, swap)))
    assert "V19" in steps(judged(rewritten(good, digest)))


def test_a_batch_without_its_digest_is_found(good: Objects) -> None:
    batch = decode_batch(good[batch_name(SIZES[2])], "it")
    frontier = Frontier()
    for old in (0, *SIZES[:2]):
        leaves = decode_batch(good[batch_name(old)], "it").leaves
        frontier = frontier.add(leaf.hash for leaf in leaves)
    lonely = sealed(SIZES[2], [Leaf(b'{"v":"x"}')], frontier)
    assert batch.old_size == frontier.size
    assert steps(judged(good | {batch_name(SIZES[2]): lonely})) == {"V16"}


def test_tiles_and_anchors_are_held_against_the_log(good: Objects) -> None:
    tile = good["tile/0/000"]
    assert steps(judged(good | {"tile/0/000": tile[:-1] + b"\x00"})) == {"V21"}
    assert steps(judged(good | {"tile/0/001": tile})) == {"V21"}
    note = decode_batch(good[batch_name(0)], "it").checkpoint.encode()
    assert steps(judged(good | {anchor_name(2, "w.note"): note})) == set()
    assert steps(judged(good | {anchor_name(259, "w.note"): note})) == {"V22"}
    assert steps(judged(good | {anchor_name(3, "w.note"): note})) == {"V22"}
    assert steps(judged(good | {anchor_name(2, "w.note"): b"x"})) == {"V22"}
    assert steps(judged(good | {anchor_name(2, "tsa.tsr"): b"der"})) == set()


async def test_an_anchor_is_the_one_that_was_logged() -> None:
    log, name = WrittenLog(), anchor_name(1, "tsa.tsr")
    await log.grow(1)
    await log.store.put_if_absent(name, b"der", {})
    await log.grow(1)
    objects = {each: await log.store.get(each) or b"" for each in await log.store.names("")}
    assert steps(judged(objects)) == set()
    assert steps(judged(objects | {name: b"des"})) == {"V22"}
    del objects[name]
    assert steps(judged(objects)) == {"V22"}


def test_a_later_version_is_not_judged(good: Objects) -> None:
    later = canonical(orjson.loads(good[batch_name(0)]) | {"v": "audit-batch/2"}) + b"\n"
    report = judged(good | {batch_name(0): later})
    assert [problem.step for problem in report.unknown] == ["V16"]
    assert report.problems == []


def test_strange_names_are_noted(good: Objects) -> None:
    objects = good | {"log/x.json": b"x", "tile/0/1": b"y"}
    assert judged(objects).problems == []
    notes = ArchiveVerifier(objects, objects.get, TRUSTED).report.notes
    assert sum(note.startswith("V0") for note in notes) == 2
