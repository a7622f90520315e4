"""Tampering with a real archive: ``python -m tests.campaigns.tampering [--mutations N]``.

Each mutation is made to a whole copy of an archive with its log; an auditor has the public keys and
a checkpoint that was kept outside. `verify` must find every one, and nothing in a clean archive.
Insiders are among them: some mutations are signed with the archive's own segment or log key.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from audit_stream.evidence import ledger
from audit_stream.evidence.batch import Batch, Leaf, decode_batch
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.checkpoint import Checkpoint, checkpoint_of
from audit_stream.evidence.digest import decode_digest
from audit_stream.evidence.log_names import batch_name
from audit_stream.evidence.log_tree import Frontier
from audit_stream.evidence.note import NoteSigner, parse_note
from audit_stream.evidence.segment import decode
from audit_stream.evidence.signing import LineSigner
from audit_stream.notary.gather import Ends, Gatherer
from audit_stream.notary.notary import Notary
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.telemetry.alerts import AlarmBoard
from audit_stream.verify.archive import ArchiveVerifier
from audit_stream.verify.log import LogVerifier
from audit_stream.verify.report import Verdict
from tests.support import golden
from tests.support.chains import TRUSTED, ChainMaker, stream_of
from tests.support.resealed import OBJECTS, edited, relinked, resigned

Objects = dict[str, bytes]
Mutate = Callable[[Objects, random.Random], Objects]
LOG = NoteSigner(golden.KEYRING.archive, golden.KEYRING.log_key or b"")
STRANGER, STRANGERS_LOG = LineSigner(b"\x77" * 32), NoteSigner(LOG.key.name, b"\x78" * 32)


async def _nobody() -> Ends | None:
    return None


async def logged(objects: Objects) -> Objects:
    """The archive with its log."""
    store = MemoryWormStore()
    for name, data in objects.items():
        await store.put_if_absent(name, data, {})
    gatherer = Gatherer(store, LOG.key.name, golden.trusted(), AlarmBoard("n"))
    notary = Notary(store, LOG, gatherer, _nobody, lambda: "2026-11-25T00:00:00.000Z")
    await notary.resume()
    await notary.write()
    return {name: await store.get(name) or b"" for name in await store.names("")}


def last_batch(objects: Objects) -> str:
    """Name of the newest batch."""
    return max(name for name in objects if name.startswith("log/"))


def kept(objects: Objects) -> Checkpoint:
    """The newest checkpoint, as an auditor keeps it."""
    batch = decode_batch(objects[last_batch(objects)], "it")
    return checkpoint_of(parse_note(batch.checkpoint.encode(), "it"), "it")


def is_found(objects: Objects, checkpoint: Checkpoint) -> bool:
    """Whether `verify` says that something is wrong."""
    archive = ArchiveVerifier(objects, objects.get, golden.trusted())
    for _ in archive.run():
        pass
    log = LogVerifier(
        archive.log_names, objects.get, LOG.key, archive.leaves, [checkpoint]
    ).run()  # fmt: skip
    return archive.report.with_log(log).verdict is not Verdict.VERIFIED


def _pick(objects: Objects, chance: random.Random, prefix: str = "") -> str:
    return chance.choice(sorted(name for name in objects if name.startswith(prefix)))


def flip(objects: Objects, chance: random.Random) -> Objects:
    """One bit of one object."""
    name = _pick(objects, chance)
    data = bytearray(objects[name])
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return objects | {name: bytes(data)}


def drop(objects: Objects, chance: random.Random) -> Objects:
    """One object; a tile may be missing, being a cache."""
    gone = _pick({n: d for n, d in objects.items() if not n.startswith("tile/")}, chance)
    return {name: data for name, data in objects.items() if name != gone}


def cut(objects: Objects, chance: random.Random) -> Objects:
    """The end of one object."""
    name = _pick(objects, chance)
    return objects | {name: objects[name][: chance.randrange(len(objects[name]))]}


def swap(objects: Objects, chance: random.Random) -> Objects:
    """Two objects of a kind."""
    prefix = chance.choice(["segments/", "streams/", "log/"])
    one, two = chance.sample(sorted(name for name in objects if name.startswith(prefix)), 2)
    return objects | {one: objects[two], two: objects[one]}


def duplicate(objects: Objects, chance: random.Random) -> Objects:
    """A segment once more, under a later name of its folder."""
    name = _pick(objects, chance, "segments/")
    folder = name.rpartition("/")[0]
    return objects | {f"{folder}/{chance.randrange(10**6, 10**9):020d}.ndjson.gz": objects[name]}


def strangers_segment(objects: Objects, chance: random.Random) -> Objects:
    """A segment signed anew by another key."""
    name = _pick(objects, chance, "segments/")
    return objects | {name: resigned(objects[name], signer=STRANGER, kid=STRANGER.kid)}


def insiders_status(objects: Objects, chance: random.Random) -> Objects:
    """Another status in one record; hash, header and the whole chain signed to fit."""
    name = _pick(objects, chance, "segments/")
    lines = decode(objects[name], "x").record_lines()
    if not lines:
        return insiders_ledger(objects, chance)
    index = chance.randrange(len(lines))
    old = next(s for s in (b"DELIVERED", b"READ", b"FAILED", b"EXPIRED") if
               b'"delivery_status":"' + s in lines[index])  # fmt: skip
    new = chance.choice([s for s in (b"DELIVERED", b"READ", b"FAILED", b"EXPIRED") if s != old])
    change = (b'"delivery_status":"' + old, b'"delivery_status":"' + new)
    return relinked(objects | {name: edited(objects[name], index, change)})


def insiders_ledger(objects: Objects, chance: random.Random) -> Objects:
    """Another disposition of one offset in a ledger, signed; the chain made to fit."""
    name = _pick(objects, chance, "segments/")
    header = decode(objects[name], "x").header
    runs = ledger.decode(header.ledger, header.next - header.base)
    letters = [letter for count, letter in runs for _ in range(count)]
    free = [at for at, letter in enumerate(letters) if letter != ledger.ARCHIVED]
    if not free:
        return flip(objects, chance)
    at = chance.choice(free)
    letters[at] = chance.choice([x for x in "idrqx" if x != letters[at]])
    text = ledger.encode("".join(letters))
    return relinked(objects | {name: resigned(objects[name], ledger=text)})


def truncate_tail(objects: Objects, chance: random.Random) -> Objects:
    """The last segment of a chain and every batch: the log is begun anew, by its own key."""
    folders = {name.rpartition("/")[0] for name in objects if name.startswith("segments/")}
    folder = chance.choice(sorted(folders))
    last = max(name for name in objects if name.startswith(folder))
    rest = {n: d for n, d in objects.items() if n != last and not n.startswith(("log/", "tile/"))}
    return asyncio.run(logged(rest))


def drop_log_tail(objects: Objects, chance: random.Random) -> Objects:
    """The last batch."""
    gone = last_batch(objects)
    return {name: data for name, data in objects.items() if name != gone}


def rewrite_log(objects: Objects, chance: random.Random) -> Objects:
    """All batches anew by the log's own key, with one leaf left out or another time."""
    names = sorted(name for name in objects if name.startswith("log/"))
    batches = [list(decode_batch(objects[name], name).leaves) for name in names]
    chosen = chance.choice(batches)
    if len(chosen) > 1 and chance.random() < 0.5:
        del chosen[chance.randrange(len(chosen) - 1)]
    else:
        digest = decode_digest(chosen[-1].line, "it")
        text = digest.line().replace(b"2026-11-25", b"2026-11-24")
        chosen[-1] = Leaf(text)
    return _relogged(objects, batches, LOG)


