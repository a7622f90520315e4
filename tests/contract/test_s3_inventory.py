"""What the inventory of a bucket asks: of names nothing but listings, and about what is in question
two requests a version."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from audit_stream.stores.disposal.s3 import S3Disposer
from tests.support.scripted_s3 import Scripted, scripted_store

_AT = "<LastModified>2026-01-01T00:00:00.000Z</LastModified>"


@dataclass
class Bucket:
    """Lists its names as the service does, and counts what it is asked."""

    scripted: Scripted
    disposer: S3Disposer
    names: list[str]
    gone: set[str]  # of which a marker alone is left
    sizes: list[int] = field(default_factory=list)  # of the pages that were asked for

    def listing(self) -> web.Response:
        query, most = self.scripted.query, int(self.scripted.query["max-keys"])
        self.sizes.append(most)
        behind = [
            name
            for name in self.names
            if name.startswith(query.get("prefix", "")) and name > query.get("key-marker", "")
        ]
        entries = "".join(map(self._entry, behind[:most]))
        more = len(behind) > most
        next_one = f"<NextKeyMarker>{behind[most - 1]}</NextKeyMarker>" if more else ""
        cut = f"<IsTruncated>{str(more).lower()}</IsTruncated>{next_one}"
        return web.Response(text=f"<ListVersionsResult>{cut}{entries}</ListVersionsResult>")

    def _entry(self, name: str) -> str:
        if name in self.gone:
            return f"<DeleteMarker><Key>{name}</Key><VersionId>m</VersionId>{_AT}</DeleteMarker>"
        return f"<Version><Key>{name}</Key><VersionId>v</VersionId>{_AT}<Size>3</Size></Version>"

    @property
    def asked(self) -> Counter[str]:
        return Counter(self.scripted.seen)


@pytest.fixture
async def bucket() -> AsyncIterator[Bucket]:
    names = [f"a/{number:05d}" for number in range(3_000)]
    async with scripted_store() as (scripted, store):
        disposer = S3Disposer(store._target)
        made = Bucket(scripted, disposer, names, {"a/00001"})
        scripted.listing = made.listing
        yield made
        await disposer.close()


async def test_names_are_listed_and_nothing_is_asked_about_them(bucket: Bucket) -> None:
    assert await bucket.disposer.names("a/") == bucket.names  # one with a marker alone among them
    assert bucket.sizes == [1000, 1000, 1000]
    assert await bucket.disposer.names("a/", after="a/01499", limit=1) == ["a/01500"]
    assert await bucket.disposer.names("a/", after="a/02999", limit=9) == []
    assert await bucket.disposer.names("a/", after="b", limit=9) == []
    assert bucket.sizes[3:] == [2, 10]
    assert len(bucket.scripted.seen) == 5


async def test_it_asks_about_what_lies_between_and_no_more(bucket: Bucket) -> None:
    kept = await bucket.disposer.kept("a/", after="a/01999", before="a/02010")
    assert [each.name for each in kept] == bucket.names[2000:2010]
    assert all(each.until_ms is not None for each in kept)
    assert bucket.sizes == [1000]
    assert len(bucket.scripted.seen) == 1 + 1 + 2 * 10  # the bucket's lock, a page, each version
