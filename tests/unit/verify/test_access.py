"""V23: journals against the log's lines, good ones, and every way to make them bad."""

from __future__ import annotations

import asyncio

import pytest

from audit_stream.evidence.access import AccessLine, JournalHead
from audit_stream.verify.archive import ArchiveVerifier
from audit_stream.verify.log import LogVerifier
from audit_stream.verify.report import LogReport
from tests.support.access import JOURNAL, chained, entry, part
from tests.support.chains import TRUSTED
from tests.support.logs import SIGNER, WrittenLog

Objects = dict[str, bytes]
PARTS = chained(4)


async def _made() -> Objects:
    log = WrittenLog()
    for each in PARTS:
        await log.store.put_if_absent(each.name, each.encode(), {})
        if each.number in (1, 2):
            await log.grow(1)
    return {name: await log.store.get(name) or b"" for name in await log.store.names("")}


@pytest.fixture(scope="module")
def good() -> Objects:
    return asyncio.run(_made())


def judged(objects: Objects) -> LogReport:
    archive = ArchiveVerifier(objects, objects.get, TRUSTED)
    archive.run()
    names = archive.log_names
    return LogVerifier(names, objects.get, SIGNER.key, archive.leaves).run()


def told(objects: Objects) -> dict[str, str]:
    report = judged(objects)
    assert {problem.step for problem in report.problems} <= {"V23"}
    return {problem.name: problem.what for problem in reversed(report.problems)}


def test_good_journals_pass_also_what_is_newer_than_the_log(good: Objects) -> None:
    assert PARTS[3].name in good
    assert told(good) == {}
    assert judged(good).notes == []


@pytest.mark.parametrize("number", range(4))
def test_a_part_that_was_changed_shows(good: Objects, number: int) -> None:
    name = PARTS[number].name
    found = told({**good, name: good[name].replace(b'"status":200', b'"status":404')})
    assert found[name] == "does not have the header of its entries"


@pytest.mark.parametrize("number", range(3))
def test_a_part_that_was_taken_away_shows(good: Objects, number: int) -> None:
    found = told({name: data for name, data in good.items() if name != PARTS[number].name})
    assert PARTS[min(number + 1, 3)].name in found


def test_the_newest_logged_part_taken_away_shows_even_without_a_later_one(good: Objects) -> None:
    gone = {PARTS[2].name, PARTS[3].name}
    found = told({name: data for name, data in good.items() if name not in gone})
    assert found == {PARTS[2].name: "is logged, and is missing or another here"}


def test_a_whole_other_history_shows(good: Objects) -> None:
    other = dict(good)
    before = None
    for number in range(4):
        forged = part(number, entry(f"other{number}"), prev=before)
        other[forged.name], before = forged.encode(), forged.leaf
    assert set(told(other)) == {PARTS[1].name, PARTS[2].name}


def test_a_part_of_another_archive_or_place_shows(good: Objects) -> None:
    name = PARTS[3].name
    for data in (PARTS[2].encode(), good[name].replace(b"chains", b"chainz")):
        assert name in told({**good, name: data})


def test_a_newer_part_that_follows_another_one_shows(good: Objects) -> None:
    name = PARTS[3].name
    for prev in (None, PARTS[1].leaf):
        found = told({**good, name: part(3, entry("m3"), prev=prev).encode()})
        assert found == {name: "does not follow the part before it"}


def test_a_part_behind_a_hole_shows_though_it_says_it_is_the_first(good: Objects) -> None:
    forged = part(7, entry("m7"))
    assert told({**good, forged.name: forged.encode()}) == {
        forged.name: "does not follow the part before it"
    }


def test_a_log_that_forgets_parts_is_wrong() -> None:
    from audit_stream.verify.access import access_problems

    objects = {each.name: each.encode() for each in PARTS}
    lines = [AccessLine({JOURNAL: JournalHead(next_, PARTS[next_ - 1].leaf)}) for next_ in (3, 2)]
    archive = PARTS[0].archive
    assert not list(access_problems(objects, objects.get, archive, lines[:1]))
    (problem,) = access_problems(objects, objects.get, archive, lines)
    assert problem.what == "is logged, and a later line has fewer parts"
    (problem,) = access_problems(objects, objects.get, archive, [lines[0], AccessLine({})])
    assert problem.what == "is logged, and a later line has fewer parts"


def test_a_newer_version_is_not_judged(good: Objects) -> None:
    name = PARTS[0].name
    data = good[name].replace(b"audit-journal/1", b"audit-journal/9")
    report = judged({**good, name: data})
    assert [problem.step for problem in report.unknown] == ["V23"]
    assert report.problems == []
