"""What two stores as one keep: holds, retention, and what is said of both."""

from __future__ import annotations

import pytest

from audit_stream.posture import Assurance, Standing
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.mirrored import Mirroring
from tests.support.clock import settle
from tests.support.mirroring import Pair

BOTH = pytest.mark.parametrize("mode", list(Mirroring))


class TestKept:
    @BOTH
    async def test_holds_and_retention_go_to_both(self, mode: Mirroring) -> None:
        pair = Pair(mode)
        store = pair.open()
        await store.put_if_absent("a", b"x", {})
        await settle()
        await store.set_hold("a", True)
        await store.extend_retention("a", 4_102_444_800_000)
        for each in (pair.primary, pair.secondary):
            assert each.objects["a"].held
            assert each.objects["a"].retain_until_ms == 4_102_444_800_000

    async def test_a_hold_that_one_lacks_is_none(self) -> None:
        pair = Pair(Mirroring.BEHIND)
        store = pair.open()
        pair.secondary.outage = True
        await store.put_if_absent("a", b"x", {})
        await pair.primary.set_hold("a", True)
        pair.secondary.outage = False
        assert not await store.held("a")

    async def test_a_hold_that_was_lifted_from_one_is_not_lifted(self) -> None:
        """As where the second store was away in the middle: who lifts it has to see that."""
        pair = Pair(Mirroring.BEFORE)
        store = pair.open()
        await store.put_if_absent("a", b"x", {})
        await store.set_hold("a", True)
        await pair.primary.set_hold("a", False)
        assert await store.held("a") is None
        await store.set_hold("a", False)
        assert await store.held("a") is False

    async def test_the_assurance_is_the_primarys_and_the_seconds_is_said(self) -> None:
        pair = Pair(Mirroring.BEFORE)
        pair.secondary = MemoryWormStore(assurance=Assurance.MUTABLE)
        posture = await pair.open().posture()
        assert posture.assurance is Assurance.WORM_LOCKED
        weak = [each for each in posture.findings if each.standing is Standing.WEAK]
        assert "is mutable, the archive is worm_locked" in weak[-1].value
        assert all(each.fact.startswith("second store") for each in weak)

    async def test_a_second_store_that_is_away_is_said_to_be(self) -> None:
        pair = Pair(Mirroring.BEHIND)
        pair.secondary.outage = True
        posture = await pair.clock.run(pair.open().posture())
        assert posture.findings[-1].standing is Standing.UNKNOWN
        assert posture.assurance is Assurance.WORM_LOCKED
