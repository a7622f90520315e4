"""Bundles of messages of which earlier statuses were disposed of: they hold by the certificate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from audit_stream.bundle.build import build_bundle
from audit_stream.bundle.facts import BundleFacts
from audit_stream.bundle.messages import Collector
from audit_stream.errors import FormatError
from audit_stream.evidence import layout
from audit_stream.evidence.log_names import anchor_name
from audit_stream.index.lookup import Message
from audit_stream.notary.log import ArchiveLog
from audit_stream.stores.disposal.memory import MemoryDisposer
from audit_stream.stores.memory_subjects import MemorySubjectStore
from tests.campaigns.tampering.bundles import Brought, verifiers
from tests.support import bundles, golden, tampering
from tests.support.bundles import WITNESS_KEY, cosignature, told
from tests.support.disposing import LATER_MS, LOG, Scene, keyring_in, memory_store
from tests.support.indexing import Asking, Key, by_message, golden_archive
from tests.support.resealed import MESSAGES

POLICY = f"log {LOG.key}\nwitness auditor {WITNESS_KEY}\nquorum auditor\n"
LOG_ALONE = f"log {LOG.key}\nquorum none\n"


@dataclass
class Office:
    """An archive that is disposed of bit by bit, and who exports from it."""

    scene: Scene
    asking: Asking

    async def dispose(self, *bases: int) -> None:
        """Of these segments of messages."""

        def held(name: str) -> list[str]:
            place = layout.parse_segment_name(name)
            assert place is not None
            return [] if place.topic == MESSAGES and place.base in bases else ["h-1"]

        self.scene.held = lambda _: ()
        await self.scene.approved()
        self.scene.held = held
        [carried] = await self.scene.run()
        assert carried.removed == len(bases)

    async def logged(self) -> None:
        """What was certified, and a witness has seen it."""
        await self.scene.notarise()
        head = await ArchiveLog(self.scene.store, LOG.key).head()
        assert head is not None
        note = head.note.with_signatures([cosignature(head.note.text)])
        name = anchor_name(head.size, "auditor.note")
        await self.scene.store.put_if_absent(name, note.encode(), {})

    async def message(self, key: Key) -> Message:
        (found,) = await self.asking.lookup.by_message(*key)
        return found

    async def export(self, *keys: Key) -> BundleFacts:
        collector = Collector(
            store=self.scene.store, log=ArchiveLog(self.scene.store, LOG.key),
            segment_keys=golden.trusted().publics,
        )  # fmt: skip
        found = [await self.message(key) for key in keys]
        return await collector.collect(found, bundles.CUSTODY)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    store, subjects = memory_store(), MemorySubjectStore()
    scene = Scene(store, subjects, MemoryDisposer(store), keyring_in(tmp_path), store.move_clock)
    await scene.fill(golden.archive_objects())
    (tmp_path / "index").mkdir()
    asking = Asking(golden_archive(store, subjects), tmp_path / "index")
    await asking.catch_up()
    await scene.at(LATER_MS)
    yield Office(scene, asking)
    asking.index.close()


def base_of(source: str) -> int:
    """Of the segment of messages; each has 60 offsets."""
    return int(source.rpartition("/")[2]) // 60 * 60


def over_two() -> Iterator[tuple[Key, list[int]]]:
    """Messages of two revisions in two segments, and the bases of these."""
    for key, sources in by_message().items():
        bases = [base_of(each) for each in sources if each.startswith(f"{MESSAGES}/")]
        if len(sources) == len(set(bases)) == 2:
            yield key, bases


async def test_the_first_status_was_disposed_of(office: Office, tmp_path: Path) -> None:
    key, (first, _) = next(over_two())
    await office.dispose(first)
    await office.logged()
    assert (await office.scene.verified()).problems == []
    facts = await office.export(key)
    assert [each.pub["revision"] for each in facts.records] == [2]
    data = build_bundle(facts)
    files = tampering.unpack(data)
    assert [name for name in files if name.startswith("certificates/")] == [
        "certificates/disposals.0.json", "certificates/disposals.0.tlog-proof"]  # fmt: skip
    assert b"certificates/disposals.0.json" in files["report.html"]
    assert tampering.judged(data, POLICY).verdict == "WITNESSED"
    assert tampering.judged(data, LOG_ALONE).verdict == "UNANCHORED"
    assert "'disposal_id': 'dc-" in told(data, tmp_path, policy=POLICY)


async def test_without_the_certificate_it_is_missing(office: Office) -> None:
    key, (first, _) = next(over_two())
    await office.dispose(first)
    await office.logged()
    facts = await office.export(key)
    found = tampering.judged(build_bundle(replace(facts, disposals=())), POLICY)
    assert found.verdict == "INVALID"
    assert {step for step, state, _ in found.results if state == "FAILED"} == {8}


async def test_each_gap_needs_the_certificate_that_covers_it(office: Office) -> None:
    """Only those are packed, though another one stands between them."""
    found = {tuple(bases): key for key, bases in over_two()}
    for base in (0, 240, 120):
        await office.dispose(base)
        await office.logged()
    facts = await office.export(found[0, 60], found[120, 180])
    assert [each.key for each in facts.disposals] == ["disposals.0", "disposals.2"]
    assert tampering.judged(build_bundle(facts), POLICY).verdict == "WITNESSED"
    for each in facts.disposals:
        judged = tampering.judged(build_bundle(replace(facts, disposals=[each])), POLICY)
        assert judged.verdict == "INVALID"


async def test_until_the_certificate_is_logged_there_is_no_bundle(office: Office) -> None:
    key, (first, _) = next(over_two())
    await office.dispose(first)
    with pytest.raises(FormatError, match="not in the archive log yet"):
        await office.export(key)


async def test_what_is_missing_and_was_not_disposed_of_is_refused(office: Office) -> None:
    key, _ = next(over_two())
    whole = await office.message(key)
    collector = Collector(
        store=office.scene.store, log=ArchiveLog(office.scene.store, LOG.key),
        segment_keys=golden.trusted().publics,
    )  # fmt: skip
    cut = replace(whole, revisions=whole.revisions[1:])
    with pytest.raises(FormatError, match="is missing, and was not disposed of"):
        await collector.collect([cut], bundles.CUSTODY)


async def test_the_page_judges_it_as_the_program_does(office: Office) -> None:
    key, (first, _) = next(over_two())
    await office.dispose(first)
    await office.logged()
    facts = await office.export(key)
    brought = Brought(POLICY, kept=facts.checkpoint, answers=b"")
    async with verifiers() as both:
        for shown, verdict in ((facts.disposals, "WITNESSED"), ((), "INVALID")):
            found = await both.judge(build_bundle(replace(facts, disposals=shown)), brought)
            assert (found.program, found.page) == (verdict, verdict)
