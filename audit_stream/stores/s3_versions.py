"""What stands in a bucket, version by version. Of a name the oldest version counts: whoever may
write can put another one, or a delete marker, in front of it, and nothing behind it.

Source: ListObjectVersions, Amazon S3 API Reference: ordered by key, and of a key the newest version
first; strongly consistent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit_stream.errors import StoreRefused
from audit_stream.stores.s3_client import Answer, Connection
from audit_stream.stores.s3_errors import no_answer

_PAGE = 1000  # entries; the service gives no more at once
_FEW = 4  # enough for a name with one version, and to see that another name follows


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of an object, or a delete marker."""

    name: str
    id: str  # "null" in a bucket that keeps no versions
    size: int = 0  # bytes
    stored: datetime
    marker: bool = False


async def oldest_version(connection: Connection, name: str) -> Version | None:
    """The version that counts; None when the name is free, or only markers are left of it."""
    found: Version | None = None
    async for each in standing(connection, name):
        found = each if not each.marker else found
    return found


async def standing(connection: Connection, name: str) -> AsyncIterator[Version]:
    """What stands under a name: its versions, the newest first; markers are among them anywhere."""
    async for page in _pages(connection, name, _FEW):
        for each in _entries(page):
            if each.name == name:
                yield each
        if page.get("NextKeyMarker") != name:  # the name sorts before all that it begins
            return


async def all_versions(
    connection: Connection, prefix: str, after: str = "", size: int = _PAGE
) -> AsyncIterator[Version]:
    """Every version and marker of every name that starts with `prefix` and is greater than `after`,
    names ascending. `size`: of the first page, for who wants a few."""
    if after > prefix and not after.startswith(prefix):
        return
    async for page in _pages(connection, prefix, size, after if after > prefix else ""):
        for each in sorted(_entries(page), key=lambda each: each.name):
            if each.name > after:  # some services list what stands at `after` itself
                yield each


async def list_names(
    connection: Connection, prefix: str, after: str, limit: int | None
) -> list[str]:
    """Names that have a version, ascending: a marker in front of one does not hide it."""
    if limit == 0 or (after > prefix and not after.startswith(prefix)):
        return []
    # One more than asked for: some services list what stands at `after` itself.
    size = _PAGE if limit is None else min(limit + 1, _PAGE)
    found: list[str] = []
    async for page in _pages(connection, prefix, size, after if after > prefix else ""):
        for version in page.get("Versions", ()):
            name = str(version["Key"])
            if name > after and (not found or name != found[-1]):
                found.append(name)
        if limit is not None and len(found) >= limit:
            return found[:limit]
    return found


async def _pages(
    connection: Connection, prefix: str, size: int, after: str = ""
) -> AsyncIterator[Answer]:
    """Pages of a listing; the first may be small, for most names have one version."""
    marker: dict[str, Any] = {"KeyMarker": after} if after else {}
    while True:
        page = await connection.ask(
            "list_object_versions", Prefix=prefix, MaxKeys=size, **marker
        )  # fmt: skip
        check_page(page)
        yield page
        if not page["IsTruncated"]:
            return
        if not page.get("NextKeyMarker"):
            raise StoreRefused(
                "a listing breaks off without saying where it goes on",
                hint="the service's ListObjectVersions is not S3's: it cannot hold an archive",
            )
        marker = {"KeyMarker": page["NextKeyMarker"]}
        if page.get("NextVersionIdMarker"):
            marker["VersionIdMarker"] = page["NextVersionIdMarker"]
        size = _PAGE


def check_page(page: Answer) -> None:
    """`StoreTransient` for an answer that is no listing: an empty body, or a page that is not the
    service's, reads as one of nothing, and no name may be taken for free by it."""
    if "IsTruncated" not in page:
        raise no_answer("listing")


def _entries(page: Answer) -> list[Version]:
    versions = [
        Version(
            name=str(each["Key"]), id=str(each["VersionId"]), size=int(each["Size"]),
            stored=each["LastModified"],
        )
        for each in page.get("Versions", ())
    ]  # fmt: skip
    markers = [
        Version(
            name=str(each["Key"]), id=str(each["VersionId"]), stored=each["LastModified"],
            marker=True,
        )
        for each in page.get("DeleteMarkers", ())
    ]  # fmt: skip
    return versions + markers
