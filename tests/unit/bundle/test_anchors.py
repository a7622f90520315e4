"""What vouches for a bundle's checkpoint: what anyone may put there spoils none."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from audit_stream.bundle.anchors import held_anchors, vouched_head
from audit_stream.bundle.build import build_bundle
from audit_stream.bundle.facts import BundleFacts
from audit_stream.evidence.log_names import anchor_name
from audit_stream.evidence.note import Note
from audit_stream.stores.memory import MemoryWormStore
from tests.support import bundles
from tests.support.bundles import WITNESS_KEY, check, cosignature, steps
from tests.support.logs import WrittenLog
from tests.support.timestamps import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa"), "stamps.example")


class Counting(MemoryWormStore):
    """Counts the names that listings return, and what is read."""

    listed = read = 0

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        found = await super().names(prefix, after=after, limit=limit)
        self.listed += len(found)
        return found

    async def get(self, name: str) -> bytes | None:
        self.read += name.startswith("anchor/")
        return await super().get(name)


async def put(log: WrittenLog, size: int, file: str, data: bytes) -> None:
    await log.store.put_if_absent(anchor_name(size, file), data, {})


def cosigned(note: Note) -> bytes:
    return note.with_signatures([cosignature(note.text)]).encode()


def falsely_cosigned(note: Note) -> bytes:
    return note.with_signatures([cosignature("another text\n")]).encode()


async def test_only_what_holds_is_packed(authority: Authority) -> None:
    log = WrittenLog()
    old, head = await log.grow(1), await log.grow(1)
    good, checkpoint = authority.stamp(head.note.encode()), head.note.encode()
    hashed = b"\x04\x20" + sha256(checkpoint).digest()
    wrong = {
        "der.tsr": b"der", "hash.tsr": hashed, "longer.tsr": good + b"x",
        "older.tsr": authority.stamp(old.note.encode()), "long.tsr": good + bytes(1 << 20),
        "time.tsr": good.replace(b"20", b"19", 1), "signature.tsr": good[:-3] + b"abc",
        "older.note": cosigned(old.note), "not.note": b"note", "lines.note": hashed,
        "false.note": falsely_cosigned(head.note), "bare.note": checkpoint,
    }  # fmt: skip
    right = {"good.tsr": good, "good.note": cosigned(head.note)}
    for file, data in (wrong | right).items():
        await put(log, head.size, file, data)
    assert await held_anchors(log.store, head, [WITNESS_KEY]) == right
    # Of a witness whose key is not known here, nobody can tell.
    assert (await held_anchors(log.store, head)).keys() == {*right, "false.note"}


async def test_nobody_can_make_the_bundles_of_an_archive_invalid(
    archive: bundles.Archive, facts: BundleFacts, authority: Authority, tmp_path: Path
) -> None:
    """With an object under the newest size, whatever a reader trusts."""
    head = archive.heads[-1]
    store = MemoryWormStore()
    for each in await archive.store.names("anchor/"):
        await store.put_if_absent(each, await archive.store.get(each) or b"", {})
    note = head.note.encode()
    for file, data in {
        "a.tsr": b"der", "b.tsr": b"\x04\x20" + sha256(note).digest(),
        "c.tsr": authority.stamp(note)[:-3] + b"abc", "d.note": falsely_cosigned(head.note),
        "e.note": b"x",
    }.items():  # fmt: skip
        await store.put_if_absent(anchor_name(head.size, file), data, {})
    packed = await held_anchors(store, head)
    data = build_bundle(replace(facts, anchors=packed))
    done = check(data, tmp_path, "--tsa-ca", str(authority.ca), policy=bundles.POLICY)
    assert (done["verdict"], steps(done, "FAILED")) == ("WITNESSED", set())


async def test_a_size_of_which_something_holds_is_preferred() -> None:
    log = WrittenLog()
    vouched, newest = await log.grow(1), await log.grow(1)
    await put(log, vouched.size, "good.note", cosigned(vouched.note))
    for size in (newest.size, newest.size - 1, newest.size + 1, 10**19):
        await put(log, size, "x.tsr", b"der")
    head, anchors = await vouched_head(log.store, log.log, 0)
    assert (head, anchors.keys()) == (vouched, {"good.note"})
    head, anchors = await vouched_head(log.store, log.log, vouched.size)  # it is too old
    assert (head, anchors) == (newest, {})


async def test_of_many_anchors_few_are_looked_at() -> None:
    store = Counting()
    log = WrittenLog(store=store)
    head = await log.grow(3)
    await put(log, head.size, "good.note", cosigned(head.note))
    for size in range(10_000):
        await put(log, 10**6 + size, "x.tsr", b"der")
    store.listed = 0
    assert (await vouched_head(store, log.log, 0))[0] == head
    assert store.listed < 500
    assert store.read == 1


async def test_no_more_than_some_sizes_are_tried() -> None:
    store = Counting()
    log = WrittenLog(store=store)
    for _ in range(80):
        head = await log.grow(1)
        await put(log, head.size, "x.tsr", b"der")
    store.read = 0
    assert await vouched_head(store, log.log, 0) == (head, {})
    assert store.read == 64