def strangers_log(objects: Objects, chance: random.Random) -> Objects:
    """The same batches, signed by another key under the same name."""
    names = sorted(name for name in objects if name.startswith("log/"))
    batches = [list(decode_batch(objects[name], name).leaves) for name in names]
    return _relogged(objects, batches, STRANGERS_LOG)


def _relogged(objects: Objects, batches: list[list[Leaf]], signer: NoteSigner) -> Objects:
    result = {n: d for n, d in objects.items() if not n.startswith(("log/", "tile/"))}
    frontier = Frontier()
    for leaves in batches:
        digest = decode_digest(leaves[-1].line, "it")
        again = {"prev_root": frontier.root.hex()}
        leaves[-1] = Leaf(canonical(_parsed(digest.line()) | again))
        after = frontier.add(leaf.hash for leaf in leaves)
        text = Checkpoint(origin=signer.key.name, size=after.size, root=after.root).text()
        batch = Batch(
            old_size=frontier.size, leaves=tuple(leaves),
            checkpoint=signer.sign(text).encode().decode(),
        )  # fmt: skip
        result[batch_name(frontier.size)] = batch.encode()
        frontier = after
    return result


def _parsed(line: bytes) -> dict[str, object]:
    from audit_stream.evidence.canonical import parse_line

    return parse_line(line, "it")


