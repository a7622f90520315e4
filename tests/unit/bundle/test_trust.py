"""What the verifier brings: policies, kept checkpoints, timestamp authorities, keys for answers."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from audit_stream.bundle.build import attached, build_bundle
from audit_stream.bundle.facts import BundleFacts
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.checkpoint import Checkpoint, checkpoint_of, encode_hash
from audit_stream.evidence.note import NoteSigner
from audit_stream.evidence.signing import LineSigner
from tests.support import bundles, tampering
from tests.support.answers import answered, jwks, signed, with_answer
from tests.support.bundles import LOG_SIGNER, NAME, check, steps
from tests.support.policies import NO_POLICIES, POLICIES
from tests.support.timestamps import Authority

JUST_LOG = f"log {LOG_SIGNER.key}\nquorum none\n"


# -- policies


def test_another_log_s_key_is_not_this_one_s(facts: BundleFacts, tmp_path: Path) -> None:
    stranger = NoteSigner(NAME, b"\x55" * 32)
    done = check(build_bundle(facts), tmp_path, policy=f"log {stranger.key}\nquorum none\n")
    assert (done["verdict"], done["code"]) == ("INVALID", 40)
    assert steps(done, "FAILED") == {7}  # and no record is looked at
    done = check(build_bundle(facts), tmp_path, "--key", str(LOG_SIGNER.key),
                 policy=f"log {stranger.key}\nquorum none\n")  # fmt: skip
    assert done["verdict"] == "UNANCHORED"


@pytest.mark.parametrize(("policy", "verdict"), POLICIES.items(), ids=range(len(POLICIES)))
def test_quorums(facts: BundleFacts, tmp_path: Path, policy: str, verdict: str) -> None:
    assert check(build_bundle(facts), tmp_path, policy=policy)["verdict"] == verdict


@pytest.mark.parametrize("policy", NO_POLICIES, ids=range(len(NO_POLICIES)))
def test_a_policy_that_is_none(policy: str) -> None:
    with pytest.raises((tampering.verify.Bad, ValueError)):
        tampering.verify.Policy(policy, ())


def test_a_false_cosignature_is_no_missing_one(facts: BundleFacts, tmp_path: Path) -> None:
    note = facts.anchors["auditor.note"]
    line = note.splitlines(keepends=True)[-1]
    other = bundles.cosignature("another text\n").line().encode()
    assert line != other
    spoilt = replace(facts, anchors={"auditor.note": note.replace(line, other)})
    done = check(build_bundle(spoilt), tmp_path, policy=bundles.POLICY)
    assert (done["verdict"], steps(done, "FAILED")) == ("INVALID", {11})


def test_a_false_line_beside_a_good_one_takes_nothing_away(
    facts: BundleFacts, tmp_path: Path
) -> None:
    """Anybody who may put an object can write one."""
    false = bundles.cosignature("another text\n").line().encode()
    for name in ("a.note", "z.note"):
        both = replace(facts, anchors={**facts.anchors, name: facts.checkpoint + false})
        done = check(build_bundle(both), tmp_path, policy=bundles.POLICY)
        assert done["verdict"] == "WITNESSED"
        assert tampering.judged(build_bundle(both), bundles.POLICY).signed == {
            "auditor": 1_795_600_000}  # fmt: skip


def test_the_lines_a_witness_answers_with_are_enough(facts: BundleFacts, tmp_path: Path) -> None:
    line = bundles.cosignature(bundles.note_of(facts).text).line().encode()
    bare = build_bundle(replace(facts, anchors={"auditor.note": line}))
    assert check(bare, tmp_path, policy=bundles.POLICY)["verdict"] == "WITNESSED"
    signed_by_it = facts.checkpoint + line
    inside = build_bundle(replace(facts, checkpoint=signed_by_it, anchors={}))
    assert check(inside, tmp_path, policy=bundles.POLICY)["verdict"] == "WITNESSED"


def test_segment_keys_of_your_own(facts: BundleFacts, tmp_path: Path) -> None:
    good = bundles.SEGMENT_SIGNER.public.hex()
    other = LineSigner(b"\x66" * 32).public.hex()
    data = build_bundle(facts)
    done = check(data, tmp_path, "--segment-key", other, "--segment-key", good)
    assert (done["verdict"], steps(done, "FAILED")) == ("UNANCHORED", set())
    done = check(data, tmp_path, "--segment-key", other)
    assert (done["verdict"], steps(done, "FAILED")) == ("INVALID", {5, 13})


# -- checkpoints that were kept


def kept(folder: Path, note: bytes) -> tuple[str, str]:
    (folder / "kept.txt").write_bytes(note)
    return "--checkpoint", str(folder / "kept.txt")


def test_a_kept_checkpoint_of_the_same_history(
    archive: bundles.Archive, path: list[bytes], facts: BundleFacts, tmp_path: Path
) -> None:
    old, _, head = archive.heads
    same = kept(tmp_path, head.note.encode())
    assert check(build_bundle(facts), tmp_path, *same, policy=bundles.POLICY)["code"] == 0
    before = kept(tmp_path, old.note.encode())
    shown = replace(facts, consistency={(old.size, head.size): path})
    assert check(build_bundle(shown), tmp_path, *before, policy=bundles.POLICY)["code"] == 0
    proof = tmp_path / "proof.txt"
    proof.write_text("".join(f"{encode_hash(each)}\n" for each in path))
    brought = (*before, "--consistency", str(proof))
    assert check(build_bundle(facts), tmp_path, *brought, policy=bundles.POLICY)["code"] == 0
    unproven = check(build_bundle(facts), tmp_path, *before, policy=bundles.POLICY)
    assert (unproven["verdict"], 10 in steps(unproven, "not checked")) == ("UNANCHORED", True)


@pytest.mark.parametrize("empty", [True, False])
@pytest.mark.timeout(60)
def test_every_log_continues_an_empty_one(facts: BundleFacts, tmp_path: Path, empty: bool) -> None:
    """Nor does a proof between the two keep the verifier for ever."""
    root = sha256(b"").digest() if empty else bytes(32)
    note = LOG_SIGNER.sign(Checkpoint(origin=NAME, size=0, root=root).text()).encode()
    size = checkpoint_of(bundles.note_of(facts), "it").size
    shown = build_bundle(replace(facts, consistency={(0, size): [bytes(32)]}))
    done = check(shown, tmp_path, *kept(tmp_path, note), policy=bundles.POLICY)
    assert done["verdict"] == ("WITNESSED" if empty else "DIVERGED")


def test_another_history_than_the_kept_one_is_diverged(
    archive: bundles.Archive, path: list[bytes], facts: BundleFacts, tmp_path: Path
) -> None:
    old, _, head = archive.heads
    shown = build_bundle(replace(facts, consistency={(old.size, head.size): path}))
    stranger = NoteSigner(NAME, b"\x55" * 32)
    for note in (
        bundles.forged(head.size),
        bundles.forged(old.size),
        bundles.forged(head.size, stranger),
    ):
        done = check(shown, tmp_path, *kept(tmp_path, note), policy=bundles.POLICY)
        assert (done["verdict"], done["code"]) == ("DIVERGED", 30)


def test_a_forged_archive_is_found_by_who_kept_a_checkpoint_or_the_key(
    facts: BundleFacts, tmp_path: Path
) -> None:
    """A whole history of another log key under the same name, consistent in itself."""
    stranger = NoteSigner(NAME, b"\x55" * 32)
    log = checkpoint_of(bundles.note_of(facts), "it")
    forgery = replace(
        facts, checkpoint=stranger.sign(log.text()).encode(), log_keys=[stranger.key], anchors={}
    )
    data = build_bundle(forgery)
    assert check(data, tmp_path)["verdict"] == "UNANCHORED"  # it vouches for itself, as it says
    assert check(data, tmp_path, policy=JUST_LOG)["verdict"] == "INVALID"
    assert check(data, tmp_path, *kept(tmp_path, facts.checkpoint))["verdict"] == "DIVERGED"


# -- timestamps


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa"), "stamps.example")


@pytest.fixture
def stamped(facts: BundleFacts, authority: Authority) -> BundleFacts:
    return replace(facts, anchors={"stamps.tsr": authority.stamp(facts.checkpoint)})


def test_timestamped(stamped: BundleFacts, authority: Authority, tmp_path: Path) -> None:
    data = build_bundle(stamped)
    done = check(data, tmp_path, "--tsa-ca", str(authority.ca), policy=JUST_LOG)
    assert (done["verdict"], done["code"]) == ("TIMESTAMPED", 2)
    without = check(data, tmp_path, policy=JUST_LOG)
    assert (without["verdict"], 12 in steps(without, "not checked")) == ("UNANCHORED", True)
    no_key = check(data, tmp_path, "--tsa-ca", str(authority.ca))
    assert no_key["verdict"] == "UNANCHORED"


def test_the_time_is_the_signed_one(
    stamped: BundleFacts, authority: Authority, tmp_path: Path
) -> None:
    """The reply around a token is signed by nobody, and has room for any text."""
    name, reply = next(each for each in stamped.anchors.items() if each[0].endswith(".tsr"))
    text = b"Operation Okay\nTime stamp: Jan  1 00:00:00 2001 GMT"
    status = der(0x30, der(0x02, b"\0") + der(0x30, der(0x0C, text)))
    forged = der(0x30, status + token_of(reply))
    facts = replace(stamped, anchors={**stamped.anchors, name: forged})
    done = check(build_bundle(facts), tmp_path, "--tsa-ca", str(authority.ca))
    assert 12 in steps(done, "ok")
    assert "2001" not in json.dumps(done)


def der(tag: int, body: bytes) -> bytes:
    """A value as X.690 has it, with its length in two bytes."""
    return bytes((tag, 0x82)) + len(body).to_bytes(2, "big") + body


def token_of(reply: bytes) -> bytes:
    """The token of a TimeStampResp (RFC 3161 section 2.4.2): what stands behind the status."""
    long = reply[1] & 0x7F if reply[1] & 0x80 else 0
    rest = reply[2 + long :]
    return rest[2 + rest[1] :]


def test_a_timestamp_of_a_strange_authority_does_not_count(
    stamped: BundleFacts, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger.example")
    done = check(build_bundle(stamped), tmp_path, "--tsa-ca", str(stranger.ca), policy=JUST_LOG)
    assert (done["verdict"], 12 in steps(done, "not checked")) == ("UNANCHORED", True)


def test_a_timestamp_of_other_bytes_or_changed_is_invalid(
    stamped: BundleFacts, authority: Authority, tmp_path: Path
) -> None:
    token = stamped.anchors["stamps.tsr"]
    for wrong in (authority.stamp(b"other bytes"), token[:-10] + bytes(10), token[:-3], b"x"):
        data = build_bundle(replace(stamped, anchors={"stamps.tsr": wrong}))
        done = check(data, tmp_path, "--tsa-ca", str(authority.ca), policy=JUST_LOG)
        assert (done["verdict"], steps(done, "FAILED")) == ("INVALID", {12})


def test_without_openssl_a_timestamp_is_not_checked(
    stamped: BundleFacts, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = check(build_bundle(stamped), tmp_path, "--tsa-ca", str(authority.ca), policy=JUST_LOG)
    assert (done["verdict"], 12 in steps(done, "not checked")) == ("UNANCHORED", True)


# -- signed answers


def test_a_signed_answer(facts: BundleFacts, tmp_path: Path) -> None:
    data, keys = with_answer(facts, answered(facts)), tmp_path / "jwks.json"
    keys.write_bytes(jwks())
    done = check(data, tmp_path, "--answer-keys", str(keys), policy=bundles.POLICY)
    assert (done["verdict"], 9 in steps(done, "ok")) == ("WITNESSED", True)
    beside = check(data, tmp_path, policy=bundles.POLICY)
    assert (beside["verdict"], 9 in steps(beside, "not checked")) == ("WITNESSED", True)


def test_an_answer_whose_subject_was_erased_since_shows_none(
    facts: BundleFacts, tmp_path: Path
) -> None:
    answer = answered(facts)
    answer["history"] = [each | {"customer_external_id": None} for each in answer["history"]]
    answer["audit_record"] = answer["history"][-1]
    assert check(with_answer(facts, answer), tmp_path)["verdict"] == "UNANCHORED"


@pytest.mark.parametrize(
    "change",
    [
        {"delivery_status": "FAILED"}, {"customer_external_id": "CUST_1"},
        {"integrity_hash": "sha256:" + "0" * 64}, {"carrier_error_code": "7"},
    ],
)  # fmt: skip
def test_an_answer_that_says_something_else(
    facts: BundleFacts, tmp_path: Path, change: dict[str, Any]
) -> None:
    answer = answered(facts)
    for wrong in (
        answer | {"audit_record": answer["audit_record"] | change},
        answer | {"history": [answer["history"][0] | change, *answer["history"][1:]]},
    ):
        done = check(with_answer(facts, wrong), tmp_path)
        assert (done["verdict"], steps(done, "FAILED")) == ("INVALID", {9})


def test_an_answer_of_another_log_or_kind(facts: BundleFacts, tmp_path: Path) -> None:
    answer = answered(facts)
    root = answer | {"as_of": answer["as_of"] | {"root": "0" * 64}}
    for data in (
        with_answer(facts, root), with_answer(facts, answer, alg="HS256"),
        with_answer(facts, answer, crit=["b64"]), with_answer(facts, answer, kid="k2"),
    ):  # fmt: skip
        done = check(data, tmp_path)
        assert (done["verdict"], steps(done, "FAILED")) == ("INVALID", {9})


def test_an_answer_that_was_changed(facts: BundleFacts, tmp_path: Path) -> None:
    text = attached(signed(answered(facts)))
    for wrong in (text[:-6] + "AAAAAA", text.replace(".", ".A", 1), text + ".", text[:-1]):
        data = build_bundle(replace(facts, answer=wrong, answer_keys=jwks()))
        done = check(data, tmp_path)
        assert (done["verdict"], steps(done, "FAILED")) == ("INVALID", {9})


# -- newer releases


def test_a_newer_version_cannot_be_judged(facts: BundleFacts, tmp_path: Path) -> None:
    files = tampering.unpack(build_bundle(facts))
    manifest = json.loads(files["manifest.json"]) | {"v": "audit-bundle/2"}
    data = tampering.pack(files | {"manifest.json": canonical(manifest)})
    done = check(data, tmp_path, policy=bundles.POLICY)
    assert (done["verdict"], done["code"]) == ("CANNOT JUDGE", 3)
