"""What may remove from an archive, on every store: never before its time, never what is held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit_stream.errors import StoreRefused
from audit_stream.ports import Disposer, WormStore
from audit_stream.retention.purge import State
from audit_stream.stores.azure import AzureStore
from audit_stream.stores.azure_target import AzureAccess, AzureTarget
from audit_stream.stores.disposal.azure import AzureDisposer
from audit_stream.stores.disposal.file import FileDisposer
from audit_stream.stores.disposal.memory import MemoryDisposer
from audit_stream.stores.file import FileStore
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.memory_subjects import MemorySubjectStore
from audit_stream.verify.report import Verdict
from tests.contract.worm_store_contract import META
from tests.support import golden
from tests.support.azurite import ACCOUNT, KEY
from tests.support.blobs import DAY, BlobDouble, BlobService
from tests.support.blobs.faults import FaultKind
from tests.support.disposing import DAYS, LATER_MS, CutOff, Cuts, Scene, keyring_in

NOW = golden.FIRST_MS // 1000
pytestmark = pytest.mark.timeout(180)


@dataclass
class Place:
    """A store, who may remove from it, and the service's clock and hold."""

    kind: str
    store: WormStore
    disposer: Disposer
    move: Callable[[int], None]  # to Unix seconds
    hold: Callable[[str, bool], Awaitable[None]]

    @property
    def enforces(self) -> bool:
        return self.kind != "file"


