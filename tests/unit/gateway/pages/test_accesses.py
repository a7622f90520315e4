"""The access log: all of it, the newest first, of every gateway, and only as it was sealed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit_stream.evidence.access import JournalPart, decode_part
from audit_stream.evidence.encoding import b64u
from audit_stream.gateway.journal import Journal
from audit_stream.gateway.pages import accesses
from audit_stream.gateway.sealing import drain
from audit_stream.stores.file import FileStore
from tests.support.access import members
from tests.support.asking import serving
from tests.support.eventually import until
from tests.support.sample import NAME, make_sample
from tests.support.visiting import Visitor, tags, text_of
from tests.unit.gateway.conftest import log_all
from tests.unit.gateway.pages.conftest import Site

HOUR = "2026-01-01T{:02d}:{:02d}:00.000Z"


async def other_gateway(folder: Path, store: FileStore, start: int) -> None:
    """Another journal in the archive: 40 entries in parts of 8."""
    async with Journal(folder, NAME) as journal:
        for number in range(40):
            entry = members(f"m{number}") | {
                "caller": f"gw{start}-{number:02d}", "time": HOUR.format(number // 2, start),
            }  # fmt: skip
            await journal.record(entry)
            if number % 8 == 7:
                await journal.roll()
    await drain(folder, store)


async def _make(folder: Path) -> Any:
    """One journal is in the log, the other not yet."""
    sample = await make_sample(folder, days=3, flawed=False)
    await other_gateway(folder / "other-1", sample.store, 1)
    await log_all(sample.settings)
    await other_gateway(folder / "other-2", sample.store, 2)
    return sample


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A gateway that seals each fifth of a second, beside two others' journals."""
    sample = asyncio.run(_make(tmp_path))
    settings = sample.settings.model_copy(update={"journal_seal_seconds": 0.2})
    with serving(settings) as asked:
        found = Site(asked, sample)
        yield found
        for each in found.visitors:
            each.client.close()


def rows(visitor: Visitor) -> list[str]:
    """Every row of every page, one after the other."""
    found: list[str] = []
    path: str | None = "/access"
    while path:
        page = visitor.get(path)
        assert page.status_code == 200, page.text
        body = page.text.partition("<tbody>")[2].partition("</tbody>")[0]
        found += [row for row in body.split("<tr>") if "<td>" in row]
        onward = [a["href"] or "" for t, a in tags(page) if t == "a" and "cursor" in str(a)]
        path = onward[0] if onward else None
    return found


