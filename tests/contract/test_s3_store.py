"""The S3 store against versitygw, which enforces Object Lock, and moto, which answers as Amazon
behind a delete marker. What each of them gets wrong is named here, and never passes for a promise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from audit_stream.errors import StoreError, StoreTransient
from audit_stream.ports import PutResult, WormStore
from tests.contract.s3_attacker import BucketTarget, S3Contract
from tests.contract.worm_store_contract import ATTACKS, META, Attack, Target
from tests.support.moto_server import moto_server
from tests.support.versitygw import S3Server, versitygw

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


class _Cut(S3Contract):
    """The two promises about lost requests and answers, over a proxy that loses them."""

    async def test_a_rival_may_win_where_a_put_failed(  # type: ignore[override]
        self, target: BucketTarget
    ) -> None:
        await target.proxied()
        await super().test_a_rival_may_win_where_a_put_failed(target)

    @pytest.mark.parametrize("stored", [False, True])
    async def test_putting_the_same_again_settles_an_ambiguous_put(  # type: ignore[override]
        self, target: BucketTarget, stored: bool
    ) -> None:
        """A lost PUT is an error, a lost answer is settled at once by looking."""
        await target.proxied()
        store = target.open()
        assert await store.hold_level()  # connected: the PUT's own connection is cut
        target.fail_next_put(stored)
        if stored:
            assert await store.put_if_absent("a/b", b"one", META) is PutResult.STORED
        else:
            with pytest.raises(StoreTransient):
                await store.put_if_absent("a/b", b"one", META)
            assert await store.get("a/b") is None
        assert target.proxy.puts == 1  # no layer below sent it again by itself
        assert await store.put_if_absent("a/b", b"one", META) is PutResult.STORED
        assert await store.put_if_absent("a/b", b"two", META) is PutResult.EXISTS
        assert await store.names("") == ["a/b"]


COPIES = pytest.mark.xfail(
    strict=True, reason="versitygw rewrites a version's metadata by a copy onto itself"
)


class TestVersitygw(_Cut):
    @pytest.fixture
    async def target(self, gateway: S3Server) -> AsyncIterator[BucketTarget]:
        found = BucketTarget(gateway)
        yield found
        await found.close()

    @pytest.mark.parametrize(
        "attack",
        [pytest.param(each, marks=[COPIES] if each == "metadata" else []) for each in ATTACKS],
    )
    async def test_the_writer_cannot_change_what_it_stored(
        self, target: Target, attack: Attack
    ) -> None:
        await super().test_the_writer_cannot_change_what_it_stored(target, attack)


SHORTENS = pytest.mark.xfail(strict=True, reason="moto lets a retention in compliance be shortened")
NO_RETENTION = pytest.mark.xfail(
    strict=True, raises=StoreError, reason="moto answers 500 when asked for a retention"
)


class TestMoto(_Cut):
    @pytest.fixture
    async def target(self, moto: S3Server) -> AsyncIterator[BucketTarget]:
        found = BucketTarget(moto)
        yield found
        await found.close()

    @pytest.mark.parametrize(
        "attack",
        [pytest.param(each, marks=[SHORTENS] if each == "shorten" else []) for each in ATTACKS],
    )
    async def test_the_writer_cannot_change_what_it_stored(
        self, target: Target, attack: Attack
    ) -> None:
        await super().test_the_writer_cannot_change_what_it_stored(target, attack)

    @NO_RETENTION
    async def test_it_says_what_it_enforces_and_where_it_is(self, store: WormStore) -> None:
        await super().test_it_says_what_it_enforces_and_where_it_is(store)

    @NO_RETENTION
    async def test_retention_is_extended_and_holds_are_set(self, store: WormStore) -> None:
        await super().test_retention_is_extended_and_holds_are_set(store)

    @pytest.mark.xfail(strict=True, reason="S3 lets a name be the folder of another; ours never")
    @pytest.mark.parametrize(("first", "second"), [("a/b", "a"), ("a", "a/b"), ("a/b", "a/b/c/d")])
    async def test_no_name_is_the_folder_of_another(
        self, store: WormStore, first: str, second: str
    ) -> None:
        await super().test_no_name_is_the_folder_of_another(store, first, second)