@pytest.fixture(params=["memory", "file", "clw", "vlw"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "memory":
        memory = MemoryWormStore(now_ms=NOW * 1000)

        def move(at: int) -> None:
            memory.move_clock(at * 1000)

        yield Place("memory", memory, MemoryDisposer(memory), move, memory.set_hold)
    elif request.param == "file":
        store = FileStore(tmp_path / "archive")

        async def none(name: str, held: bool) -> None:
            """A folder has no holds."""

        yield Place("file", store, FileDisposer(tmp_path / "archive"), lambda _: None, none)
    else:
        async with BlobDouble(BlobService(now=NOW)) as double:
            container = double.service.add_container("audit", request.param, days=DAYS)
            access = AzureAccess(endpoint=double.url, key=KEY, connections=4)
            at = AzureTarget(account=ACCOUNT, container="audit", access=access)
            azure, disposer = AzureStore(at), AzureDisposer(at)

            async def hold(name: str, held: bool) -> None:
                if request.param == "vlw":
                    await azure.set_hold(name, held)
                else:
                    (container.hold if held else container.release)("h123")

            yield Place(request.param, azure, disposer, double.service.clock.set, hold)
            await azure.close()
            await disposer.close()


async def test_nothing_goes_before_its_time_or_while_it_is_held(place: Place) -> None:
    await place.store.put_if_absent("a/b", b"one", META)
    if place.enforces:
        assert not await place.disposer.remove_expired("a/b")
        place.move(NOW + DAYS * DAY - 1)
        assert not await place.disposer.remove_expired("a/b")
        place.move(NOW + DAYS * DAY)
        await place.hold("a/b", True)
        assert not await place.disposer.remove_expired("a/b")
        assert await place.store.get("a/b") == b"one"
        await place.hold("a/b", False)
    assert await place.disposer.remove_expired("a/b")
    assert await place.store.get("a/b") is None
    assert await place.store.names("") == []
    assert await place.disposer.remove_expired("a/b")  # again: it is gone


async def test_it_tells_how_each_object_is_kept(place: Place) -> None:
    for name in ("a/b", "a/c", "b/d"):
        await place.store.put_if_absent(name, name.encode(), META)
    await place.hold("a/c", True)
    found = await place.disposer.kept("a/")
    assert [(each.name, each.size) for each in found] == [("a/b", 3), ("a/c", 3)]
    assert {each.until_ms for each in found} == (
        {(NOW + DAYS * DAY) * 1000} if place.enforces else {None}
    )
    assert [(each.oldest_stored_ms, each.oldest_until_ms) for each in found] == [
        (each.stored_ms, each.until_ms) for each in found
    ]
    every = place.kind == "clw"  # a container's hold holds all of it
    assert [each.held for each in found] == [every, place.enforces]
    assert place.disposer.url.split(":")[0] in {"memory", "file", "azure"}


async def test_what_is_in_question_is_asked_about_and_no_more(place: Place) -> None:
    names = [f"a/{number:03d}" for number in range(9)]
    for name in (*names, "b/d"):
        await place.store.put_if_absent(name, name.encode(), META)
    disposer = place.disposer
    assert await disposer.names("a/") == names
    assert await disposer.names("a/", after="a/003", limit=2) == ["a/004", "a/005"]
    assert await disposer.names("a/", after="a/00", limit=1) == ["a/000"]
    assert await disposer.names("a/", after="a/008") == []
    assert await disposer.names("a/", after="b") == []
    for after, before, found in (
        ("a/003", "a/006", names[4:6]), ("a/00", "a/002", names[:2]), ("a/006", "", names[7:]),
        ("", "a/001", names[:1]), ("a/02", "a/03", []),
    ):  # fmt: skip
        kept = await disposer.kept("a/", after=after, before=before)
        assert [each.name for each in kept] == found


@pytest.mark.parametrize("place", ["vlw"], indirect=True)
async def test_a_name_of_which_a_version_alone_is_left_is_one(place: Place) -> None:
    assert isinstance(place.store, AzureStore)
    for name in ("a/a", "a/b", "a/c"):
        await place.store.put_if_absent(name, b"one", META)
    container = place.store._container()
    await container.upload_blob("a/b", b"two", overwrite=True)
    place.move(NOW + DAYS * DAY)
    await container.delete_blob("a/b")
    assert await place.store.names("a/") == ["a/a", "a/c"]
    assert await place.disposer.names("a/", limit=2) == ["a/a", "a/b"]
    assert await place.disposer.names("a/", after="a/a") == ["a/b", "a/c"]


@pytest.mark.parametrize("place", ["vlw"], indirect=True)
async def test_with_a_blob_all_its_versions_go(place: Place) -> None:
    assert isinstance(place.store, AzureStore)
    await place.store.put_if_absent("a/b", b"one", META)
    container = place.store._container()
    await container.upload_blob("a/b", b"two", overwrite=True)
    place.move(NOW + DAYS * DAY)
    assert await place.disposer.remove_expired("a/b")
    versions = [each async for each in container.list_blobs(include=["versions"])]
    assert versions == []


@pytest.mark.parametrize("place", ["vlw"], indirect=True)
async def test_a_removal_cut_off_between_blob_and_version_is_finished(
    place: Place, tmp_path: Path
) -> None:
    """What the container still has under the name is owed, though no listing of blobs shows it."""
    scene = Scene(
        place.store, MemorySubjectStore(), place.disposer, keyring_in(tmp_path),
        lambda ms: place.move(ms // 1000),
    )  # fmt: skip
    await scene.fill()
    await scene.at(LATER_MS)
    purge = await scene.approved()
    with pytest.raises(CutOff):
        await scene.run(Cuts(at=9, behind=True))  # seven headers, at work, the certificate
    assert isinstance(place.store, AzureStore)
    container, [one, *_] = place.store._container(), await place.store.names("segments/")
    await container.delete_blob(one)
    [kept] = await place.disposer.kept(one)
    assert kept.name == one
    await scene.run()
    left = [each async for each in container.list_blobs("segments/", include=["versions"])]
    assert left == []
    assert (await scene.purges.change(purge.id, lambda each: each)).state is State.DONE


@pytest.mark.parametrize("place", ["vlw"], indirect=True)
async def test_of_several_versions_the_longest_word_counts(place: Place) -> None:
    assert isinstance(place.store, AzureStore)
    await place.store.put_if_absent("a/b", b"one", META)
    await place.store.set_hold("a/b", True)
    place.move(NOW + DAY)
    await place.store._container().upload_blob("a/b", b"other", overwrite=True)
    [kept] = await place.disposer.kept("a/")
    assert (kept.held, kept.size) == (True, len(b"one" + b"other"))
    assert kept.until_ms == (NOW + DAY + DAYS * DAY) * 1000
    assert kept.oldest_stored_ms == NOW * 1000  # the object's own
    assert kept.oldest_until_ms == (NOW + DAYS * DAY) * 1000


@pytest.mark.parametrize("fault", ["proxy_404", "proxy_404_json"])
@pytest.mark.parametrize("level", ["clw", "vlw"])
async def test_a_strangers_404_removes_nothing(level: str, fault: FaultKind) -> None:
    async with BlobDouble(BlobService(now=NOW)) as double:
        double.service.add_container("audit", level, days=DAYS)
        access = AzureAccess(endpoint=double.url, key=KEY, connections=4)
        at = AzureTarget(account=ACCOUNT, container="audit", access=access)
        store, disposer = AzureStore(at), AzureDisposer(at)
        await store.put_if_absent("a", b"one", META)
        double.service.clock.set(NOW + DAYS * DAY)
        double.faults.inject(fault, method="DELETE")
        with pytest.raises(StoreRefused):
            await disposer.remove_expired("a")
        assert await store.get("a") == b"one"
        assert await disposer.remove_expired("a")
        await store.close()
        await disposer.close()


async def test_an_identity_that_may_only_add_removes_nothing() -> None:
    async with BlobDouble(BlobService(now=NOW)) as double:
        double.service.add_container("audit", "plain")
        double.service.access.register_sas("mine", "rlc")
        access = AzureAccess(endpoint=double.url, sas=lambda: "sig=mine", connections=4)
        at = AzureTarget(account=ACCOUNT, container="audit", access=access)
        store, disposer = AzureStore(at), AzureDisposer(at)
        await store.put_if_absent("a", b"one", META)
        with pytest.raises(StoreRefused):
            await disposer.remove_expired("a")
        assert await store.get("a") == b"one"
        await store.close()
        await disposer.close()


async def test_a_name_that_is_none_is_refused(place: Place) -> None:
    with pytest.raises(StoreRefused):
        await place.disposer.remove_expired("../a")


async def test_a_purge_leaves_an_archive_that_verifies(place: Place, tmp_path: Path) -> None:
    scene = Scene(
        place.store, MemorySubjectStore(), place.disposer, keyring_in(tmp_path),
        lambda ms: place.move(ms // 1000),
    )  # fmt: skip
    await scene.fill()
    await scene.at(LATER_MS)
    await scene.approved()
    [carried] = await scene.run()
    assert (carried.removed, carried.owed) == (7, 0)
    assert (await scene.verified()).verdict is Verdict.VERIFIED
