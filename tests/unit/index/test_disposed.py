"""Look-ups while and after segments are disposed of: nobody's fault, and nothing is shown."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from audit_stream.errors import Tampered
from audit_stream.gateway.counting import TYPED, Spelt, first_facts, look
from audit_stream.index import forgetting
from audit_stream.index.rows import CARRIER, MESSAGE, TAG, Pair
from audit_stream.index.sweep import sweep
from audit_stream.privacy.subjects import EXTERNAL, tags_of
from audit_stream.stores.disposal.file import FileDisposer
from audit_stream.stores.file import FileStore
from audit_stream.stores.subjects import FileSubjectStore
from tests.support import golden
from tests.support.disposing import LATER_MS, Scene, keyring_in
from tests.support.indexing import CUSTOMERS, Asking, by_message, golden_archive, message_keys
from tests.support.resealed import MESSAGES, name

#: Every segment of messages but the first.
KEPT = name(MESSAGES, 0)


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    store = FileStore(tmp_path / "archive")
    subjects, disposer = FileSubjectStore(tmp_path / "subjects"), FileDisposer(tmp_path / "archive")
    made = Scene(store, subjects, disposer, keyring_in(tmp_path), lambda _: None)
    await made.fill()
    return made


@pytest.fixture
async def asking(scene: Scene, tmp_path: Path) -> Asking:
    made = Asking(golden_archive(scene.store, scene.subjects), tmp_path / "index")
    await made.catch_up()
    return made


async def dispose(scene: Scene) -> None:
    scene.held = lambda each: ["h-1"] if each == KEPT else []
    await scene.at(LATER_MS)
    await scene.approved()
    [carried] = await scene.run()
    assert carried.owed == 0


def left() -> dict[tuple[str, str], list[str]]:
    """Sources of each message's records that are still there."""
    found = {
        key: [each for each in sources if _is_left(each)] for key, sources in by_message().items()
    }
    return {key: sources for key, sources in found.items() if sources}


def _is_left(source: str) -> bool:
    return source.startswith(f"{MESSAGES}/") and int(source.rpartition("/")[2]) < golden.SPAN


async def shows_what_is_left(asking: Asking) -> None:
    lookup, wanted = asking.lookup, left()
    for tenant, message in by_message():
        found = await lookup.by_message(tenant, message)
        sources = [r.record.pub["source"] for each in found for r in each.revisions]
        assert sources == wanted.get((tenant, message), [])
        for source in by_message()[tenant, message]:
            at = await lookup.by_source(source)
            assert (at is not None) == _is_left(source)
    for (tenant, customer), messages in CUSTOMERS.items():
        page = await lookup.by_customer(tenant, customer, limit=1000)
        assert set(message_keys(page.messages)) == set(messages) & wanted.keys()
        assert page.cursor is None


async def test_before_and_after_the_index_forgets(scene: Scene, asking: Asking) -> None:
    ids = asking.index.ids
    carriers = {each: CARRIER + ids.id("carrier") + ids.message(*each) for each in by_message()}
    asking.index.write((key, b"") for key in carriers.values())  # golden has none
    await dispose(scene)
    await shows_what_is_left(asking)  # its rows are still there
    before = dict(asking.rows)
    swept = await sweep(asking.archive, asking.index)
    assert len(swept.disposed) == 1
    await shows_what_is_left(asking)
    again = dict(asking.rows)
    fresh = Asking(asking.archive, asking.folder.with_name("fresh"))
    await fresh.catch_up()
    for kind in (MESSAGE, TAG):
        known, never, stayed = (
            {key for key in rows if key.startswith(kind)} for rows in (before, fresh.rows, again)
        )
        assert stayed == never < known
    assert {key for key in again if key.startswith(CARRIER)} == {
        key for each, key in carriers.items() if each in left()
    }
    await sweep(asking.archive, asking.index)
    assert asking.rows == again
    assert (await asking.catch_up()).stopped == []


async def test_while_the_index_forgets(
    scene: Scene, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dispose(scene)
    monkeypatch.setattr(forgetting, "_STEP", 40)
    loop, write, steps = asyncio.get_running_loop(), asking.index.write, list[int]()

    def looked_at(pairs: Iterable[Pair]) -> None:
        write(pairs)
        if threading.current_thread() is not threading.main_thread():
            asyncio.run_coroutine_threadsafe(shows_what_is_left(asking), loop).result()
            steps.append(len(asking.rows))

    monkeypatch.setattr(asking.index, "write", looked_at)
    await sweep(asking.archive, asking.index)
    assert len(steps) > 4


async def test_a_page_that_began_before_the_index_forgot(
    scene: Scene, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    await dispose(scene)
    tenant, customer = next(
        key
        for key, theirs in CUSTOMERS.items()
        if len(theirs) > 1 and not left().keys() & set(theirs)
    )
    held, there, get = asyncio.Event(), asyncio.Event(), scene.store.get

    async def late(wanted: str) -> bytes | None:
        there.set()
        await held.wait()
        return await get(wanted)

    monkeypatch.setattr(scene.store, "get", late)
    page = asyncio.create_task(asking.lookup.by_customer(tenant, customer))
    await there.wait()
    monkeypatch.setattr(scene.store, "get", get)
    await sweep(asking.archive, asking.index)
    held.set()
    assert (await page).messages == ()


async def test_a_dry_run_before_the_index_forgets(scene: Scene, asking: Asking) -> None:
    """Whose first records are disposed of, and whose all are."""
    await dispose(scene)
    for (tenant, customer), messages in CUSTOMERS.items():
        tags = tags_of(golden.KEYRING, (tenant, EXTERNAL, customer))
        spelt = Spelt(number=TYPED, reason="as typed", tags={tenant: tags}, chosen=True)
        looked = await look(asking.lookup, asking.index, [spelt])
        assert looked.found.records == sum(len(by_message()[each]) for each in messages)
        theirs = [each for key in messages for each in left().get(key, [])]
        facts = await first_facts(asking.lookup, asking.index, tags, 1000)
        assert sorted(each.source for each in facts) == sorted(theirs)
        assert (looked.found.first is None) >= (not theirs)


async def test_what_is_gone_without_a_certificate_is_tampered_with(
    scene: Scene, asking: Asking
) -> None:
    await scene.disposer.remove_expired(name(MESSAGES, 60))
    sources = [each for found in by_message().values() for each in found]
    inside = [f"{MESSAGES}/1/0/{offset}" for offset in range(60, 120)]
    source = next(each for each in sources if each in inside)
    with pytest.raises(Tampered, match="the object is gone"):
        await asking.lookup.by_source(source)
