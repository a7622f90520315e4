"""V25: registers by themselves and against the log, good ones, and every way to make them bad."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from audit_stream.errors import FormatError
from audit_stream.evidence.batch import Leaf
from audit_stream.evidence.canonical import canonical, parse_line
from audit_stream.evidence.hold import Action, HoldEntry, Kind, Scope
from audit_stream.evidence.key_line import KeyLine, Use
from audit_stream.evidence.register import Entry, Register, RegisterHead, decode_entry
from audit_stream.evidence.signing import LineSigner, TrustedKeys
from audit_stream.verify.archive import ArchiveVerifier
from audit_stream.verify.log import LogVerifier
from audit_stream.verify.register import LoggedRegisters
from audit_stream.verify.report import Report, Verdict
from tests.campaigns.tampering import refit
from tests.support.chains import SIGNER, TRUSTED, ChainMaker, stream_of
from tests.support.logs import SIGNER as LOG
from tests.support.logs import WrittenLog
from tests.support.registers import at, chained, hold, put, put_certificates, redaction

Objects = dict[str, bytes]
REDACTIONS, HOLDS = Register.REDACTIONS, Register.HOLDS
NAMES = [REDACTIONS.entry_name(number) for number in range(5)]
STRANGER = LineSigner(b"\x77" * 32)


async def _made() -> tuple[Objects, list[Entry]]:
    """Four certificates and a hold, logged in two batches; and a certificate that is newer."""
    log = WrittenLog()
    await ChainMaker(log.store, stream_of("t")).found()
    entries = await put_certificates(log.store, 2)
    await put(log.store, HOLDS, hold().said())
    await log.grow(1)
    entries += await put_certificates(log.store, 2, start=2)
    await log.grow(1)
    entries += await put_certificates(log.store, 1, start=4)
    names = await log.store.names("")
    return {name: await log.store.get(name) or b"" for name in names}, entries


@pytest.fixture(scope="module")
def made() -> tuple[Objects, list[Entry]]:
    return asyncio.run(_made())


@pytest.fixture
def good(made: tuple[Objects, list[Entry]]) -> Objects:
    return dict(made[0])


@pytest.fixture
def entries(made: tuple[Objects, list[Entry]]) -> list[Entry]:
    return made[1]


def judged(objects: Objects, keys: TrustedKeys = TRUSTED) -> Report:
    archive = ArchiveVerifier(objects, objects.get, keys)
    for _ in archive.run():
        pass
    log = LogVerifier(archive.log_names, objects.get, LOG.key, archive.leaves).run()
    return archive.report.with_log(log)


def told(objects: Objects) -> set[tuple[str, str]]:
    """Step and name of all that is wrong."""
    return {(problem.step, problem.name) for problem in judged(objects).problems}


def signed(entry: Entry, signer: LineSigner = SIGNER) -> Objects:
    return {entry.name: entry.encode(signer)}


def test_good_registers_pass_also_what_is_newer_than_the_log(good: Objects) -> None:
    report = judged(good)
    assert (report.problems, report.verdict) == ([], Verdict.VERIFIED)
    assert list(report.notes) == ["V18: 1 objects are newer than the log's last batch"]


def test_registers_are_judged_without_a_log_too(good: Objects) -> None:
    objects = {name: data for name, data in good.items() if not name.startswith("log/")}
    del objects[NAMES[1]]
    archive = ArchiveVerifier(objects, objects.get, TRUSTED)
    assert [*archive.run()] == []
    assert [str(problem) for problem in archive.report.problems] == [
        f"V25 {NAMES[1]}: is missing, and {NAMES[2]} stands behind it"
    ]


@pytest.mark.parametrize("number", range(4))
def test_an_entry_that_was_taken_away_shows(good: Objects, number: int) -> None:
    del good[NAMES[number]]
    assert told(good) == {("V17", NAMES[number]), ("V25", NAMES[number])}


def test_the_end_cut_off_shows_as_far_as_it_was_logged(good: Objects) -> None:
    del good[NAMES[4]]
    assert told(good) == set()  # the log has nothing of it yet
    del good[NAMES[3]]
    assert told(good) == {("V17", NAMES[3])}
    del good[HOLDS.entry_name(0)]
    assert told(good) == {("V17", NAMES[3]), ("V17", HOLDS.entry_name(0))}


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("line", [0, 1])
def test_a_bit_changed_shows(good: Objects, number: int, line: int) -> None:
    lines = good[NAMES[number]].split(b"\n")
    lines[line] = lines[line][:30] + bytes((lines[line][30] ^ 1,)) + lines[line][31:]
    good[NAMES[number]] = b"\n".join(lines)
    found = told(good)
    assert ("V17", NAMES[number]) in found
    assert ("V25", NAMES[number + 1]) in found


def test_an_entry_written_anew_by_the_archives_key_shows(
    good: Objects, entries: list[Entry]
) -> None:
    said = redaction(1, count=7).said()
    found = told({**good, **signed(replace(entries[1], said=said))})
    assert found == {("V17", NAMES[1]), ("V25", NAMES[2])}


def test_a_whole_other_chain_shows_against_the_log(good: Objects) -> None:
    others = chained(REDACTIONS, *(redaction(number, count=9).said() for number in range(5)))
    for each in others:
        good |= signed(each)
    assert told(good) == {("V17", name) for name in NAMES[:4]}


@pytest.mark.parametrize("kid", [SIGNER.kid, STRANGER.kid])
def test_an_entry_signed_by_another_key_shows(
    good: Objects, entries: list[Entry], kid: str
) -> None:
    found = told({**good, **signed(replace(entries[1], kid=kid), STRANGER)})
    assert {("V17", NAMES[1]), ("V25", NAMES[2])} <= found


def test_an_entry_that_names_another_trusted_key_than_its_signers_shows(
    good: Objects, entries: list[Entry]
) -> None:
    objects = {**good, **signed(replace(entries[4], kid=STRANGER.kid))}
    report = judged(objects, TrustedKeys(SIGNER.public, STRANGER.public))
    assert [str(each) for each in report.problems] == [
        f"V25 {NAMES[4]}: is not signed by the key it names"
    ]


def test_an_entry_under_another_number_shows(good: Objects) -> None:
    good[NAMES[1]], good[NAMES[2]] = good[NAMES[2]], good[NAMES[1]]
    assert {("V25", NAMES[1]), ("V25", NAMES[2])} <= told(good)


def test_a_copy_of_an_entry_further_on_shows(good: Objects) -> None:
    name = REDACTIONS.entry_name(9)
    good[name] = good[NAMES[1]]
    assert told(good) == {("V25", name)}


def test_another_archives_entry_shows(good: Objects, entries: list[Entry]) -> None:
    foreign = replace(entries[4], archive="audit.example/other")
    assert told({**good, **signed(foreign)}) == {("V25", NAMES[4])}


def test_an_entry_behind_a_free_number_shows(good: Objects, entries: list[Entry]) -> None:
    (far,) = chained(REDACTIONS, redaction(7).said(), begin=RegisterHead(7, entries[4].leaf))
    for junk in (Objects(), {REDACTIONS.entry_name(6): b"junk"}):
        found = told({**good, **junk, **signed(far)})
        assert found == {("V25", REDACTIONS.entry_name(5))}


def test_a_log_never_steps_back_in_a_register() -> None:
    (first,) = chained(HOLDS, {"a": 1}, begin=RegisterHead(5, bytes(32)))
    (back,) = chained(HOLDS, {"a": 2}, begin=RegisterHead(3, first.leaf))
    logged = LoggedRegisters(first.archive)
    logged.take(Leaf(first.line(), first.name), HOLDS, 5)
    assert logged.take(Leaf(back.line(), back.name), HOLDS, 3) == (SIGNER.kid, False)
    with pytest.raises(FormatError, match="no entry of this archive"):
        logged.take(Leaf(back.line(), back.name), HOLDS, 6)


@pytest.mark.parametrize(
    "changes", [{"count": -1}, {"executed_at": "today"}, {"epochs": [1, 3]}, {"commitment": "x"}]
)
def test_a_certificate_with_other_members_than_its_kinds_shows(
    good: Objects, entries: list[Entry], changes: dict[str, object]
) -> None:
    bad = replace(entries[4], said=redaction(4).said() | changes)
    assert told({**good, **signed(bad)}) == {("V25", NAMES[4])}


@pytest.mark.parametrize(
    "changes", [{"matter": "Jane Doe"}, {"approved_by": "counsel"}, {"action": "kept"}, {"more": 1}]
)
def test_a_hold_with_other_members_than_its_kinds_shows(
    good: Objects, changes: dict[str, object]
) -> None:
    first = decode_entry(good[HOLDS.entry_name(0)], HOLDS.entry_name(0))
    (bad,) = chained(HOLDS, hold(1).said() | changes, begin=first.head)
    assert told({**good, **signed(bad)}) == {("V25", bad.name)}


def test_a_certificate_that_takes_back_what_one_before_said_shows(
    good: Objects, entries: list[Entry]
) -> None:
    for changes in ({"epochs": [0, 1]}, {"executed_at": at(0)}):
        bad = replace(entries[4], said=redaction(4).said() | changes)
        assert told({**good, **signed(bad)}) == {("V25", NAMES[4])}


RELEASE = {"action": Action.RELEASED, "reason": "END-1"}


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ([hold(0, **RELEASE)], []),
        ([hold(0, **RELEASE), hold(0, **RELEASE)], [2]),
        ([hold(1, **RELEASE)], [1]),  # nobody declared it
        ([hold(0, matter="LIT-2", **RELEASE)], [1]),
        ([hold(0, scope=Scope(kind=Kind.MESSAGE, values=("m-2",)), **RELEASE)], [1]),
        ([hold(0, **RELEASE), hold(0)], [2]),
        ([hold(1), hold(1), hold(1, **RELEASE)], []),  # declared anew, as a lost one is
        ([hold(1), hold(1, matter="LIT-2")], [2]),
    ],
)
def test_a_hold_is_released_once_and_as_it_was_declared(
    good: Objects, said: list[HoldEntry], wrong: list[int]
) -> None:
    first = decode_entry(good[HOLDS.entry_name(0)], HOLDS.entry_name(0))
    for each in chained(HOLDS, *(one.said() for one in said), begin=first.head):
        good |= signed(each)
    assert told(good) == {("V25", HOLDS.entry_name(number)) for number in wrong}


@pytest.mark.parametrize("data", [b"junk", b"stranger's"])
def test_junk_is_noted_and_takes_up_its_number(
    good: Objects, entries: list[Entry], data: bytes
) -> None:
    junk = chained(REDACTIONS, redaction(5).said(), begin=entries[4].head)[0]
    good[junk.name] = data if data == b"junk" else junk.encode(STRANGER)
    good |= signed(
        chained(REDACTIONS, redaction(6).said(), begin=RegisterHead(6, entries[4].leaf))[0]
    )
    far = REDACTIONS.entry_name(10**20 - 1)
    good[far] = b"junk"
    report = judged(good)
    assert report.verdict is Verdict.VERIFIED
    assert [note.partition(":")[0] for note in report.notes] == [
        f"V25 {junk.name}", f"V25 {far}", "V18"
    ]  # fmt: skip


def test_a_newer_version_is_not_judged_if_a_trusted_key_signed_it(good: Objects) -> None:
    line = good[NAMES[4]].split(b"\n")[0].replace(b"audit-redaction/1", b"audit-redaction/2")
    good[NAMES[4]] = line + b"\n" + SIGNER.signature_line(line) + b"\n"
    report = judged(good)
    assert [(each.step, each.name) for each in report.unknown] == [("V25", NAMES[4])]
    assert (report.problems, report.verdict) == ([], Verdict.CANNOT_JUDGE)
    good[NAMES[4]] = line + b"\n" + STRANGER.signature_line(line) + b"\n"
    assert judged(good).verdict is Verdict.VERIFIED  # junk


def _relogged(objects: Objects, change: object) -> Objects:
    """The log, signed by its own key, with other leaves."""
    for name in sorted(name for name in objects if name.startswith("log/")):
        whole = parse_line(objects[name][:-1], name)
        whole["leaves"] = change(whole["leaves"])  # type: ignore[operator]
        objects = {**objects, name: canonical(whole) + b"\n"}
    return refit.log(objects, LOG)


def test_a_log_that_has_an_entry_twice_is_wrong(good: Objects) -> None:
    def twice(leaves: list[dict[str, object]]) -> list[dict[str, object]]:
        first = [leaf for leaf in leaves if leaf["name"] == NAMES[0]]
        return [*first, *leaves]

    assert ("V18", NAMES[0]) in told(_relogged(good, twice))


def test_a_log_that_left_an_entry_out_is_wrong(good: Objects) -> None:
    def without(leaves: list[dict[str, object]]) -> list[dict[str, object]]:
        return [leaf for leaf in leaves if leaf["name"] != NAMES[2]]

    assert told(_relogged(good, without)) == {("V18", NAMES[2]), ("V18", NAMES[3])}


def test_a_log_that_has_entries_in_another_order_is_wrong(good: Objects) -> None:
    def reordered(leaves: list[dict[str, object]]) -> list[dict[str, object]]:
        places = [at for at, leaf in enumerate(leaves) if str(leaf["name"]) in NAMES]
        if len(places) == 2:
            one, two = places
            leaves[one], leaves[two] = leaves[two], leaves[one]
        return leaves

    assert {("V18", NAMES[0]), ("V18", NAMES[1])} <= told(_relogged(good, reordered))


def test_a_digest_that_says_another_end_of_a_register_is_wrong(good: Objects) -> None:
    def changed(leaves: list[dict[str, object]]) -> list[dict[str, object]]:
        digest = parse_line(str(leaves[-1]["line"]).encode(), "it")
        digest["registers"]["redactions"]["next"] += 1
        line = canonical(digest)
        return [*leaves[:-1], {"hash": "", "line": line.decode(), "name": None}]

    assert {step for step, _ in told(_relogged(good, changed))} == {"V19"}


def test_an_entry_whose_key_does_not_count_at_its_place_is_wrong(good: Objects) -> None:
    """V24, as of segments: the log announces another segment key than the one that signed."""
    log_key = LineSigner(b"\x22" * 32)
    uses: list[tuple[Use, bytes]] = [("log", log_key.public), ("segment", STRANGER.public)]
    lines = [
        KeyLine(archive=LOG.key.name, not_before_size=0, public=public, reason="made", use=use)
        for use, public in uses
    ]
    said = [each.signed(log_key).line().decode() for each in lines]

    def announced(leaves: list[dict[str, object]]) -> list[dict[str, object]]:
        first = any(leaf["name"] == NAMES[0] for leaf in leaves)
        return [*({"hash": "", "line": line, "name": None} for line in said if first), *leaves]

    found = told(_relogged(good, announced))
    assert {("V24", name) for name in (*NAMES[:4], HOLDS.entry_name(0))} < found


def test_junk_beside_entries_stays_unknown() -> None:
    objects = {"holds/notes.txt": b"x", "holdings/1.json": b"x",
               "disposals/1.json": b"x"}  # fmt: skip
    archive = ArchiveVerifier(objects, objects.get, TRUSTED)
    assert [note.partition(":")[0] for note in archive.report.notes] == [
        f"V0 {name}" for name in objects
    ]
