"""Tags are taken out of the objects whoever else rewrites them, and only orphans are removed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_stream.erasure.scan import Hit
from audit_stream.erasure.wanted import Wanted
from audit_stream.erasure.zero import Orphans, sweep_orphans, zero, zeroed_tags
from audit_stream.errors import FormatError, StoreError, Tampered
from audit_stream.ports import SubjectStore
from audit_stream.privacy.subject_object import NO_TAG, split_tags
from audit_stream.stores.subjects import FileSubjectStore
from tests.support.erasing import (
    ANOTHER,
    INDEX_KEY,
    SOMEBODY,
    Erasing,
    sealed,
    segments_of,
    stored,
)

TIP = "segments/outbound_message_status_update/00001/00000/00000000000000000240.ndjson.gz"
_tags = st.binary(min_size=16, max_size=16).filter(lambda tag: tag != NO_TAG)


async def zeroed(subjects: SubjectStore, hit: Hit, *tags: bytes) -> bool:
    return await zero(subjects, INDEX_KEY, hit, tags, secrets.token_bytes)


async def both(erasing: Erasing) -> Hit:
    """An object with both persons' tags."""
    name = erasing.orphan(erasing.names[-1], "0" * 16, [SOMEBODY, ANOTHER, SOMEBODY, ANOTHER])
    return next(hit for hit in await erasing.hits(SOMEBODY, ANOTHER) if hit.name == name)


async def test_a_person_is_taken_out_of_every_object_and_nobody_else(erasing: Erasing) -> None:
    before = {name: erasing.tags(name) for name in erasing.names}
    hits = await erasing.hits(SOMEBODY)
    assert all([await zeroed(erasing.subjects, hit, SOMEBODY) for hit in hits])
    assert await erasing.hits(SOMEBODY) == []
    for name, tags in before.items():
        assert erasing.tags(name) == [NO_TAG if tag == SOMEBODY else tag for tag in tags]


async def test_again_is_harmless_and_writes_nothing(erasing: Erasing) -> None:
    [hit, *_] = await erasing.hits(SOMEBODY)
    assert await zeroed(erasing.subjects, hit, SOMEBODY)
    after = erasing.subjects.get_sync(hit.name)
    assert not await zeroed(erasing.subjects, hit, SOMEBODY)
    assert erasing.subjects.get_sync(hit.name) == after


async def test_who_is_not_in_it_is_not_looked_for_in_the_store(erasing: Erasing) -> None:
    [hit, *_] = await erasing.hits(SOMEBODY)
    await erasing.subjects.close()
    assert not await zeroed(erasing.subjects, hit, bytes(range(16)))


async def test_every_rewrite_has_a_nonce_of_its_own(erasing: Erasing) -> None:
    hit, asked = await both(erasing), []

    def nonce(size: int) -> bytes:
        asked.append(secrets.token_bytes(size))
        return asked[-1]

    await zeroed(erasing.subjects, hit, ANOTHER)
    assert await zero(erasing.subjects, INDEX_KEY, hit, [SOMEBODY], nonce)
    now = erasing.subjects.get_sync(hit.name)
    assert now is not None
    assert len(asked) == 2  # one for the try that came too late
    assert now.data[1:13] == asked[1]


async def test_two_zeroers_of_one_object_lose_nothing(erasing: Erasing) -> None:
    for _ in range(20):
        hit = await both(erasing)
        one, two = FileSubjectStore(erasing.folder), FileSubjectStore(erasing.folder)
        done = await asyncio.gather(
            zeroed(one, hit, SOMEBODY), zeroed(two, hit, ANOTHER), zeroed(one, hit, SOMEBODY)
        )
        assert sum(done) == 2
        assert erasing.tags(hit.name) == [NO_TAG] * 4
        now = erasing.subjects.get_sync(hit.name)
        assert now is not None
        erasing.subjects.remove_sync(hit.name, now.etag)


class Overtaken(FileSubjectStore):
    """Before each rewrite `rival` runs, `times` times."""

    def __init__(self, root: Path, rival: Callable[[], Awaitable[object]], times: int = 1) -> None:
        super().__init__(root)
        self.rival, self.times = rival, times

    async def replace(self, name: str, data: bytes, etag: str) -> bool:
        if self.times:
            self.times -= 1
            await self.rival()
        return await super().replace(name, data, etag)


def rewriting(erasing: Erasing, name: str, tags: list[bytes]) -> Callable[[], Awaitable[object]]:
    async def rewrite() -> None:
        now = erasing.subjects.get_sync(name)
        assert now is not None
        assert erasing.subjects.replace_sync(name, sealed(name, tags), now.etag)

    return rewrite


async def test_what_a_worker_takes_out_meanwhile_stays_out(erasing: Erasing) -> None:
    hit = await both(erasing)
    worker = rewriting(erasing, hit.name, [SOMEBODY, NO_TAG, SOMEBODY, NO_TAG])
    assert await zeroed(Overtaken(erasing.folder, worker), hit, SOMEBODY)
    assert erasing.tags(hit.name) == [NO_TAG] * 4


