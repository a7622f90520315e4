"""Reading the log when something stands in it that does not belong there."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from audit_stream.bundle.anchors import vouched_head
from audit_stream.errors import ForkAlarm, FormatError
from audit_stream.evidence.batch import decode_batch
from audit_stream.evidence.log_names import anchor_name, batch_name, tile_name
from audit_stream.notary.log import ArchiveLog
from audit_stream.stores.memory import MemoryWormStore
from tests.campaigns.tampering.scene import LOG, Scene, build, stored


@pytest.fixture(scope="module")
def scene() -> Scene:
    return asyncio.run(build(stamped=False))


@pytest.mark.timeout(20)
async def test_a_batch_under_a_name_far_behind_the_log_is_refused_at_once(scene: Scene) -> None:
    name = batch_name(10**15)
    for data in (scene.objects[batch_name(0)], b"{}\n"):
        log = ArchiveLog(await stored(scene.objects | {name: data}), LOG.key)
        with pytest.raises(FormatError, match=name):
            await log.head()
    batch = decode_batch(scene.objects[batch_name(0)], "it")
    forged = decode_batch(batch.encode().replace(
        b'"new_size":256,"old_size":0', b'"new_size":1000000000000256,"old_size":1000000000000000'
    ), "it").encode()  # fmt: skip
    log = ArchiveLog(await stored(scene.objects | {name: forged}), LOG.key)
    with pytest.raises(FormatError, match="checkpoint is of size 256"):
        await log.head()


async def test_where_a_tile_is_wrong_the_batches_are_taken(scene: Scene) -> None:
    tile = scene.objects[tile_name(0, 0)]
    wrong = scene.objects | {tile_name(0, 0): tile[:-1] + bytes((tile[-1] ^ 1,))}
    good = ArchiveLog(await stored(scene.objects), LOG.key)
    log = ArchiveLog(await stored(wrong), LOG.key)
    head = await good.head()
    assert head is not None
    assert await ArchiveLog(await stored(wrong), LOG.key).head() == head
    assert await ArchiveLog(await stored(wrong), LOG.key).head_at(head.size) == head
    assert await log.inclusion(255, head) == await good.inclusion(255, head)
    other, old = ArchiveLog(await stored(wrong), LOG.key), scene.checkpoints[0]
    path = await good.consistency(old.size, old.root, head)
    assert await other.consistency(old.size, old.root, head) == path


class Unhurried(MemoryWormStore):
    """Lets others go first."""

    async def get(self, name: str) -> bytes | None:
        await asyncio.sleep(0)
        return await super().get(name)


async def test_who_reads_a_wrong_tile_at_the_same_time_takes_the_batches_too(scene: Scene) -> None:
    store, tile = Unhurried(), scene.objects[tile_name(0, 0)]
    for name, data in (scene.objects | {tile_name(0, 0): tile[:-1] + b"?"}).items():
        await store.put_if_absent(name, data, {})
    log, good = ArchiveLog(store, LOG.key), ArchiveLog(await stored(scene.objects), LOG.key)
    head = await good.head()
    assert head is not None
    indexes = (255, 254, 3, 255)
    paths = await asyncio.gather(*(log.inclusion(index, head) for index in indexes))
    assert paths == [await good.inclusion(index, head) for index in indexes]


async def test_a_log_that_is_wrong_itself_stays_so_without_tiles(scene: Scene) -> None:
    name = batch_name(0)
    one, two, *rest = decode_batch(scene.objects[name], name).leaves
    changed = replace(decode_batch(scene.objects[name], name), leaves=(two, one, *rest))
    log = ArchiveLog(await stored(scene.objects | {name: changed.encode()}), LOG.key)
    with pytest.raises(ForkAlarm, match="does not have the root of its leaves"):
        await log.head_at(256)


async def test_a_bundle_passes_over_what_vouches_for_no_checkpoint(scene: Scene) -> None:
    vouched = scene.checkpoints[0].size
    note = scene.objects[anchor_name(vouched, "auditor.note")]
    objects = scene.objects | {anchor_name(10**6, "auditor.note"): note}
    store = await stored(objects)
    head, anchors = await vouched_head(store, ArchiveLog(store, LOG.key), 0)
    assert (head.size, anchors.keys()) == (vouched, {"auditor.note"})
