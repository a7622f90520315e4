"""The Azure store against Azurite: the wire protocol and the create-only part of the contract.

Azurite keeps no retention, no hold and no versions, and says so of its containers; what a locked
container refuses is not shown here.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256

import pytest
from azure.storage.blob.aio import ContainerClient

from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.ports import PutResult, WormStore
from audit_stream.posture import Assurance
from audit_stream.stores.azure import AzureStore
from audit_stream.stores.azure_target import AzureAccess, AzureTarget
from audit_stream.stores.disposal.azure import AzureDisposer
from tests.contract.azure_attacker import AzureAttacker, AzureContract
from tests.contract.worm_store_contract import ATTACKS, META, Attack, Target
from tests.support.azurite import ACCOUNT, KEY, Azurite
from tests.support.cutting_proxy import CuttingProxy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def access(port: int, **more: object) -> AzureAccess:
    endpoint = f"http://127.0.0.1:{port}/{{account}}"
    return AzureAccess(endpoint=endpoint, key=KEY, **more)  # type: ignore[arg-type]


class AzuriteTarget(AzureAttacker):
    """A container of its own; `proxied` goes through a proxy that can cut connections."""

    def __init__(self, container: str, port: int) -> None:
        super().__init__(AzureTarget(account=ACCOUNT, container=container, access=access(port)))
        self.proxy = CuttingProxy(port)

    async def proxied(self) -> None:
        self.at = replace(self.at, access=access(await self.proxy.start()))

    def fail_next_put(self, stored: bool) -> None:
        self.proxy.cut = "after" if stored else "before"


@pytest.fixture
async def target(azurite: Azurite) -> AsyncIterator[AzuriteTarget]:
    container = f"t{uuid.uuid4().hex}"
    await azurite.create_container(container)
    found = AzuriteTarget(container, azurite.port)
    yield found
    await found.close()
    await found.proxy.stop()


NO_WORM = pytest.mark.xfail(strict=True, reason="Azurite enforces no immutability")


class TestAzurite(AzureContract):
    async def test_a_rival_may_win_where_a_put_failed(  # type: ignore[override]
        self, target: AzuriteTarget
    ) -> None:
        await target.proxied()
        await super().test_a_rival_may_win_where_a_put_failed(target)

    @pytest.mark.parametrize("stored", [False, True])
    async def test_putting_the_same_again_settles_an_ambiguous_put(  # type: ignore[override]
        self, target: AzuriteTarget, stored: bool
    ) -> None:
        """A lost PUT is an error, a lost answer is settled at once by looking."""
        await target.proxied()
        store = target.open()
        assert await store.get("a/b") is None  # connected: the PUT's own connection is cut
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

    @pytest.mark.parametrize(
        "attack",
        [
            pytest.param(attack, marks=[] if attack == "shorten" else [NO_WORM])
            for attack in ATTACKS
        ],
    )
    async def test_the_writer_cannot_change_what_it_stored(
        self, target: Target, attack: Attack
    ) -> None:
        await super().test_the_writer_cannot_change_what_it_stored(target, attack)

    @pytest.mark.xfail(strict=True, raises=StoreRefused, reason="Azurite has neither, nor versions")
    async def test_retention_is_extended_and_holds_are_set(self, store: WormStore) -> None:
        await super().test_retention_is_extended_and_holds_are_set(store)


async def test_what_vouches_for_nothing_says_so(target: AzuriteTarget) -> None:
    posture = await target.open().posture()
    assert posture.assurance is Assurance.MUTABLE
    assert "retention policy: none" in map(str, posture.findings)
    assert "endpoint: http" in map(str, posture.findings)


async def test_a_rival_that_claims_our_hash_is_still_a_rival(target: AzuriteTarget) -> None:
    store = target.open()
    async with ContainerClient(
        target.at.service_url, target.at.container,
        credential={"account_name": ACCOUNT, "account_key": KEY},
    ) as rival:  # fmt: skip
        claimed = {"sha256": sha256(b"mine").hexdigest()}
        await rival.upload_blob("a", b"evil", metadata=claimed)
    assert await store.put_if_absent("a", b"mine", META) is PutResult.EXISTS


async def test_a_container_that_is_not_there_is_refused_not_empty(azurite: Azurite) -> None:
    nowhere = AzureTarget(account=ACCOUNT, container="nowhere", access=access(azurite.port))
    store = AzureStore(nowhere)
    try:
        for call in (store.get("a"), store.names(""), store.put_if_absent("a", b"x", META)):
            with pytest.raises(StoreRefused, match="ContainerNotFound"):
                await call
    finally:
        await store.close()


async def test_what_it_says_is_absent_is(target: AzuriteTarget) -> None:
    """To GET, HEAD and DELETE: it gives its own code also where an answer has no body."""
    store, disposer = target.open(), AzureDisposer(target.at)
    assert await store.get("a") is None
    assert await store._oldest("a") is None
    assert await disposer.remove_expired("a")
    await disposer.close()


async def test_wrong_credentials_are_refused_and_never_shown(azurite: Azurite) -> None:
    wrong = AzureAccess(endpoint=azurite.endpoint, key="c2VjcmV0LWtleQ==")
    assert "c2VjcmV0" not in repr(wrong)
    store = AzureStore(AzureTarget(account=ACCOUNT, container="nowhere", access=wrong))
    try:
        with pytest.raises(StoreRefused) as caught:
            await store.put_if_absent("a", b"x", META)
        assert "c2VjcmV0" not in str(caught.value)
    finally:
        await store.close()


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    gone = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:  # also of a connection that is open still when the test ends
            writer.transport.abort()
            gone.set()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    slow = access(port, connect_seconds=0.3, read_seconds=0.3)
    store = AzureStore(AzureTarget(account=ACCOUNT, container="nowhere", access=slow))
    try:
        with pytest.raises(StoreTransient):
            await store.put_if_absent("a", b"x", META)
    finally:
        await store.close()
        await gone.wait()
        server.close()
