"""The Azure store against the write-once double: the whole contract, and each fault settled."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.ports import PutResult, WormStore
from audit_stream.posture import Assurance
from audit_stream.stores.azure_target import AzureAccess, AzureTarget
from tests.contract.azure_attacker import AzureAttacker, AzureContract
from tests.contract.worm_store_contract import META, NAMES, Target
from tests.support.azurite import ACCOUNT, KEY
from tests.support.blobs import BlobDouble
from tests.support.blobs.faults import FaultKind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
MUTABLE = "AUDIT_TEST_MUTABLE_DOUBLE"


class DoubleTarget(AzureAttacker):
    """A container of the double; its owner's key, or a SAS of these rights."""

    def __init__(
        self, double: BlobDouble, container: str, rights: str | None = None,
        read_seconds: float = 30.0,
    ) -> None:  # fmt: skip
        self.double = double
        sas = None
        if rights is not None:
            double.service.access.register_sas("mine", rights)
            sas = "sig=mine"
        access = AzureAccess(
            endpoint=double.url, key=None if sas else KEY, sas=(lambda: sas) if sas else None,
            read_seconds=read_seconds, connections=4,
        )  # fmt: skip
        super().__init__(AzureTarget(account=ACCOUNT, container=container, access=access))

    def fail_next_put(self, stored: bool) -> None:
        self.double.faults.inject("drop_after" if stored else "drop_before")


@pytest.fixture
async def double() -> AsyncIterator[BlobDouble]:
    async with BlobDouble() as double:
        double.service.mutable = os.environ.get(MUTABLE) == "1"
        double.service.add_container("clw", "clw", days=2557)
        double.service.add_container("vlw", "vlw", days=2557)
        double.service.add_container("plain", "plain")
        yield double


class TestContainerLevel(AzureContract):
    """The default profile; even the account's owner cannot change what is stored."""

    @pytest.fixture
    async def target(self, double: BlobDouble) -> AsyncIterator[Target]:
        target = DoubleTarget(double, "clw")
        yield target
        await target.close()

    @pytest.mark.xfail(strict=True, raises=StoreRefused, reason="the container's policy holds all")
    async def test_retention_is_extended_and_holds_are_set(self, store: WormStore) -> None:
        await super().test_retention_is_extended_and_holds_are_set(store)


class TestVersionLevel(AzureContract):
    """An overwrite makes a new version there: the oldest is the one that counts."""

    raced = NAMES[:10]  # the race is the same code: once in full is enough

    @pytest.fixture
    async def target(self, double: BlobDouble) -> AsyncIterator[Target]:
        target = DoubleTarget(double, "vlw")
        yield target
        await target.close()


class TestAddOnlyIdentity(AzureContract):
    """No policy at all, but an identity that may read and create and nothing else."""

    raced = NAMES[:10]  # the race is the same code: once in full is enough

    @pytest.fixture
    async def target(self, double: BlobDouble) -> AsyncIterator[Target]:
        target = DoubleTarget(double, "plain", rights="rlc")
        yield target
        await target.close()

    @pytest.mark.xfail(strict=True, raises=StoreRefused, reason="there is no policy to extend")
    async def test_retention_is_extended_and_holds_are_set(self, store: WormStore) -> None:
        await super().test_retention_is_extended_and_holds_are_set(store)


