"""What the verifier brings: policies, kept checkpoints, timestamp authorities, keys for answers."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from audit_stream.bundle.build import attached, build_bundle
from audit_stream.bundle.facts import BundleFacts, RecordFact
from audit_stream.evidence.canonical import canonical
from audit_stream.evidence.checkpoint import Checkpoint, checkpoint_of, encode_hash
from audit_stream.evidence.encoding import b64u
from audit_stream.evidence.note import COSIGNATURE, NoteKey, NoteSigner
from audit_stream.evidence.signing import LineSigner
from tests.support import bundles, tampering
from tests.support.bundles import LOG_SIGNER, NAME, WITNESS_KEY, check, steps
from tests.support.timestamps import Authority

ANSWERS = generate_private_key(SECP256R1())
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


def witness(number: int) -> NoteKey:
    public = NoteSigner("w", bytes([number]) * 32).key.public
    return NoteKey(name=f"w{number}.example", kind=COSIGNATURE, public=public)


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("quorum auditor", "WITNESSED"), ("quorum none", "UNANCHORED"), ("", "UNANCHORED"),
        ("group g any auditor w1\nquorum g", "WITNESSED"),
        ("group g 1 w1 auditor\nquorum g", "WITNESSED"),
        ("group g all auditor w1\nquorum g", "UNANCHORED"),
        ("group g 2 auditor w1 w2\nquorum g", "UNANCHORED"),
        ("quorum w1", "UNANCHORED"),
        ("group a any auditor w1\ngroup b 1 a w2\nquorum b", "WITNESSED"),
        ("group a any auditor w1\ngroup b all a w2\nquorum b", "UNANCHORED"),
    ],
)  # fmt: skip
def test_quorums(facts: BundleFacts, tmp_path: Path, rule: str, verdict: str) -> None:
    lines = ("# mine", "", f"log {LOG_SIGNER.key} https://log.example",
             f"witness auditor {WITNESS_KEY}", f"witness w1 {witness(1)}",
             f"\twitness  w2 {witness(2)} ", rule)  # fmt: skip
    policy = "\n".join(lines)
    assert check(build_bundle(facts), tmp_path, policy=policy)["verdict"] == verdict


@pytest.mark.parametrize(
    "line",
    ["logs x", "quorum nobody", "group g 0 auditor", "group g 2 auditor", "group g 1 nobody",
     "group g 2 auditor auditor", "group auditor 1 auditor", "group none 1 auditor",
     "witness auditor x", "log a+b+c"],
)  # fmt: skip
def test_a_policy_that_is_none(line: str) -> None:
    with pytest.raises((tampering.verify.Bad, ValueError)):
        tampering.verify.Policy(f"{bundles.POLICY}{line}\n", ())


def test_a_false_cosignature_is_no_missing_one(facts: BundleFacts, tmp_path: Path) -> None:
    note = facts.anchors["auditor.note"]
    line = note.splitlines(keepends=True)[-1]
    other = bundles.cosignature("another text\n").line().encode()
    assert line != other
    spoilt = replace(facts, anchors={"auditor.note": note.replace(line, other)})
    done = check(build_bundle(spoilt), tmp_path, policy=bundles.POLICY)
    assert (done["verdict"], steps(done, "FAILED")) == ("INVALID", {11})


def test_segment_keys_of_your_own(facts: BundleFacts, tmp_path: Path) -> None:
    good = bundles.SEGMENT_SIGNER.public.hex()
    other = LineSigner(b"\x66" * 32).public.hex()
    data = build_bundle(facts)
    done = check(data, tmp_path, "--segment-key", other, "--segment-key", good)
    assert (done["verdict"], steps(done, "FAILED")) == ("UNANCHORED", set())
    done = check(data, tmp_path, "--segment-key", other)
    assert (done["verdict"], steps(done, "FAILED")) == ("INVALID", {5})


# -- checkpoints that were kept


def kept(folder: Path, note: bytes) -> tuple[str, str]:
    (folder / "kept.txt").write_bytes(note)
    return "--checkpoint", str(folder / "kept.txt")


def forged(size: int, signer: NoteSigner = LOG_SIGNER) -> bytes:
    root = sha256(b"another history").digest()
    return signer.sign(Checkpoint(origin=NAME, size=size, root=root).text()).encode()


async def test_a_kept_checkpoint_of_the_same_history(
    archive: bundles.Archive, facts: BundleFacts, tmp_path: Path
) -> None:
    old, _, head = archive.heads
    same = kept(tmp_path, head.note.encode())
    assert check(build_bundle(facts), tmp_path, *same, policy=bundles.POLICY)["code"] == 0
    before = kept(tmp_path, old.note.encode())
    path = await archive.log.consistency(old.size, old.root, head)
    shown = replace(facts, consistency={(old.size, head.size): path})
    assert check(build_bundle(shown), tmp_path, *before, policy=bundles.POLICY)["code"] == 0
    proof = tmp_path / "proof.txt"
    proof.write_text("".join(f"{encode_hash(each)}\n" for each in path))
    brought = (*before, "--consistency", str(proof))
    assert check(build_bundle(facts), tmp_path, *brought, policy=bundles.POLICY)["code"] == 0
    unproven = check(build_bundle(facts), tmp_path, *before, policy=bundles.POLICY)
    assert (unproven["verdict"], 10 in steps(unproven, "not checked")) == ("UNANCHORED", True)


async def test_another_history_than_the_kept_one_is_diverged(
    archive: bundles.Archive, facts: BundleFacts, tmp_path: Path
) -> None:
    old, _, head = archive.heads
    path = await archive.log.consistency(old.size, old.root, head)
    shown = build_bundle(replace(facts, consistency={(old.size, head.size): path}))
    stranger = NoteSigner(NAME, b"\x55" * 32)
    for note in (forged(head.size), forged(old.size), forged(head.size, stranger)):
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


def signed(answer: dict[str, Any], **header: object) -> dict[str, Any]:
    """With its detached signature (RFC 7515, appendix F)."""
    members = {"alg": "ES256", "kid": "k1", "typ": "audit-response+jws"} | header
    head, payload = (b64u(canonical(each)) for each in (members, answer))
    r, s = decode_dss_signature(ANSWERS.sign(f"{head}.{payload}".encode(), ECDSA(SHA256())))
    return answer | {"signature": f"{head}..{b64u(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"}


def audit_record(record: RecordFact) -> dict[str, Any]:
    hashed = json.loads(record.line)["integrity_hash"]
    names = ("audit_id", "message_uuid", "delivery_status", "carrier_error_code", "regulatory_tag")
    first = bundles.personal(record)[0]
    return {name: record.pub[name] for name in names} | {
        "customer_external_id": first, "integrity_hash": hashed,
    }  # fmt: skip


def answered(facts: BundleFacts) -> dict[str, Any]:
    message = facts.records[0].pub["message_uuid"]
    history = [audit_record(each) for each in facts.records if each.pub["message_uuid"] == message]
    log = checkpoint_of(bundles.note_of(facts), "it")
    return {"as_of": {"root": log.root.hex(), "size": log.size}, "audit_record": history[-1],
            "history": history, "status": "verified"}  # fmt: skip


def jwks() -> bytes:
    numbers = ANSWERS.public_key().public_numbers()
    x, y = (b64u(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
    return canonical({"keys": [{"crv": "P-256", "kid": "k1", "kty": "EC", "x": x, "y": y}]})


def with_answer(facts: BundleFacts, answer: dict[str, Any], **header: object) -> bytes:
    text = attached(signed(answer, **header))
    return build_bundle(replace(facts, answer=text, answer_keys=jwks()))


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
