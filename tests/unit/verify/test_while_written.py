"""An archive that is written while `verify` lists it: what is newer is no fault."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import takewhile

import pytest

from audit_stream.cli.verify import archive_verifier, with_log
from audit_stream.evidence import layout
from audit_stream.evidence.layout import SegmentName
from audit_stream.evidence.log_names import LOG_FOLDER
from audit_stream.evidence.register import Register
from audit_stream.ports import WormStore
from audit_stream.stores.blocking import open_reader
from audit_stream.stores.memory import MemoryWormStore
from audit_stream.stores.routed import RoutedStore
from audit_stream.verify.part import Part, parse_part
from audit_stream.verify.report import Report, Verdict
from tests.support.access import chained
from tests.support.chains import TRUSTED, ChainMaker, stream_of
from tests.support.logs import SIGNER, WrittenLog
from tests.support.registers import hold, put, put_certificates

PARTS = chained(2)


class Listed(MemoryWormStore):
    """Lists page by page, as an object store does: `meanwhile` runs, once, behind the page with
    the last name of the log."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        found = await super().names(prefix, after=after, limit=limit)
        behind = f"{LOG_FOLDER}~"
        if limit is not None or not LOG_FOLDER.startswith(prefix) or self.meanwhile is None:
            return found
        meanwhile, self.meanwhile = self.meanwhile, None
        await asyncio.sleep(0.01)  # whoever was asked at the same time has answered
        await meanwhile()
        first = takewhile(lambda name: name < behind, found)
        return [*first, *await super().names(prefix, after=max(after, behind))]


async def write(store: WormStore, maker: ChainMaker, number: int) -> None:
    """Segments, a part of a journal and entries of registers; then a notary logs them."""
    for _ in range(256 if number else 4):
        await maker.add(0)
    await store.put_if_absent(PARTS[number].name, PARTS[number].encode(), {})
    await put(store, Register.HOLDS, hold(number).said())
    await put_certificates(store, 1, start=number)
    log = WrittenLog(store=store)  # type: ignore[arg-type]
    await log.resume()
    await log.grow(1)
    assert not log.alarmed


def verified(store: WormStore) -> Report:
    with open_reader(store) as reader:
        verifier = archive_verifier(reader, TRUSTED, Part())
        for _ in verifier.run():
            pass
        return with_log(verifier, reader, Part(), SIGNER.key)


def in_one(main: MemoryWormStore) -> WormStore:
    return main


def in_two(main: MemoryWormStore) -> WormStore:
    return RoutedStore(main, {"CALLS": MemoryWormStore()}, lambda topic: "CALLS")


@pytest.mark.parametrize("around", [in_one, in_two])
def test_what_is_logged_while_the_names_are_asked_for_is_no_fault(
    around: Callable[[MemoryWormStore], WormStore],
) -> None:
    main = Listed()
    store, maker = around(main), ChainMaker(main, stream_of("t"))
    maker.store = store

    async def begin() -> None:
        await maker.found()
        await write(store, maker, 0)

    asyncio.run(begin())
    main.meanwhile = lambda: write(store, maker, 1)
    found = verified(store)
    assert [str(problem) for problem in found.problems] == []
    assert found.verdict is Verdict.VERIFIED
    assert found.log is not None
    assert found.log.newer == 256 + 2
    assert "tile/0/000" in main.objects


@pytest.mark.parametrize("text", ["", "t", "t/0"])
def test_what_is_disposed_of_meanwhile_has_its_certificate_and_its_header(text: str) -> None:
    part, gone = parse_part(text), SegmentName("t", 1, 0, 0)
    certificate, kept = Register.DISPOSALS.entry_name(0), layout.disposed_name(gone)
    there = {"streams/t/00001.json", str(gone), "log/x", "tile/x"}

    def listed(prefix: str) -> list[str]:
        """Right before the first page with segments, which is behind that of disposals."""
        before = sorted(there)
        if "segments/".startswith(prefix) or prefix.startswith("segments/"):
            there.update((certificate, kept))
            there.discard(str(gone))
        names = {*(name for name in before if name < "segments/"),
                 *(name for name in there if name >= "segments/")}  # fmt: skip
        return sorted(name for name in names if name.startswith(prefix))

    assert part is not None
    assert {certificate, kept} <= {*part.names(listed)}


def test_each_name_is_given_once_and_none_of_the_log_that_came_later() -> None:
    there = ["disposals/x", "disposed/x", "log/1", "streams/t/00001.json", "tile/0", "x"]

    def listed(prefix: str) -> list[str]:
        newer = [] if prefix else ["anchor/9", "log/9", "tile/9"]
        return [name for name in sorted([*there, *newer]) if name.startswith(prefix)]

    assert sorted(Part().names(listed)) == there
