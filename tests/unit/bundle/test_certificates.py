"""Certificates in a bundle: which can be an erased record's, and that none is there unproven."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from audit_stream.archive.opening import Closed
from audit_stream.bundle.build import build_bundle
from audit_stream.bundle.certificates import MOST_SHOWN, CertificateFinder, Epochs, epochs_of
from audit_stream.bundle.facts import BundleFacts, CertificateFact, Certified
from audit_stream.errors import FormatError
from audit_stream.evidence.register import Entry, Register, RegisterHead
from audit_stream.evidence.signing import LineSigner
from audit_stream.index.lookup import Revision
from audit_stream.stores.memory import MemoryWormStore
from tests.campaigns.tampering.api import Api
from tests.campaigns.tampering.judge import Truth
from tests.campaigns.tampering.scene import POLICY, build, erased
from tests.support import bundles, tampering
from tests.support.bundles import SEGMENT_SIGNER, check, steps, told
from tests.support.chains import NAME, SIGNER, TRUSTED
from tests.support.registers import chained, put, put_certificates, redaction, store_entries

REGISTER = Register.REDACTIONS
STRANGER = LineSigner(b"\x77" * 32)


# -- which they are


class Counting(MemoryWormStore):
    """Counts what is read."""

    read = 0

    async def get(self, name: str) -> bytes | None:
        self.read += 1
        return await super().get(name)


def finder(store: MemoryWormStore) -> CertificateFinder:
    return CertificateFinder(store, TRUSTED, NAME)


async def made(count: int) -> tuple[Counting, RegisterHead]:
    """A register: certificate n led from epoch n to n + 1."""
    store = Counting()
    entries = chained(REGISTER, *(redaction(number).said() for number in range(count)))
    await store_entries(store, *entries)
    return store, entries[-1].head


@pytest.mark.parametrize(
    ("above", "up_to", "numbers"),
    [
        (None, None, range(5)), (0, None, range(5)), (1, None, range(1, 5)), (4, None, [4]),
        (5, None, []), (9, None, []), (None, 0, []), (None, 1, [0]), (None, 3, range(3)),
        (None, 9, range(5)),
    ],
)  # fmt: skip
async def test_those_of_fitting_epochs(
    above: int | None, up_to: int | None, numbers: range | list[int]
) -> None:
    store, head = await made(5)
    found = await finder(store).find(head, Epochs(above=above, up_to=up_to))
    assert [each.number for each in found.entries] == list(numbers)
    assert list(range(found.first, found.next)) == list(numbers)


async def test_of_many_the_newest_are_shown_and_few_are_read() -> None:
    store, head = await made(700)
    found = await finder(store).find(head, Epochs(above=123, up_to=None))
    assert (found.first, found.next) == (123, 700)
    assert [each.number for each in found.entries] == list(range(700 - MOST_SHOWN, 700))
    assert store.read < MOST_SHOWN + 20
    found = await finder(store).find(head, Epochs(above=None, up_to=300))
    assert [each.number for each in found.entries] == list(range(300 - MOST_SHOWN, 300))


async def test_those_of_one_batch_have_the_same_epochs() -> None:
    store = Counting()
    said = [redaction(number, epochs=[number // 4, number // 4 + 1]) for number in range(12)]
    entries = chained(REGISTER, *(each.said() for each in said))
    await store_entries(store, *entries)
    found = await finder(store).find(entries[-1].head, Epochs(above=1, up_to=None))
    assert (found.first, found.next) == (4, 12)
    found = await finder(store).find(entries[-1].head, Epochs(above=None, up_to=2))
    assert (found.first, found.next) == (0, 8)


async def test_only_what_the_checkpoint_has() -> None:
    store, _ = await made(5)
    third = chained(REGISTER, *(redaction(number).said() for number in range(3)))[-1].head
    found = await finder(store).find(third, Epochs(above=0, up_to=None))
    assert [each.number for each in found.entries] == [0, 1, 2]
    nothing = await finder(store).find(None, Epochs(above=0, up_to=None))
    assert (nothing.first, nothing.next, len(nothing.entries)) == (0, 0, 0)


async def test_junk_between_them_is_passed_over() -> None:
    store = Counting()
    entries = await put_certificates(store, 3)
    for number in (3, 4, 5):
        await store.put_if_absent(REGISTER.entry_name(number), b"junk", {})
    entries += await put(store, REGISTER, redaction(3).said(), redaction(4).said())
    for above, numbers in ((0, [0, 1, 2, 6, 7]), (3, [6, 7]), (4, [7]), (5, [])):
        found = await finder(store).find(entries[-1].head, Epochs(above=above, up_to=None))
        assert [each.number for each in found.entries] == numbers


@pytest.mark.parametrize("number", [2, 3, 4])
@pytest.mark.parametrize("how", ["changed", "gone", "signed anew"])
async def test_what_was_tampered_with_is_refused(number: int, how: str) -> None:
    entries = chained(REGISTER, *(redaction(number).said() for number in range(5)))
    store = Counting()
    for each in entries:
        data = each.encode(SIGNER)
        if each.number == number:
            anew = replace(each, said=redaction(number, count=9).said())
            data = {"changed": data.replace(b'"count":1', b'"count":2'), "gone": b"",
                    "signed anew": anew.encode(SIGNER)}[how]  # fmt: skip
        if data:
            await store.put_if_absent(each.name, data, {})
    wanted = [Epochs(above=2, up_to=None)]
    wanted += [Epochs(above=number, up_to=None), Epochs(above=None, up_to=number + 1)]
    for epochs in wanted:
        with pytest.raises(FormatError, match="redactions/"):
            await finder(store).find(entries[-1].head, epochs)


def revision(epoch: int, closed: Closed | None, late: bool = False) -> Revision:
    """As much of one as says whether it is erased, and since when."""
    found = SimpleNamespace(
        closed=closed, header=SimpleNamespace(key_epoch=epoch), record=SimpleNamespace(erased=late)
    )
    return cast("Revision", found)


def test_epochs_of_what_is_erased() -> None:
    erased = Closed.ERASED
    assert epochs_of([revision(3, None), revision(4, Closed.UNLINKED)]) is None
    sealed = [revision(1, None), revision(5, erased), revision(4, erased)]
    assert epochs_of(sealed) == Epochs(above=4, up_to=None)
    late = [revision(7, erased, late=True), revision(6, erased, late=True)]
    assert epochs_of(late) == Epochs(above=None, up_to=7)
    assert epochs_of([*sealed, *late]) == Epochs(above=4, up_to=None)


# -- that they are proven


async def test_a_gateway_exports_them_for_a_message_that_was_erased(tmp_path: Path) -> None:
    """The real one, over an archive whose subject objects were zeroed: the index has the places of
    the certificates' leaves, as of any other object's."""
    scene = await build()
    async with Api(tmp_path) as api:
        subjects = erased(scene.subjects)
        key = next(iter(Truth(scene).messages))
        said = await api.ask(scene.objects, subjects, [key], export=True)
        same = await api.ask(scene.objects, scene.subjects, [key], export=True)
    assert said.bundle is not None
    files = tampering.unpack(said.bundle)
    assert json.loads(files["certificates/range.json"])["shown"] == [1, 2, 3]
    assert b"one of 3, numbers 1 to 3; 3 are in" in files["report.html"]
    found = tampering.judged(said.bundle, POLICY)
    assert found.verdict == "WITNESSED"
    assert sorted(number for _, number in found.certificates) == [1, 2, 3]
    assert same.bundle is not None
    assert not [name for name in tampering.unpack(same.bundle) if name.startswith("certificates/")]


def test_a_good_bundle_has_them_with_their_proofs(facts: BundleFacts, tmp_path: Path) -> None:
    data = build_bundle(facts)
    files = tampering.unpack(data)
    names = [name for name in files if name.startswith("certificates/")]
    assert sorted(names) == [
        "certificates/range.json", "certificates/redactions.1.json",
        "certificates/redactions.1.tlog-proof", "certificates/redactions.2.json",
        "certificates/redactions.2.tlog-proof",
    ]  # fmt: skip
    assert json.loads(files["certificates/range.json"]) == {
        "above": 1, "first": 1, "next": 3, "shown": [1, 2], "up_to": None,
        "v": "audit-certificates/1",
    }  # fmt: skip
    done = check(data, tmp_path, policy=bundles.POLICY)
    assert (done["verdict"], 13 in steps(done, "ok")) == ("WITNESSED", True)
    said = told(data, tmp_path)
    assert "rc-0000000000000001" in said
    assert "'targets': []" in said
    without = check(build_bundle(replace(facts, certificates=None)), tmp_path)
    assert 13 in steps(without, "not checked")


def with_entries(facts: BundleFacts, *shown: CertificateFact) -> bytes:
    assert facts.certificates is not None
    return build_bundle(replace(facts, certificates=replace(facts.certificates, shown=shown)))


def shown(facts: BundleFacts) -> list[CertificateFact]:
    assert isinstance(facts.certificates, Certified)
    return list(facts.certificates.shown)


def signed(fact: CertificateFact, signer: LineSigner, **changes: Any) -> CertificateFact:
    """The certificate with other members, signed."""
    entry: Entry = replace(fact.entry, **changes)
    return replace(fact, entry=entry, stored=entry.encode(signer))


Forge = Callable[[list[CertificateFact]], list[CertificateFact]]
FORGERIES: dict[str, Forge] = {
    "by another key": lambda two: [signed(two[0], STRANGER), two[1]],
    "by another key, which it names": lambda two: [
        two[0], signed(two[1], STRANGER, kid=STRANGER.kid)],
    "another text, by the archive's key": lambda two: [
        two[0], signed(two[1], SEGMENT_SIGNER, said=redaction(2, count=0).said())],
    "of another archive": lambda two: [two[0], signed(two[1], SEGMENT_SIGNER, archive="x")],
    "under another number": lambda two: [
        two[0], replace(two[1], entry=replace(two[1].entry, number=7))],
    "under another register": lambda two: [
        two[0], replace(two[1], entry=replace(two[1].entry, register=Register.HOLDS))],
    "another's proof": lambda two: [two[0], replace(two[1], log_index=two[0].log_index)],
    "another's path": lambda two: [two[0], replace(two[1], log_path=two[0].log_path)],
    "a second signature line": lambda two: [
        two[0], replace(two[1], stored=two[1].stored + b"x")],
}  # fmt: skip


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_certificate_is_found(facts: BundleFacts, how: str) -> None:
    data = with_entries(facts, *FORGERIES[how](shown(facts)))
    found = tampering.judged(data, bundles.POLICY)
    assert found.verdict == "INVALID"
    assert {step for step, state, _ in found.results if state == "FAILED"} == {13}


async def test_one_left_out_between_others_is_found(archive: bundles.Archive,
                                                    facts: BundleFacts) -> None:  # fmt: skip
    every = await bundles.certificates(archive, Epochs(above=0, up_to=None))
    whole = build_bundle(replace(facts, certificates=every))
    assert tampering.judged(whole, bundles.POLICY).verdict == "WITNESSED"
    gap = replace(every, shown=[every.shown[0], every.shown[2]])
    found = tampering.judged(build_bundle(replace(facts, certificates=gap)), bundles.POLICY)
    assert found.verdict == "INVALID"


@pytest.mark.parametrize("part", [".json", ".tlog-proof"])
def test_half_of_one_is_found(facts: BundleFacts, part: str) -> None:
    files = tampering.unpack(build_bundle(facts))
    del files[f"certificates/redactions.2{part}"]
    assert tampering.judged(tampering.remade(files), bundles.POLICY).verdict == "INVALID"


def test_a_key_that_is_put_beside_it_does_not_help(facts: BundleFacts, tmp_path: Path) -> None:
    """Its leaf is another than the log has: a key beside it does not help."""
    beside = replace(facts, segment_keys=[*facts.segment_keys, STRANGER.public])
    forged = FORGERIES["by another key, which it names"](shown(facts))
    done = check(with_entries(beside, *forged), tmp_path, policy=bundles.POLICY)
    assert (done["verdict"], steps(done, "FAILED")) == ("INVALID", {13})


def test_a_newer_certificate_that_is_the_archives_cannot_be_judged(facts: BundleFacts) -> None:
    """Only once its leaf is in the log: otherwise it is invalid, whatever it says it is."""
    (first, _) = shown(facts)
    line = first.entry.line().replace(b"audit-redaction/1", b"audit-redaction/2")
    data = line + b"\n" + SEGMENT_SIGNER.signature_line(line) + b"\n"
    found = tampering.judged(with_entries(facts, replace(first, stored=data)), bundles.POLICY)
    assert found.verdict == "INVALID"


def test_an_entry_of_another_register_is_checked_too(facts: BundleFacts) -> None:
    """Nothing exports holds yet; the format has room for them."""
    (hold,) = chained(Register.HOLDS, {"a": 1}, archive=bundles.NAME, signer=SEGMENT_SIGNER)
    fact = CertificateFact(entry=hold, stored=hold.encode(SEGMENT_SIGNER), log_index=0,
                           log_path=())  # fmt: skip
    found = tampering.judged(with_entries(facts, *shown(facts), fact), bundles.POLICY)
    assert found.verdict == "INVALID"  # it is no leaf of this log
    said = "certificates/holds.0.tlog-proof: a proof is too short"
    assert (13, "FAILED", said) in found.results
