"""A bucket that answers as told: for what no real server says on demand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from audit_stream.stores.s3 import S3Store
from audit_stream.stores.s3_target import S3Access, S3Keys, S3Target

KEYS = S3Keys(key_id="AKID", secret="s3cret")
EMPTY = "<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>"
LOCKED = (
    "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>"
    "</ObjectLockConfiguration>"
)
GOVERNED = (
    "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2040-01-01T00:00:00Z</RetainUntilDate>"
    "</Retention>"
)


def one_version(version: str, *, more: bool = False) -> Callable[[], web.Response]:
    """A listing in which a/b has one version, of three bytes; `more`: and others on a next page."""
    entry = (
        f"<Version><Key>a/b</Key><VersionId>{version}</VersionId><Size>3</Size>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Version>"
    )
    behind = (
        f"<NextKeyMarker>a/b</NextKeyMarker><NextVersionIdMarker>{version}</NextVersionIdMarker>"
    )
    text = EMPTY.replace("<IsTr", f"{entry}{behind if more else ''}<IsTr")
    return lambda: web.Response(text=text.replace("false", "true") if more else text)


@dataclass
class Scripted:
    """A bucket with Object Lock and nothing in it, whose puts are answered as told."""

    put: Callable[[], web.Response] = web.Response
    lock: Callable[[], web.Response] = field(default=lambda: web.Response(text=LOCKED))
    delete: Callable[[], web.Response] = web.Response
    read: Callable[[], web.Response] = web.Response
    listing: Callable[[], web.Response] = field(default=lambda: web.Response(text=EMPTY))
    seen: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.seen.append(request.method)
        self.query = request.query
        if request.method in ("PUT", "DELETE"):
            self.headers, self.body = request.headers.copy(), await request.read()
            return self.put() if request.method == "PUT" else self.delete()
        if "object-lock" in request.query:
            return self.lock()
        if "retention" in request.query:
            return web.Response(text=GOVERNED)
        return self.read() if "versionId" in request.query else self.listing()

    @property
    def puts(self) -> int:
        return self.seen.count("PUT")


def said(status: int, code: str, **headers: str) -> web.Response:
    text = f"<Error><Code>{code}</Code><Message>of s3cret</Message></Error>"
    return web.Response(status=status, text=text, headers=headers, content_type="application/xml")


@asynccontextmanager
async def scripted_store() -> AsyncIterator[tuple[Scripted, S3Store]]:
    """The bucket, and a store that asks it."""
    bucket = Scripted()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", bucket.handle)
    async with TestServer(app) as server:
        access = S3Access(
            region="eu-central-1", endpoint=str(server.make_url("")).rstrip("/"), path_style=True,
            keys=lambda: KEYS, read_seconds=2, connections=2,
        )  # fmt: skip
        store = S3Store(S3Target(bucket="audit", access=access))
        yield bucket, store
        await store.close()
