"""The witness client against servers that answer badly: what each answer means for the log."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_stream.anchors.http import LONGEST, poster
from audit_stream.anchors.witness import Witness
from audit_stream.errors import AnchorError, AnchorRefused, AuditError, ForkAlarm
from audit_stream.evidence.checkpoint import decode_hash
from audit_stream.evidence.note import COSIGNATURE, Note, NoteKey, NoteSignature, cosigned
from audit_stream.evidence.tree import verify_consistency
from tests.support.logs import WrittenLog
from tests.support.tsa import Said, serving

SECRET = Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)
KEY = NoteKey(
    name="witness.example/w1", kind=COSIGNATURE,
    public=SECRET.public_key().public_bytes_raw(),
)  # fmt: skip
TIME = 1_764_000_000


def signature(text: str, seconds: int = TIME, key: NoteKey = KEY) -> NoteSignature:
    blob = seconds.to_bytes(8, "big") + SECRET.sign(cosigned(text, seconds))
    return NoteSignature(key.name, key.id, blob)


def text_of(request: bytes) -> str:
    return request.split(b"\n\n")[1].decode() + "\n"


class Server:
    """Gives its answers in turn, then cosigns whatever comes; keeps the requests."""

    def __init__(self, *answers: Said) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []

    def __call__(self, request: bytes) -> Said:
        self.requests.append(request)
        if self.answers:
            return self.answers.pop(0)
        return Said(200, "text/plain", signature(text_of(request)).line().encode())


def conflict(body: bytes) -> Said:
    return Said(409, "text/x.tlog.size", body)


@contextmanager
def witness(server: Server) -> Iterator[Witness]:
    post = poster(ssl.create_default_context(), 30)
    with serving(server, "/add-checkpoint") as url:
        yield Witness(KEY, f"{url}/", post)


async def ask(*answers: Said) -> tuple[AuditError | Note, Sequence[bytes]]:
    """What a client makes of the answers, at a log of 5 leaves; and what it sent."""
    log, server = WrittenLog(), Server(*answers)
    head = await log.grow(5)
    with witness(server) as client:
        try:
            return (await client.ask(log.log, head)).note, server.requests
        except AuditError as error:
            return error, server.requests


async def test_the_request_is_as_specified() -> None:
    log, server = WrittenLog(), Server()
    with witness(server) as client:
        old = await log.grow(3)
        await client.ask(log.log, old)
        head = await log.grow(4)
        await client.ask(log.log, head)
        await client.ask(log.log, head)
    first, second, third = server.requests
    assert first == b"old 0\n\n" + old.note.encode()
    assert third == b"old 7\n\n" + head.note.encode()
    lines, _, note = second.partition(b"\n\n")
    said, *proof = lines.decode().split("\n")
    assert (said, note) == ("old 3", head.note.encode())
    path = [decode_hash(line, "it") for line in proof]
    assert verify_consistency(3, 7, old.root, head.root, path)


async def test_its_size_is_taken_and_asked_from() -> None:
    got, requests = await ask(conflict(b"2\n"), conflict(b"4\n"))
    assert isinstance(got, Note)
    assert [request.split(b"\n")[0] for request in requests] == [b"old 0", b"old 2", b"old 4"]


async def test_one_that_never_agrees_is_given_up() -> None:
    got, requests = await ask(*[conflict(b"2\n")] * 9)
    assert type(got) is AnchorError
    assert len(requests) == 4


@pytest.mark.parametrize("body", [b"", b"2", b"x\n", b"02\n", b"-1\n", b"2\n\n", b"9" * 20 + b"\n"])
async def test_a_conflict_without_a_size_is_an_error(body: bytes) -> None:
    got, _ = await ask(conflict(body))
    assert type(got) is AnchorError
    assert "without the size" in got.message


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (conflict(b"6\n"), ForkAlarm, "has cosigned 6 leaves, and this log has 5"),
        (Said(422, "text/plain", b"no"), ForkAlarm, "saw another log"),
        (Said(403, "text/plain", b""), AnchorRefused, "HTTP 403"),
        (Said(404, "text/plain", b""), AnchorRefused, "HTTP 404"),
        (Said(400, "text/plain", b""), AnchorRefused, "HTTP 400"),
        (Said(302, "text/plain", b""), AnchorRefused, "HTTP 302"),
        (Said(429, "text/plain", b""), AnchorError, "HTTP 429"),
        (Said(503, "text/plain", b""), AnchorError, "HTTP 503"),
        (Said(200, "text/plain", b""), AnchorError, "the witness's answer"),
        (Said(200, "text/plain", b"\xff\n"), AnchorError, "not UTF-8"),
        (Said(200, "text/plain", b"x" * (LONGEST + 1)), AnchorError, "is longer than"),
    ],
)
async def test_what_an_answer_means(answer: Said, error: type[AuditError], words: str) -> None:
    got, _ = await ask(answer)
    assert type(got) is error
    assert words in got.message


async def test_only_a_good_line_of_its_key_is_kept() -> None:
    log, server = WrittenLog(), Server()
    head = await log.grow(1)
    text = head.note.text
    stranger = NoteKey(name="witness.example/w2", kind=COSIGNATURE, public=b"\x01" * 32)
    good = signature(text)
    bad = [signature(f"{text}x\n"), signature(text, key=stranger), signature(text, 0)]
    lines = "".join(each.line() for each in [*bad, good]).encode()
    server.answers = [Said(200, "text/plain", lines)]
    with witness(server) as client:
        asked = await client.ask(log.log, head)
    assert asked.note.signatures == (*head.note.signatures, good)
    assert asked.seconds == TIME
    for each in bad:
        server.answers = [Said(200, "text/plain", each.line().encode())]
        with witness(server) as client, pytest.raises(AnchorError, match="no good cosignature"):
            await client.ask(log.log, head)


async def test_one_that_is_away_is_not_reached() -> None:
    log = WrittenLog()
    head = await log.grow(1)
    client = Witness(KEY, "http://127.0.0.1:9", poster(ssl.create_default_context(), 5))
    with pytest.raises(AnchorError, match="not reached") as caught:
        await client.ask(log.log, head)
    assert "127.0.0.1" not in str(caught.value)


def test_its_name_can_be_a_files() -> None:
    post = poster(ssl.create_default_context(), 5)
    assert Witness(KEY, "http://x", post).name == f"witness_example_w1-{KEY.id.hex()}"
