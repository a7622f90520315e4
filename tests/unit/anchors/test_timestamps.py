"""Asking an authority over HTTP: what is kept, and what is not."""

from __future__ import annotations

import ssl
from base64 import b64encode
from pathlib import Path

import pytest

from audit_stream.anchors.http import poster
from audit_stream.anchors.timestamps import TimestampAuthority
from audit_stream.errors import AnchorError, AnchorRefused
from audit_stream.evidence.timestamp import check_timestamp, parse_authorities
from tests.support.tsa import LocalAuthority, Respond, Said, serving, timestamps

CHECKPOINT = b"audit.example/acme\n1\nAAAA\n"
REPLY = "application/timestamp-reply"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalAuthority:
    return LocalAuthority(tmp_path_factory.mktemp("tsa") / "authority")


def client(local: LocalAuthority, url: str) -> TimestampAuthority:
    trusted = parse_authorities(local.roots.read_bytes(), "the roots")
    post = poster(ssl.create_default_context(), 30)
    return TimestampAuthority("local", lambda: url, trusted, post)


async def test_the_raw_reply_is_given_with_what_it_says(local: LocalAuthority) -> None:
    sent: list[bytes] = []

    def respond(query: bytes) -> Said:
        sent.append(local.reply(query))
        return Said(200, REPLY, sent[-1])

    with serving(respond) as url:
        authority = client(local, f"{url}/tsr")
        reply, said = await authority.ask(CHECKPOINT)
        await authority.ask(CHECKPOINT)
    assert reply == sent[0]
    assert check_timestamp(reply, CHECKPOINT, authority.trusted, "it") == said
    assert local.openssl_verifies(reply, CHECKPOINT, said.time)


async def test_an_earlier_reply_does_not_answer_a_later_question(local: LocalAuthority) -> None:
    replayed: list[Said] = []

    def respond(query: bytes) -> Said:
        replayed.append(timestamps(local)(query))
        return replayed[0]

    with serving(respond) as url:
        authority = client(local, f"{url}/tsr")
        await authority.ask(CHECKPOINT)
        with pytest.raises(AnchorError, match="Nonce mismatch"):
            await authority.ask(CHECKPOINT)


def _over_other_bytes(local: LocalAuthority) -> Respond:
    return lambda _: Said(200, REPLY, local.reply(local.query(b"something else")))


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (Said(200, REPLY, b"garbage"), AnchorError, "is not a timestamp reply"),
        (Said(200, REPLY, b""), AnchorError, "is not a timestamp reply"),
        (Said(200, "text/html", b"<html>"), AnchorError, "not of the type"),
        (Said(500, REPLY, b""), AnchorError, "HTTP 500"),
        (Said(429, REPLY, b""), AnchorError, "HTTP 429"),
        (Said(401, REPLY, b""), AnchorRefused, "HTTP 401"),
        (Said(301, REPLY, b""), AnchorRefused, "HTTP 301"),
    ],
)
async def test_what_is_no_reply_is_none(
    local: LocalAuthority, said: Said, error: type[AnchorError], words: str
) -> None:
    with serving(lambda _: said) as url, pytest.raises(AnchorError, match=words) as caught:
        await client(local, f"{url}/tsr").ask(CHECKPOINT)
    assert type(caught.value) is error


async def test_a_reply_over_other_bytes_is_none(local: LocalAuthority) -> None:
    with serving(_over_other_bytes(local)) as url, pytest.raises(AnchorError, match="other bytes"):
        await client(local, f"{url}/tsr").ask(CHECKPOINT)


async def test_a_refusal_says_why(local: LocalAuthority) -> None:
    with (
        serving(timestamps(local, digests="sha512")) as url,
        pytest.raises(AnchorError, match=r"grants no timestamp: .*bad_alg"),
    ):
        await client(local, f"{url}/tsr").ask(CHECKPOINT)


async def test_an_authority_that_is_not_trusted_vouches_for_nothing(
    local: LocalAuthority, tmp_path: Path
) -> None:
    other = LocalAuthority(tmp_path / "other")
    with serving(timestamps(other)) as url, pytest.raises(AnchorError, match="does not hold"):
        await client(local, f"{url}/tsr").ask(CHECKPOINT)


async def test_a_login_in_the_url_is_in_no_message(local: LocalAuthority) -> None:
    for url in ("http://user:secret@127.0.0.1:9/tsr", "http://user:secret@", "http://[secret/"):
        with pytest.raises(AnchorError) as caught:
            await client(local, url).ask(CHECKPOINT)
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


async def test_a_login_in_the_url_is_used(local: LocalAuthority) -> None:
    logins: list[str | None] = []
    with serving(timestamps(local), logins=logins) as url:
        await client(local, f"{url.replace('//', '//user:secret@')}/tsr").ask(CHECKPOINT)
    assert logins == [f"Basic {b64encode(b'user:secret').decode()}"]
