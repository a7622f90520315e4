"""Answers with a good status that do not say what they seem to."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest
from aiohttp import web

from audit_stream.errors import StoreTransient
from audit_stream.ports import PutResult
from audit_stream.stores.s3 import S3Store
from audit_stream.stores.s3_subjects import S3SubjectStore
from audit_stream.stores.s3_target import S3Keys
from tests.contract.worm_store_contract import META
from tests.support.scripted_s3 import EMPTY, Scripted, one_version, said, scripted_store


@pytest.fixture
async def scripted() -> AsyncIterator[tuple[Scripted, S3Store]]:
    async with scripted_store() as made:
        yield made


NOTHING = pytest.mark.parametrize("text", ["", "<html><body>Sign in</body></html>"])


@NOTHING
async def test_an_answer_that_is_no_listing_frees_no_name(
    scripted: tuple[Scripted, S3Store], text: str
) -> None:
    """With a good status and nothing of S3's in it: it lists nothing, and says nothing."""
    bucket, store = scripted
    bucket.listing = partial(web.Response, text=text)
    subjects = S3SubjectStore(store._target)
    for call in (store.get("a/b"), store.names(""), subjects.names("")):
        with pytest.raises(StoreTransient, match="not S3's"):
            await call
    await subjects.close()


@NOTHING
async def test_an_answer_that_is_no_object_is_not_read(
    scripted: tuple[Scripted, S3Store], text: str
) -> None:
    bucket, store = scripted
    bucket.listing = one_version("v1")
    bucket.read = partial(web.Response, text=text)
    with pytest.raises(StoreTransient, match="not S3's"):
        await store.get("a/b")
    bucket.listing = partial(web.Response, text=text)
    subjects = S3SubjectStore(store._target)
    with pytest.raises(StoreTransient, match="not S3's"):
        await subjects.get("a/b")
    await subjects.close()


@NOTHING
async def test_only_a_bucket_that_says_so_has_no_object_lock(
    scripted: tuple[Scripted, S3Store], text: str
) -> None:
    """What is put without a retention would never get one."""
    bucket, store = scripted
    bucket.lock = partial(web.Response, text=text)
    bucket.put = partial(said, 500, "InternalError")
    with pytest.raises(StoreTransient):
        await store.put_if_absent("a/b", b"one", META)
    assert bucket.headers["x-amz-object-lock-mode"] == "COMPLIANCE"


async def test_a_success_that_names_no_version_is_settled_by_the_bytes(
    scripted: tuple[Scripted, S3Store],
) -> None:
    """What stood there before the bucket had versions has no id either, and may be another's."""
    bucket, store = scripted
    bucket.listing = one_version("null")
    bucket.read = partial(web.Response, body=b"one")
    assert await store.put_if_absent("a/b", b"one", META) is PutResult.STORED
    bucket.read = partial(web.Response, body=b"two")
    assert await store.put_if_absent("a/b", b"one", META) is PutResult.EXISTS


async def test_retention_in_another_mode_is_not_shortened(
    scripted: tuple[Scripted, S3Store],
) -> None:
    bucket, store = scripted
    bucket.listing = one_version("v1")
    await store.extend_retention("a/b", 1)
    assert b"COMPLIANCE" in bucket.body
    assert b"2040-01-01" in bucket.body


async def test_a_listing_goes_on_within_a_name(scripted: tuple[Scripted, S3Store]) -> None:
    """By the id of a version: without it Amazon goes on behind the name, and one that was put in
    front of the oldest would be taken for it."""
    bucket, store = scripted

    def listing() -> web.Response:
        if "key-marker" not in bucket.query:
            return one_version("new", more=True)()
        goes_on = (bucket.query["key-marker"], bucket.query.get("version-id-marker"))
        return one_version("old")() if goes_on == ("a/b", "new") else web.Response(text=EMPTY)

    bucket.listing = listing
    bucket.read = lambda: web.Response(text=bucket.query["versionId"])
    assert await store.get("a/b") == b"old"


async def test_a_log_at_its_most_talkative_tells_no_secret(
    scripted: tuple[Scripted, S3Store], caplog: pytest.LogCaptureFixture
) -> None:
    _, store = scripted
    keys = S3Keys(key_id="AKID", secret="s3cret", token="t0ken")
    target = replace(store._target, access=replace(store._target.access, keys=lambda: keys))
    caplog.set_level(logging.DEBUG)
    talkative = S3Store(target)
    assert await talkative.names("") == []
    await talkative.close()
    assert "s3cret" not in caplog.text + repr(keys)
    assert "t0ken" not in caplog.text + repr(keys)


async def test_each_request_waits_for_its_turn(scripted: tuple[Scripted, S3Store]) -> None:
    """A worker spaces its requests while one of its stores fails."""
    bucket, store = scripted
    bucket.put = partial(said, 503, "SlowDown")
    before: list[int] = []

    async def turn() -> None:
        before.append(len(bucket.seen))

    paced = S3Store(replace(store._target, turn=turn))
    with pytest.raises(StoreTransient):
        await paced.put_if_absent("a/b", b"one", META)
    await paced.close()
    assert bucket.seen == ["GET", "PUT", "GET"]
    assert before == [0, 1, 2]