def test_the_suite_fails_where_nothing_is_enforced() -> None:
    """A suite that passed against a store which ignores every condition would prove nothing."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:randomly", "-p", "no:cacheprovider",
         __file__, "-k", "Level and not racing"],
        env=os.environ | {MUTABLE: "1"}, capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ran.returncode == 1
    for name in ("test_other_bytes_never_overwrite", "test_the_writer_cannot_change_what_it_stored",
                 "test_a_restart_loses_nothing", "test_a_rival_may_win_where_a_put_failed",
                 "test_putting_the_same_again_settles_an_ambiguous_put"):  # fmt: skip
        for suite in ("TestContainerLevel", "TestVersionLevel"):
            assert f"{suite}::{name}" in ran.stdout, name


# -- each fault, one put


@pytest.fixture
async def clw(double: BlobDouble) -> AsyncIterator[DoubleTarget]:
    target = DoubleTarget(double, "clw", read_seconds=0.5)  # what stalls is not waited for long
    yield target
    await target.close()


@pytest.mark.parametrize("fault", ["drop_after", "twin", "stall_after"])
async def test_our_own_bytes_under_the_name_are_stored(
    clw: DoubleTarget, double: BlobDouble, fault: FaultKind
) -> None:
    double.faults.inject(fault)
    assert await clw.open().put_if_absent("a", b"mine", META) is PutResult.STORED
    assert sum(seen.method == "PUT" for seen in double.requests) == 1  # nobody sent it again


@pytest.mark.parametrize(
    "fault", ["drop_before", "stall", "busy", "timeout", "throttle", "bit_flip"]
)
async def test_what_may_pass_is_said_so_and_the_same_put_settles_it(
    clw: DoubleTarget, double: BlobDouble, fault: FaultKind
) -> None:
    store = clw.open()
    double.faults.inject(fault, retry_after=7 if fault == "throttle" else None)
    with pytest.raises(StoreTransient) as caught:
        await store.put_if_absent("a", b"mine", META)
    assert caught.value.retry_after == (7 if fault == "throttle" else None)
    assert await store.get("a") is None
    assert await store.put_if_absent("a", b"mine", META) is PutResult.STORED


async def test_a_put_that_lands_late_is_ours(clw: DoubleTarget, double: BlobDouble) -> None:
    store = clw.open()
    late = double.faults.inject("late")
    with pytest.raises(StoreTransient):
        await store.put_if_absent("a", b"mine", META)
    late.release()
    await late.landed.wait()
    assert await store.put_if_absent("a", b"mine", META) is PutResult.STORED


async def test_a_rivals_bytes_are_another_writers(clw: DoubleTarget, double: BlobDouble) -> None:
    double.faults.inject("rival", body=b"theirs")
    assert await clw.open().put_if_absent("a", b"mine", META) is PutResult.EXISTS
    assert await clw.open().get("a") == b"theirs"


async def test_a_conflict_that_cannot_be_looked_at_is_unknown(
    clw: DoubleTarget, double: BlobDouble
) -> None:
    store = clw.open()
    assert await store.put_if_absent("a", b"mine", META) is PutResult.STORED
    double.faults.inject("head_busy")
    with pytest.raises(StoreTransient, match="taken"):
        await store.put_if_absent("a", b"mine", META)
    assert await store.put_if_absent("a", b"mine", META) is PutResult.STORED


@pytest.mark.parametrize(
    "conflict", ["BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold", "ConditionNotMet"]
)
async def test_every_conflict_code_is_settled_by_comparing(
    clw: DoubleTarget, double: BlobDouble, conflict: str
) -> None:
    double.service.conflict = conflict  # type: ignore[assignment]
    store = clw.open()
    for _ in range(2):
        assert await store.put_if_absent("a", b"mine", META) is PutResult.STORED
    assert await store.put_if_absent("a", b"other", META) is PutResult.EXISTS


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("fault", ["cut_body", "slow_body", "drop_before", "busy"])
async def test_a_read_that_breaks_off_is_never_short_bytes(
    clw: DoubleTarget, double: BlobDouble, fault: FaultKind
) -> None:
    store, body = clw.open(), b"mine" * 1000
    await store.put_if_absent("a", body, META)
    armed = double.faults.inject(fault, method="GET", path="/clw/a", times=2)
    for _ in range(2):
        with pytest.raises(StoreTransient):
            await store.get("a")
    assert await store.get("a") == body
    armed.release()
    gc.collect()  # the SDK leaves a connection that broke to the collector, which warns: here


async def test_a_proxys_refusal_is_told_from_azures(clw: DoubleTarget, double: BlobDouble) -> None:
    double.faults.inject("proxy_403")
    with pytest.raises(StoreRefused) as caught:
        await clw.open().put_if_absent("a", b"mine", META)
    assert "proxy" in caught.value.hint
    reader = DoubleTarget(double, "clw", rights="rl")
    with pytest.raises(StoreRefused, match="AuthorizationPermissionMismatch") as refused:
        await reader.open().put_if_absent("a", b"mine", META)
    assert "role" in refused.value.hint
    await reader.close()


@pytest.mark.parametrize("fault", ["proxy_404", "proxy_404_json"])
@pytest.mark.parametrize("container", ["clw", "vlw"])
async def test_a_strangers_404_is_no_word_that_nothing_is_there(
    double: BlobDouble, container: str, fault: FaultKind
) -> None:
    """To an ingress that knows no such host every object is absent."""
    target = DoubleTarget(double, container)
    store = target.open()
    assert await store.put_if_absent("a", b"mine", META) is PutResult.STORED
    double.faults.inject(fault, method="GET", path=f"/{container}/a")
    with pytest.raises(StoreRefused):
        await store.get("a")
    double.faults.inject(fault, method="HEAD")
    with pytest.raises(StoreRefused):
        await store.put_if_absent("a", b"mine", META)  # taken, and looked at
    assert await store.get("a") == b"mine"
    await target.close()


async def test_what_azure_says_is_absent_is(double: BlobDouble, clw: DoubleTarget) -> None:
    """An answer to HEAD has no body: its code stands in a header."""
    store = clw.open()
    assert await store.get("a") is None
    double.faults.inject("drop_before")
    with pytest.raises(StoreTransient):
        await store.put_if_absent("a", b"mine", META)  # lost, looked at, and not there
    assert [each.method for each in double.requests][-2:] == ["PUT", "HEAD"]


async def test_plain_http_vouches_for_nothing(clw: DoubleTarget) -> None:
    """Whatever the container says: what speaks there is an emulator, or anybody."""
    posture = await clw.open().posture()
    assert posture.assurance is Assurance.MUTABLE
    assert "endpoint: http" in map(str, posture.missing(Assurance.WORM_UNLOCKED))
    assert "retention policy: there is one (data plane)" in map(str, posture.findings)
