"""Each way in which S3 says no, or says nothing, from a server that answers as told."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from audit_stream.errors import StoreRefused, StoreTransient
from audit_stream.ports import PutResult
from audit_stream.stores.s3 import S3Store
from audit_stream.stores.s3_subjects import S3SubjectStore
from audit_stream.stores.s3_target import S3Access, S3Target
from tests.contract.worm_store_contract import META
from tests.support.certificates import identity
from tests.support.scripted_s3 import EMPTY, KEYS, Scripted, one_version, said, scripted_store


@pytest.fixture
async def scripted() -> AsyncIterator[tuple[Scripted, S3Store]]:
    async with scripted_store() as made:
        yield made


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (409, "ConditionalRequestConflict"), (409, "OperationAborted"), (412, "PreconditionFailed"),
        (503, "SlowDown"), (503, "ServiceUnavailable"), (500, "InternalError"),
        (429, "TooManyRequests"), (400, "RequestTimeout"), (400, "BadDigest"),
        (400, "XAmzContentSHA256Mismatch"), (400, "IncompleteBody"), (307, "TemporaryRedirect"),
    ],
)  # fmt: skip
async def test_what_may_pass(scripted: tuple[Scripted, S3Store], status: int, code: str) -> None:
    """Nothing stands under the name afterwards: unknown, said once, and sent once."""
    bucket, store = scripted
    bucket.put = partial(said, status, code, **{"Retry-After": "7"})
    with pytest.raises(StoreTransient, match=code) as caught:
        await store.put_if_absent("a/b", b"one", META)
    assert bucket.puts == 1
    if status != 412:
        assert caught.value.retry_after == 7
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [
        (403, "AccessDenied", "rights"), (403, "InvalidAccessKeyId", "ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "SECRET_ACCESS_KEY"), (403, "RequestTimeTooSkewed", "clock"),
        (400, "ExpiredToken", "renew"), (404, "NoSuchBucket", "AUDIT_ARCHIVE"),
        (301, "PermanentRedirect", "AUDIT_S3_REGION"), (501, "NotImplemented", "AUDIT_ARCHIVE"),
        (400, "AuthorizationHeaderMalformed", "AUDIT_S3_REGION"),
        (400, "InvalidRequest", "s3.md"),
    ],
)  # fmt: skip
async def test_what_repeating_cannot_help(
    scripted: tuple[Scripted, S3Store], status: int, code: str, hint: str
) -> None:
    bucket, store = scripted
    bucket.put = partial(said, status, code)
    with pytest.raises(StoreRefused, match=code) as caught:
        await store.put_if_absent("a/b", b"one", META)
    assert bucket.puts == 1
    assert hint in caught.value.hint
    assert "s3cret" not in str(caught.value)


async def test_a_bucket_in_another_region_is_not_followed_there(
    scripted: tuple[Scripted, S3Store],
) -> None:
    bucket, store = scripted
    elsewhere = {"x-amz-bucket-region": "us-west-2"}
    bucket.put = partial(said, 301, "PermanentRedirect", **elsewhere)
    with pytest.raises(StoreRefused, match="PermanentRedirect"):
        await store.put_if_absent("a/b", b"one", META)
    assert bucket.seen == ["GET", "PUT"]


async def test_a_rewrite_and_a_removal_say_which_entity_tag_they_mean(
    scripted: tuple[Scripted, S3Store],
) -> None:
    """The look before a removal is a courtesy; the service decides."""
    bucket, store = scripted
    bucket.listing = partial(web.Response, headers={"ETag": '"tag"'}, body=b"one")
    subjects = S3SubjectStore(store._target)
    assert await subjects.replace("a", b"two", '"tag"')
    assert bucket.headers["If-Match"] == '"tag"'
    assert await subjects.remove("a", '"tag"')
    assert bucket.seen == ["PUT", "GET", "DELETE"]
    assert bucket.headers["If-Match"] == '"tag"'
    bucket.delete = partial(said, 412, "PreconditionFailed")
    assert not await subjects.remove("a", '"tag"')
    await subjects.close()


async def test_a_page_of_a_proxy_is_not_the_services_word(
    scripted: tuple[Scripted, S3Store],
) -> None:
    bucket, store = scripted
    bucket.put = partial(web.Response, status=403, text="<html>Blocked</html>")
    with pytest.raises(StoreRefused, match="proxy or a firewall"):
        await store.put_if_absent("a/b", b"one", META)


async def test_a_listing_that_is_no_xml_may_pass(scripted: tuple[Scripted, S3Store]) -> None:
    bucket, store = scripted
    bucket.listing = partial(web.Response, text="<html")
    with pytest.raises(StoreTransient):
        await store.names("")


async def test_a_listing_that_does_not_say_where_it_goes_on_is_refused(
    scripted: tuple[Scripted, S3Store],
) -> None:
    bucket, store = scripted
    bucket.listing = partial(web.Response, text=EMPTY.replace("false", "true"))
    with pytest.raises(StoreRefused, match="breaks off"):
        await store.names("")


@pytest.mark.parametrize("status", [200, 403, 404, 412, 500])
async def test_an_answer_that_breaks_off_says_nothing(status: int) -> None:
    """Whatever its status: the code it would have had is not known."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            head = f"HTTP/1.1 {status} X\r\nContent-Type: application/xml\r\nContent-Length: 500"
            writer.write(head.encode() + b"\r\n\r\n<Error><Code>NoSuch")
        finally:  # also of a connection that nothing was asked on
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    access = S3Access(
        region="x", endpoint=f"http://127.0.0.1:{port}", path_style=True, keys=lambda: KEYS
    )
    store = S3Store(S3Target(bucket="audit", access=access))
    for call in (store.get("a/b"), store.names(""), store.put_if_absent("a/b", b"one", META)):
        with pytest.raises(StoreTransient):
            await call
    await store.close()
    server.close()