MUTATIONS: tuple[Mutate, ...] = (
    flip, flip, flip, drop, cut, swap, duplicate, strangers_segment, insiders_status,
    insiders_ledger, truncate_tail, drop_log_tail, rewrite_log, strangers_log,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """How many of each kind were tried, and which were missed."""

    tried: Counter[str]
    missed: Counter[str]
    false_alarms: int


def campaign(mutations: int, clean: int, seed: int) -> Result:
    """Mutations in turn, and clean archives of other shapes."""
    chance = random.Random(seed)
    objects = asyncio.run(logged(OBJECTS))
    checkpoint = kept(objects)
    assert not is_found(objects, checkpoint)
    tried: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for number in range(mutations):
        mutate = MUTATIONS[number % len(MUTATIONS)]
        changed = mutate(objects, chance)
        assert changed != objects
        tried[mutate.__name__] += 1
        if not is_found(changed, checkpoint):
            missed[mutate.__name__] += 1
    false_alarms = sum(asyncio.run(_alarms_falsely(chance)) for _ in range(clean))
    return Result(tried, missed, false_alarms)


async def _alarms_falsely(chance: random.Random) -> bool:
    """A clean archive of some shape, logged in some batches; whether anything is found."""
    from tests.support.chains import NAME

    store, signer = MemoryWormStore(), NoteSigner(NAME, b"\x22" * 32)
    maker = ChainMaker(store, stream_of("t", partitions=chance.randint(1, 4)))
    await maker.found()
    gatherer = Gatherer(store, NAME, TRUSTED, AlarmBoard("n"))
    notary = Notary(store, signer, gatherer, _nobody, lambda: "2026-11-25T00:00:00.000Z")
    await notary.resume()
    for _ in range(chance.randint(1, 4)):
        for _ in range(chance.randint(0, 12)):
            await maker.add(chance.randrange(maker.stream.partitions), chance.randint(1, 50))
        await notary.write()
    objects = {name: await store.get(name) or b"" for name in await store.names("")}
    archive = ArchiveVerifier(objects, objects.get, TRUSTED)
    for _ in archive.run():
        pass
    log = LogVerifier(archive.log_names, objects.get, signer.key, archive.leaves, [kept(objects)])
    return archive.report.with_log(log.run()).verdict is not Verdict.VERIFIED


def main() -> int:
    """Run, print the table, exit with 1 when something was missed or found in vain."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.tampering")
    parser.add_argument("--mutations", type=int, default=5000)
    parser.add_argument("--clean", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    result = campaign(given.mutations, given.clean, given.seed)
    table = Table("mutation", "tried", "missed")
    for name, count in result.tried.items():
        table.add_row(name, str(count), str(result.missed[name]))
    Console().print(table)
    Console().print(f"false alarms on {given.clean} clean archives: {result.false_alarms}")
    return 1 if result.missed or result.false_alarms else 0


if __name__ == "__main__":
    sys.exit(main())