async def test_a_worker_that_was_quicker_leaves_nothing_to_do(erasing: Erasing) -> None:
    hit = await both(erasing)
    worker = rewriting(erasing, hit.name, [NO_TAG, ANOTHER, NO_TAG, ANOTHER])
    assert not await zeroed(Overtaken(erasing.folder, worker), hit, SOMEBODY)
    assert erasing.tags(hit.name) == [NO_TAG, ANOTHER] * 2


async def test_an_orphan_removed_meanwhile_has_nothing_in_it(erasing: Erasing) -> None:
    hit = await both(erasing)

    async def remove() -> None:
        erasing.subjects.remove_sync(hit.name, hit.etag)

    assert not await zeroed(Overtaken(erasing.folder, remove), hit, SOMEBODY)
    assert hit.name not in erasing.names


async def test_a_rewrite_that_never_ends_is_told(erasing: Erasing) -> None:
    hit = await both(erasing)
    rival = rewriting(erasing, hit.name, [SOMEBODY] * 4)
    for losses, ends in ((15, True), (1000, False)):
        store = Overtaken(erasing.folder, rival, losses)
        if ends:
            assert await zeroed(store, hit, SOMEBODY)
        else:
            with pytest.raises(StoreError, match=hit.name):
                await zeroed(store, hit, SOMEBODY)


async def test_an_object_spoilt_meanwhile_is_not_taken_for_done(erasing: Erasing) -> None:
    hit = await both(erasing)

    async def spoil() -> None:
        assert erasing.subjects.replace_sync(hit.name, b"spoilt", hit.etag)

    with pytest.raises(FormatError, match=hit.name):
        await zeroed(Overtaken(erasing.folder, spoil), hit, SOMEBODY)


@given(st.sets(_tags, min_size=1, max_size=4), st.lists(_tags, max_size=20), st.randoms())
def test_only_wanted_tags_are_zeroed(gone: set[bytes], others: list[bytes], random: object) -> None:
    tags = [*others, *gone]
    random.shuffle(tags)  # type: ignore[attr-defined]
    after = zeroed_tags(b"".join(tags), Wanted(gone))
    assert after is not None
    assert split_tags(after) == [NO_TAG if tag in gone else tag for tag in tags]
    assert zeroed_tags(after, Wanted(gone)) is None


# -- orphans


async def test_an_orphan_goes_and_the_winners_object_stays(erasing: Erasing) -> None:
    before = erasing.names
    orphans = [
        erasing.orphan(before[0], "0" * 16, [SOMEBODY]),
        erasing.orphan(before[2], "0" * 16, [SOMEBODY]),
        erasing.orphan(before[2], "f" * 16, [SOMEBODY]),
    ]
    segments = await erasing.segments()
    assert await sweep_orphans(segments, erasing.subjects) == Orphans(removed=orphans)
    assert erasing.names == before
    assert await sweep_orphans(segments, erasing.subjects) == Orphans()


async def test_before_a_segment_is_stored_nobody_knows_whose_object_is_the_orphan(
    erasing: Erasing,
) -> None:
    name = next(name for name in erasing.names if "00240-" in name)
    orphan = erasing.orphan(name, "0" * 16, [SOMEBODY])
    del erasing.objects[TIP]
    before = erasing.names
    swept = await sweep_orphans(await erasing.segments(), erasing.subjects)
    assert swept == Orphans(waiting=[orphan, name])
    assert erasing.names == before


async def test_an_object_alone_at_its_place_stays(erasing: Erasing) -> None:
    alone = erasing.orphan(erasing.names[0], "0" * 16, [SOMEBODY], base=7)
    swept = await sweep_orphans(await erasing.segments(), erasing.subjects)
    assert swept == Orphans()
    assert alone in erasing.names


async def test_a_segment_that_nobody_signed_removes_nothing(erasing: Erasing) -> None:
    name = next(name for name in erasing.names if "00240-" in name)
    erasing.orphan(name, "0" * 16, [SOMEBODY])
    before = erasing.names
    erasing.objects[TIP] = erasing.objects[TIP][:-1] + b"x"
    with pytest.raises(Tampered, match="00240"):
        await sweep_orphans(await erasing.segments(), erasing.subjects)
    assert erasing.names == before


async def test_an_orphan_that_is_being_rewritten_goes_all_the_same(erasing: Erasing) -> None:
    orphan = erasing.orphan(erasing.names[0], "0" * 16, [SOMEBODY])

    class Rewritten(FileSubjectStore):
        once = True

        async def remove(self, name: str, etag: str) -> bool:
            if self.once:
                self.once = False
                await rewriting(erasing, orphan, [NO_TAG])()
            return await super().remove(name, etag)

    segments = segments_of(await stored(erasing.objects))
    swept = await sweep_orphans(segments, Rewritten(erasing.folder))
    assert swept.removed == [orphan]
    assert orphan not in erasing.names