async def test_doubt_that_cannot_be_settled_names_both(scripted: tuple[Scripted, S3Store]) -> None:
    bucket, store = scripted
    bucket.put = partial(said, 412, "PreconditionFailed")
    bucket.listing = partial(said, 503, "SlowDown", **{"Retry-After": "9"})
    with pytest.raises(StoreTransient, match=r"is taken.*; then .*SlowDown") as caught:
        await store.put_if_absent("a/b", b"one", META)
    assert caught.value.retry_after == 9


async def test_what_is_stored_must_be_listed(scripted: tuple[Scripted, S3Store]) -> None:
    """A success whose object no listing shows is none: the oldest version is what counts."""
    bucket, store = scripted
    bucket.put = partial(web.Response, headers={"x-amz-version-id": "v1"})
    with pytest.raises(StoreTransient, match="not listed"):
        await store.put_if_absent("a/b", b"one", META)


async def test_a_put_says_all_that_keeps_it(scripted: tuple[Scripted, S3Store]) -> None:
    """The condition, the checksum, the mode and the date, in one request with the whole body."""
    bucket, store = scripted
    bucket.put = partial(web.Response, headers={"x-amz-version-id": "v1"})
    bucket.listing = one_version("v1")
    assert await store.put_if_absent("a/b", b"one", META) is PutResult.STORED
    assert bucket.seen == ["GET", "PUT", "GET"]  # once whether it locks, the put, what is oldest
    assert await store.put_if_absent("a/b", b"one", META) is PutResult.STORED
    assert bucket.seen[3:] == ["PUT", "GET"]
    assert bucket.body == b"one"
    assert bucket.headers["If-None-Match"] == "*"
    assert b64decode(bucket.headers["x-amz-checksum-sha256"]) == sha256(b"one").digest()
    assert bucket.headers["x-amz-object-lock-mode"] == "COMPLIANCE"
    until = datetime.fromisoformat(bucket.headers["x-amz-object-lock-retain-until-date"])
    assert until - datetime.now(UTC) > timedelta(days=2557)
    assert bucket.headers["x-amz-meta-sha256"] == sha256(b"one").hexdigest()
    assert "Expect" not in bucket.headers  # that would cost each put a round trip


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    access = S3Access(
        region="x", endpoint="http://127.0.0.1:9", path_style=True, keys=lambda: KEYS,
        connect_seconds=0.3, read_seconds=0.3,
    )  # fmt: skip
    store = S3Store(S3Target(bucket="audit", access=access))
    with pytest.raises(StoreTransient, match="EndpointConnectionError"):
        await store.get("a/b")
    await store.close()


async def test_less_than_tls_1_3_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    made = identity(tmp_path, "s3")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.bundle)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", Scripted().handle)
    server = TestServer(app)
    await server.start_server(ssl=context)
    access = S3Access(
        region="x", endpoint=f"https://127.0.0.1:{server.port}", path_style=True,
        keys=lambda: KEYS, ca_file=str(made.certificate),
    )  # fmt: skip
    taken = S3Store(S3Target(bucket="audit", access=access))
    assert await taken.names("") == []
    store = S3Store(S3Target(bucket="audit", access=replace(access, require_tls13=True)))
    with pytest.raises(StoreTransient, match="SSLError") as caught:
        await store.names("")
    assert not caught.value.hint  # the certificate is well
    for each in (store, taken, server):
        await each.close()


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """None anywhere the SDK looks."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")


@pytest.mark.usefixtures("no_key")
async def test_without_any_key_it_says_what_to_set() -> None:
    store = S3Store(S3Target(bucket="audit", access=S3Access(region="eu-central-1")))
    with pytest.raises(StoreRefused, match="AUDIT_S3_ACCESS_KEY_ID"):
        await store.get("a/b")
    await store.close()


@pytest.mark.usefixtures("no_key")
async def test_a_role_whose_token_is_not_there_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It opens the breaker, and comes back when the token does; it ends no process."""
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/worker")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token")
    store = S3Store(S3Target(bucket="audit", access=S3Access(region="eu-central-1")))
    with pytest.raises(StoreRefused, match="CredentialRetrievalError"):
        await store.get("a/b")
    await store.close()
