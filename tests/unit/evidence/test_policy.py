"""The verifier's trust file: who counts, when it is enough, and every line that is none."""

from __future__ import annotations

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_stream.errors import FormatError
from audit_stream.evidence.note import (
    COSIGNATURE,
    Note,
    NoteKey,
    NoteSignature,
    NoteSigner,
    cosigned,
)
from audit_stream.evidence.policy import TrustPolicy, parse_policy

LOG = NoteSigner("audit.example/acme", b"\x01" * 32)
OTHER_LOG = NoteSigner("audit.example/acme", b"\x02" * 32)
TEXT = "audit.example/acme\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
TIME = 1_764_000_000
NAMES = ("X1", "X2", "X3", "Y1", "Y2", "Y3")


def secret(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"\x00"))


def vkey(name: str) -> NoteKey:
    public = secret(name).public_key().public_bytes_raw()
    return NoteKey(name=f"witness.example/{name}", kind=COSIGNATURE, public=public)


def cosignature(name: str, text: str = TEXT, seconds: int = TIME) -> NoteSignature:
    blob = seconds.to_bytes(8, "big") + secret(name).sign(cosigned(text, seconds))
    return NoteSignature(vkey(name).name, vkey(name).id, blob)


def note(*witnesses: str, log: NoteSigner = LOG) -> Note:
    return log.sign(TEXT).with_signatures(map(cosignature, witnesses))


#: The example of the specification.
TWO_LEVELS = "".join([
    "# two organisations\n\n", f"log {LOG.key}\n",
    *(f"witness {name} {vkey(name)}\n" for name in NAMES[:3]),
    "group X-witnesses 2 X1 X2 X3\n",
    *(f"\twitness  {name}\t{vkey(name)} https://{name}.example/ \n" for name in NAMES[3:]),
    "group Y-witnesses any Y1 Y2 Y3\n", "group X-and-Y all X-witnesses Y-witnesses\n",
    "quorum X-and-Y\n",
])  # fmt: skip


def policy(text: str = TWO_LEVELS) -> TrustPolicy:
    return parse_policy(text.encode(), "the policy")


@pytest.mark.parametrize(
    ("witnesses", "quorum"),
    [
        ((), False),
        (("X1", "X2"), False),
        (("X1", "Y1"), False),
        (("X1", "Y1", "Y2", "Y3"), False),
        (("X1", "X3", "Y2"), True),
        (NAMES, True),
    ],
)
def test_the_quorum_is_reached_by_enough_of_each_group(
    witnesses: tuple[str, ...], quorum: bool
) -> None:
    judgement = policy().judge(note(*witnesses))
    assert judgement.log == LOG.key
    assert judgement.witnesses == dict.fromkeys(witnesses, TIME)
    assert judgement.quorum is judgement.witnessed is quorum


def test_a_cosignature_of_another_text_or_an_unknown_witness_counts_for_nothing() -> None:
    wrong = cosignature("X1", text=TEXT.replace("\n1\n", "\n2\n"))
    stranger = cosignature("Z1")
    judged = policy().judge(LOG.sign(TEXT).with_signatures([wrong, stranger]))
    assert judged.witnesses == {}


def test_a_cosignature_without_a_time_counts_for_nothing() -> None:
    timeless = LOG.sign(TEXT).with_signatures([cosignature("X1", seconds=0)])
    assert policy().judge(timeless).witnesses == {}


def test_a_checkpoint_of_another_log_is_not_witnessed_whoever_cosigned_it() -> None:
    judgement = policy().judge(note(*NAMES, log=OTHER_LOG))
    assert judgement.log is None
    assert judgement.quorum
    assert not judgement.witnessed


def test_a_trusted_key_does_not_sign_for_another_origin() -> None:
    text = TEXT.replace("acme", "else")
    assert policy().judge(LOG.sign(text)).log is None


def test_no_quorum_is_reached_by_nobody_and_makes_nothing_witnessed() -> None:
    judgement = policy(f"log {LOG.key}\nquorum none\n").judge(note())
    assert judgement.quorum
    assert not judgement.witnessed


def test_a_single_witness_may_be_the_quorum() -> None:
    text = f"witness none-of-yours {vkey('X1')}\nquorum none-of-yours\n"
    assert policy(text).judge(note("X1")).quorum
    assert not policy(text).judge(note("X2")).quorum


def test_names_are_octets() -> None:
    kelvin = f"witness K {vkey('X1')}\nwitness \u212a {vkey('X2')}\nquorum \u212a\n"
    assert policy(kelvin).judge(note("X2")).quorum
    assert not policy(kelvin).judge(note("X1")).quorum
    raw = f"witness \udcff {vkey('X1')}\nquorum \udcff\n".encode("utf-8", "surrogateescape")
    assert parse_policy(raw, "the policy").judge(note("X1")).quorum


W1, W2 = f"witness a {vkey('X1')}\n", f"witness b {vkey('X2')}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("quorum none", "does not end with a newline"),
        ("", "does not end with a newline"),
        ("# nothing\n", "has no quorum line"),
        ("quorum none\nquorum none\n", "line 2: there is one quorum line"),
        ("quorum a\n" + W1, "line 1: a is no witness or group of a line above"),
        ("quorum\n", "line 1: there is one quorum line, with one name"),
        ("quorum none\r\n", "line 1: control characters"),
        ("log\n", "line 1: a log has a vkey"),
        (f"log {LOG.key} u v\n", "line 1: a log has a vkey"),
        ("log x\n", "line 1: a verifier key has the form"),
        (f"log {vkey('X1')}\n", "is not a log's"),
        (f"log {LOG.key}\nlog {LOG.key}\n", "line 2: the public key of audit.example/acme"),
        (f"witness a {LOG.key}\n", "is not a witness's"),
        ("witness a\n", "line 1: a witness has a name"),
        (W1 + W1, "line 2: the public key"),
        (W1 + W2.replace(" b ", " a "), "line 2: the name a is taken"),
        (W2.replace(" b ", " none "), "line 1: the name none is taken"),
        (W1 + "group g any\n", "line 2: a group has"),
        (W1 + "group g any b\n", "line 2: b is no witness or group"),
        (W1 + "group g any none\n", "line 2: none is no witness or group"),
        (W1 + "group a any a\n", "line 2: the name a is taken"),
        (W1 + "group g any g\n", "line 2: g is no witness or group"),
        (W1 + "group g any a a\n", "line 2: a is a member already"),
        (W1 + "group g any a\ngroup h any a\n", "line 3: a is a member already"),
        (W1 + "group g 0 a\n", "line 2: 0 is not all, any or a number from 1 to 1"),
        (W1 + "group g 2 a\n", "line 2: 2 is not all"),
        (W1 + "group g 01 a\n", "line 2: 01 is not all"),
        (W1 + "group g -1 a\n", "line 2: -1 is not all"),
        ("witnesses a b\n", "line 1: witnesses is not log, witness"),
        ("\u212a\n", "line 1: \\u212a is not log"),
    ],
)
def test_a_line_that_is_none_is_named(text: str, words: str) -> None:
    with pytest.raises(FormatError) as caught:
        policy(text)
    assert words in caught.value.message


def test_a_key_whose_name_is_no_utf_8_is_a_wrong_line() -> None:
    key = b64encode(b"\1" + bytes(32))
    with pytest.raises(FormatError, match="line 1"):
        parse_policy(b"log \xffx+deadbeef+" + key + b"\nquorum none\n", "the policy")
