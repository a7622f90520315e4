"""Who holds segment key and log key still cannot sign a record into a place it does not have; who
holds none cannot have anything shown as proven."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit_stream.bundle.build import build_bundle
from audit_stream.bundle.facts import BundleFacts, SegmentFact
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.checkpoint import Checkpoint
from audit_stream.evidence.segment import Header
from audit_stream.evidence.tree import leaf_hash
from tests.support import bundles, tampering
from tests.support.answers import answered, with_answer
from tests.support.bundles import LOG_SIGNER, SEGMENT_SIGNER, check, steps, told
from tests.support.strangers import FORGED, strangers

POLICY = f"log {LOG_SIGNER.key}\nquorum none\n"


def relogged(facts: BundleFacts, line: bytes) -> BundleFacts:
    """One record, whose segment has another header: signed, and the only leaf of a signed log."""
    record = next(each for each in facts.records if each.pub["revision"] == 1)
    segment = SegmentFact(header_line=line, signature_line=SEGMENT_SIGNER.signature_line(line),
                          log_index=0, log_path=())  # fmt: skip
    log = Checkpoint(origin=bundles.NAME, size=1, root=leaf_hash(line))
    return replace(
        facts, records=[replace(record, segment=segment)], anchors={}, certificates=None,
        streams=[each for each in facts.streams if record.segment.header.topic.encode() in each],
        checkpoint=LOG_SIGNER.sign(log.text()).encode(),
    )  # fmt: skip


def header_of(facts: BundleFacts) -> Header:
    return next(each.segment.header for each in facts.records if each.pub["revision"] == 1)


def test_the_same_header_signed_again_is_good(facts: BundleFacts, tmp_path: Path) -> None:
    data = build_bundle(relogged(facts, header_of(facts).line()))
    assert check(data, tmp_path, policy=POLICY)["verdict"] == "UNANCHORED"
    assert steps(check(data, tmp_path, policy=POLICY), "FAILED") == set()


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"ledger": "a"}, 4), ({"base": 1}, 4), ({"partition": 1}, 4), ({"topic": "t"}, 4),
        ({"generation": 2}, 4), ({"root": "0" * 64}, 4), ({"stream": "0" * 32}, 5),
        ({"status_map": "1" * 64}, 5), ({"kid": "0" * 16}, 5), ({"archive": "another"}, 6),
    ],
)  # fmt: skip
def test_a_header_that_does_not_fit_the_record(
    facts: BundleFacts, tmp_path: Path, changes: dict[str, Any], step: int
) -> None:
    done = check(signed(facts, changes), tmp_path, policy=POLICY)
    assert (done["verdict"], steps(done, "FAILED")) == ("INVALID", {step})


def test_a_newer_header_that_is_the_archive_s_cannot_be_judged(
    facts: BundleFacts, tmp_path: Path
) -> None:
    newer = signed(facts, {"v": "audit-segment/2", "more": 1})
    assert check(newer, tmp_path, policy=POLICY)["code"] == 3
    said = told(newer, tmp_path, policy=POLICY)
    assert "Proven" not in said  # there is no record that it could judge
    assert "6 log          not checked  none was reached" in said


def test_a_newer_stream_object_that_is_the_archive_s_cannot_be_judged(
    facts: BundleFacts, tmp_path: Path
) -> None:
    """Its records are shown: they are in the log, whatever it says."""
    (stream,) = relogged(facts, header_of(facts).line()).streams
    line = stream.partition(b"\n")[0].replace(b"audit-stream/1", b"audit-stream/2")
    newer = line + b"\n" + SEGMENT_SIGNER.signature_line(line) + b"\n"
    data = build_bundle(replace(relogged(facts, header_of(facts).line()), streams=[newer]))
    done = check(data, tmp_path, policy=POLICY)
    assert (done["verdict"], steps(done, "UNKNOWN")) == ("CANNOT JUDGE", {5})
    assert "Proven to be in the archive" in told(data, tmp_path, policy=POLICY)


def test_a_signed_answer_about_what_is_newer_is_no_forgery(
    facts: BundleFacts, tmp_path: Path
) -> None:
    newer = tampering.unpack(signed(facts, {"v": "audit-segment/2"}))
    answer = tampering.unpack(with_answer(facts, answered(facts)))
    data = tampering.remade(newer | {
        each: answer[each] for each in ("response.jws", "keys/jwks.json")})  # fmt: skip
    done = check(data, tmp_path, policy=POLICY)
    assert (done["verdict"], steps(done, "UNKNOWN")) == ("CANNOT JUDGE", {4, 9})


def test_a_stranger_has_nothing_shown_as_proven(facts: BundleFacts, tmp_path: Path) -> None:
    """With a checkpoint and a cosignature that are good, and without a key."""
    for each in strangers(build_bundle(facts)):
        done = check(each.data, tmp_path, policy=bundles.POLICY)
        assert done["verdict"] == "INVALID", each.label
        assert steps(done, "FAILED") & {4, 6}, each.label
        said = told(each.data, tmp_path, policy=bundles.POLICY)
        assert "Proven" not in said, each.label
        assert FORGED not in said, each.label
        alone = told(each.data, tmp_path)  # nor by the bundle's own account
        assert FORGED not in alone, each.label


def signed(facts: BundleFacts, changes: dict[str, Any]) -> bytes:
    """The bundle with a changed header: signed, and the only leaf of a signed log."""
    header = header_of(facts)
    files = tampering.unpack(build_bundle(relogged(facts, header.line())))
    line = canonical({name: getattr(header, name) for name in Header.__slots__} | changes)
    log = Checkpoint(origin=bundles.NAME, size=1, root=leaf_hash(line))
    before, note = files["checkpoint.txt"], LOG_SIGNER.sign(log.text()).encode()
    for name, data in files.items():
        if name.startswith("headers/"):
            files[name] = line + b"\n" + SEGMENT_SIGNER.signature_line(line) + b"\n"
        elif name.startswith("proofs/"):
            files[name] = tampering.with_extra(data, header=line.decode()).replace(before, note)
    return tampering.remade(files | {"checkpoint.txt": note})