def test_every_entry_is_there_once_newest_first(site: Site) -> None:
    visitor = site.signed_in()
    for number in range(60):
        visitor.client.get("/report")
        if number % 20 == 0:
            until(lambda: len(list(site.asked.settings.journal_dir.glob("part-*"))) < 2)  # sealed
    found = rows(visitor)
    callers = Counter(
        caller for row in found for caller in [row.partition("<code>")[2].partition("<")[0]]
    )
    assert {f"gw{s}-{n:02d}": 1 for s in (1, 2) for n in range(40)}.items() <= callers.items()
    views = sum("<td>report</td>" in row for row in found)
    assert views == 60
    others = [row.partition("<code>")[2][:6] for row in found if "<code>gw" in row]
    wanted = sorted(
        ((HOUR.format(n // 2, s), -n, f"gw{s}-{n:02d}") for s in (1, 2) for n in range(40)),
        key=lambda each: (each[0], -each[1]), reverse=True,
    )  # fmt: skip
    assert others == [each[2] for each in wanted]


def others_parts(site: Site) -> list[Path]:
    """The parts of one journal that is not the asked gateway's own, in order."""
    folder = site.sample.settings.archive_path / "access"
    first = next(p for p in folder.glob("*/*.ndjson") if b'"caller":"gw1' in p.read_bytes())
    return sorted(folder.glob(f"*/{first.name}"))


def resealed(data: bytes) -> bytes:
    """Another history with a header that fits it."""
    part = decode_part(data, "x")
    entries = [each.replace(b'"found":1', b'"found":2') for each in part.entries]
    return replace(part, entries=entries).encode()


def test_a_part_that_was_changed_or_taken_away_is_told(site: Site) -> None:
    visitor = site.signed_in()
    assert "gw1-39" in visitor.get("/access").text
    parts = others_parts(site)
    middle = parts[len(parts) // 2]
    kept = middle.read_bytes()
    middle.chmod(0o600)
    answers = []
    for forged in (kept.replace(b'"found":1', b'"found":2'), resealed(kept), b""):
        middle.write_bytes(forged)
        answers.append(visitor.get("/access"))
    shutil.move(middle, middle.with_suffix(".gone"))
    answers.append(visitor.get("/access"))
    for page in answers:
        assert page.status_code == 409
        assert "not what was archived" in text_of(page)
    assert "is not the part that was sealed" in text_of(answers[1])
    assert "is gone" in text_of(answers[-1])


@pytest.mark.parametrize(
    "cursor",
    [
        b"", b"{}x", b"[]", b'{"a":[1,2]}', b'{"00112233aabbccdd":[0,1]}', b"\xff",
        b'{"00112233aabbccdd":[9007199254740991,1]}', b'{"00112233aabbccdd":1}',
        b'{"00112233aabbccdd":[-1,1]}', b'{"00112233aabbccdd":["0",1]}',
    ],
)  # fmt: skip
def test_a_cursor_leads_nowhere_else(shared: Site, cursor: bytes) -> None:
    visitor = shared.signed_in()
    assert visitor.get("/access", cursor=b64u(cursor)).status_code == 400
    assert visitor.get("/access", cursor="?").status_code == 400


def test_a_cursor_does_not_lead_behind_the_end(shared: Site) -> None:
    visitor = shared.signed_in()
    journal = others_parts(shared)[0].stem
    for number, status in ((0, 200), (4, 200), (6, 400), (1 << 40, 400)):
        cursor = b64u(b'{"%b":[%d,3]}' % (journal.encode(), number))
        assert visitor.get("/access", cursor=cursor).status_code == status


def test_of_too_many_journals_no_link_leads_nowhere(
    shared: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = shared.signed_in()
    assert "/access?cursor=" in visitor.get("/access").text
    monkeypatch.setattr(accesses, "_MOST_JOURNALS", 1)
    page = visitor.get("/access")
    assert "/access?cursor=" not in page.text
    assert "There are older accesses" in text_of(page)


def test_many_journals_are_asked_for_at_once(shared: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The access log of years has those of gateways long gone: their store's delays do not add."""
    waiting, most = 0, 0
    get = FileStore.get

    async def slow(store: FileStore, name: str) -> bytes | None:
        nonlocal waiting, most
        waiting += name.startswith("access/")
        most = max(most, waiting)
        await asyncio.sleep(0.01)
        waiting -= name.startswith("access/")
        return await get(store, name)

    visitor = shared.signed_in()
    monkeypatch.setattr(FileStore, "get", slow)
    assert visitor.get("/access").status_code == 200
    assert most > 1


def test_no_answer_waits_while_parts_are_decoded(
    shared: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_loop = list[bool]()

    def decoded(data: bytes, what: str) -> JournalPart:
        on_the_loop.append(asyncio._get_running_loop() is not None)
        return decode_part(data, what)

    visitor = shared.signed_in()
    monkeypatch.setattr(accesses, "decode_part", decoded)
    assert visitor.get("/access").status_code == 200
    assert on_the_loop
    assert not any(on_the_loop)


async def _backlog(folder: Path) -> Any:
    """The gateway's own journal has twenty parts that wait to be sealed."""
    sample = await make_sample(folder, days=3, flawed=False)
    async with Journal(sample.settings.journal_dir, NAME) as journal:
        for number in range(20 * 20):
            await journal.record(members(f"m{number}"))
            if number % 20 == 19:
                await journal.roll()
    return sample


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Site]:
    sample = asyncio.run(_backlog(tmp_path))
    with serving(sample.settings) as asked:
        found = Site(asked, sample)
        yield found
        for each in found.visitors:
            each.client.close()


def test_of_a_backlog_a_page_reads_what_it_shows(
    behind: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = behind.signed_in()
    read, read_bytes = list[str](), Path.read_bytes

    def counted(path: Path) -> bytes:
        if path.name.startswith("part-"):
            read.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    assert len(rows(visitor)) > 400
    read.clear()
    assert visitor.get("/access").status_code == 200
    assert len(read) <= 5


def test_one_view_is_made_at_a_time(behind: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds a part of every journal."""
    visitor = behind.signed_in()
    both, numbers = threading.Barrier(2), accesses.part_numbers

    def met(folder: Path) -> list[int]:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        return numbers(folder)

    monkeypatch.setattr(accesses, "part_numbers", met)
    with ThreadPoolExecutor(4) as threads:
        views = [threads.submit(visitor.get, "/access") for _ in range(4)]
    assert [each.result().status_code for each in views] == [200] * 4
    assert both.broken


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    sample = asyncio.run(_make(tmp_path_factory.mktemp("shared")))
    with serving(sample.settings) as asked:
        found = Site(asked, sample)
        yield found
        for each in found.visitors:
            each.client.close()
