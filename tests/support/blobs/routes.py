"""From a request to the operation it names, and back to an answer. No sockets here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlsplit

from tests.support.blobs import wire
from tests.support.blobs.account import md5
from tests.support.blobs.model import ApiError, Call, Policy, Version
from tests.support.blobs.service import BlobService
from tests.support.blobs.wire import Answer

ACCOUNT = "devaccount"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request that has arrived whole. Its headers compare without regard to case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def call(self) -> Call:
        """What every operation needs to know of it."""
        container, name = names(self.path)
        return Call(
            container, name, self.query.get("sig"), self.headers.get("Authorization"),
            self.query.get("sp") if "skoid" in self.query else None,
            self.headers.get("If-Match"), self.headers.get("If-None-Match"),
            self.query.get("versionid"), self.query.get("snapshot"),
        )  # fmt: skip


Route = Callable[[BlobService, Incoming], Answer]


def names(path: str) -> tuple[str, str]:
    """Container and blob of a path below an account."""
    container, _, name = path.removeprefix("/").partition("/")[2].partition("/")
    if not container:
        raise ApiError(400, "InvalidUri")
    return container, name


def answer(service: BlobService, request: Incoming) -> Answer:
    """Do what the request asks for."""
    try:
        return _route(request)(service, request)
    except ApiError as failure:
        return wire.error(failure)


def _route(request: Incoming) -> Route:
    if request.query.get("restype") == "service":
        if (request.method, request.query.get("comp")) == ("POST", "userdelegationkey"):
            return _delegation_key
        raise ApiError(501, "NotImplemented")
    table = _BLOB if request.call.name else _CONTAINER
    method = "GET" if request.method == "HEAD" else request.method
    route = table.get((method, request.query.get("comp", "")))
    if route is None:
        raise ApiError(501, "NotImplemented")
    return route


def _delegation_key(service: BlobService, request: Incoming) -> Answer:
    service.access.rights(None, request.headers.get("Authorization"))
    start = datetime.fromtimestamp(service.clock.now, UTC)
    facts = {
        "SignedOid": "user", "SignedTid": "tenant", "SignedStart": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "SignedExpiry": f"{start + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}", "SignedService": "b",
        "SignedVersion": request.headers.get("x-ms-version", ""), "Value": md5(b"any key"),
    }  # fmt: skip
    return Answer(200, {"Content-Type": "application/xml"}, wire.facts("UserDelegationKey", facts))


# Containers


def _create_container(service: BlobService, request: Incoming) -> Answer:
    service.create_container(request.call)
    return Answer(201, _container_facts(service))


def _delete_container(service: BlobService, request: Incoming) -> Answer:
    service.delete_container(request.call)
    return Answer(202)


def _container(service: BlobService, request: Incoming) -> Answer:
    found = service.container(request.call)
    return Answer(200, _container_facts(service) | wire.container(found))


def _container_facts(service: BlobService) -> dict[str, str]:
    return {"ETag": '"0xC"', "Last-Modified": wire.http_date(service.clock.now)}


def _list(service: BlobService, request: Incoming) -> Answer:
    query = request.query
    include = frozenset(query.get("include", "").split(","))
    limit = int(query.get("maxresults", service.page_limit))
    if limit < 1:
        raise ApiError(400, "OutOfRangeQueryParameterValue")
    limit = min(limit, service.page_limit)
    found = service.list_blobs(request.call, query.get("prefix", ""), include)
    markers = [wire.marker(each) for each in found]
    start = _start(markers, query.get("marker"))
    page, after = found[start : start + limit], markers[start + limit : start + limit + 1]
    blobs = service.containers[request.call.container].blobs.values()
    current = {blob.current.version_id for blob in blobs if blob.current is not None}
    body = wire.listing(page, current, query, after[0] if after else "")
    return Answer(200, {"Content-Type": "application/xml"}, body)


def _start(markers: list[str], marker: str | None) -> int:
    if not marker:
        return 0
    if marker not in markers:  # what it named is gone: there is no page to go on with
        raise ApiError(400, "InvalidQueryParameterValue")
    return markers.index(marker)


# Blobs


def _written(service: BlobService, request: Incoming, status: int, version: Version) -> Answer:
    versioned = service.containers[request.call.container].kind == "vlw"
    return Answer(status, wire.written(version, versioned=versioned))


def _put(service: BlobService, request: Incoming) -> Answer:
    given = wire.upload(request.headers, request.body)
    if given.blob_type not in ("BlockBlob", "AppendBlob"):
        raise ApiError(400, "InvalidHeaderValue")
    source = request.headers.get("x-ms-copy-source")
    if source is None:
        made = _written(service, request, 201, service.put(request.call, given))
        made.headers["Content-MD5"] = md5(request.body)
        return made
    container, name = names(unquote(urlsplit(source).path))
    version = service.copy(request.call, Call(container, name), given)
    made = _written(service, request, 202, version)
    made.headers |= {"x-ms-copy-id": version.etag.strip('"'), "x-ms-copy-status": "success"}
    return made


def _block(service: BlobService, request: Incoming) -> Answer:
    given = wire.upload(request.headers, request.body)
    service.put_block(request.call, request.query.get("blockid", ""), given)
    return Answer(201, {"Content-MD5": md5(request.body)})


def _block_list(service: BlobService, request: Incoming) -> Answer:
    # The Content-MD5 of this request is the one of its XML.
    given = replace(wire.upload(request.headers, b""), md5=None)
    version = service.put_block_list(request.call, wire.block_ids(request.body), given)
    return _written(service, request, 201, version)


def _append(service: BlobService, request: Incoming) -> Answer:
    position = request.headers.get("x-ms-blob-condition-appendpos")
    given = wire.upload(request.headers, request.body)
    version = service.append(request.call, given, None if position is None else int(position))
    made = _written(service, request, 201, version)
    made.headers["x-ms-blob-append-offset"] = str(len(version.body) - len(request.body))
    made.headers["x-ms-blob-committed-block-count"] = str(version.blocks)
    return made


def _metadata(service: BlobService, request: Incoming) -> Answer:
    version = service.set_metadata(request.call, wire.metadata(request.headers))
    return _written(service, request, 200, version)


def _properties(service: BlobService, request: Incoming) -> Answer:
    version = service.set_properties(request.call, wire.content(request.headers))
    return _written(service, request, 200, version)


def _page(service: BlobService, request: Incoming) -> Answer:
    service.put_page(request.call)
    return Answer(201)


def _snapshot(service: BlobService, request: Incoming) -> Answer:
    shot = service.snapshot(request.call, wire.metadata(request.headers))
    made = _written(service, request, 201, shot)
    made.headers["x-ms-snapshot"] = shot.snapshot or ""
    return made


def _tier(service: BlobService, request: Incoming) -> Answer:
    service.set_tier(request.call, request.headers.get("x-ms-access-tier", "Hot"))
    return Answer(200)


def _tags(service: BlobService, request: Incoming) -> Answer:
    service.set_tags(request.call)
    return Answer(204)


def _set_policy(service: BlobService, request: Incoming) -> Answer:
    asked = wire.policy(request.headers)
    if not isinstance(asked, Policy):
        raise ApiError(400, "MissingRequiredHeader")
    return Answer(200, wire.protection(service.set_policy(request.call, asked)))


def _delete_policy(service: BlobService, request: Incoming) -> Answer:
    service.delete_policy(request.call)
    return Answer(200)


def _hold(service: BlobService, request: Incoming) -> Answer:
    on = request.headers.get("x-ms-legal-hold", "").lower() == "true"
    service.set_hold(request.call, on=on)
    return Answer(200, {"x-ms-legal-hold": str(on).lower()})


def _delete(service: BlobService, request: Incoming) -> Answer:
    service.delete(request.call)
    return Answer(202)


def _get(service: BlobService, request: Incoming) -> Answer:
    call = request.call
    version = service.head(call) if request.method == "HEAD" else service.read(call)
    if call.if_none_match == version.etag:
        return Answer(304, {"ETag": version.etag, "x-ms-error-code": "ConditionNotMet"})
    container = service.containers[call.container]
    current = version is container.blobs[call.name].current
    headers = wire.described(version, versioned=container.kind == "vlw", current=current)
    span = request.headers.get("x-ms-range") or request.headers.get("Range")
    if span is None or request.method == "HEAD":
        return Answer(200, headers, version.body)
    return _part(request, Answer(206, headers, version.body), span)


def _part(request: Incoming, whole: Answer, span: str) -> Answer:
    size = len(whole.body)
    first, _, last = span.removeprefix("bytes=").partition("-")
    if not first.isdecimal() or int(first) >= size:
        raise ApiError(416, "InvalidRange", {"Content-Range": f"bytes */{size}"})
    end = min(int(last) + 1, size) if last else size
    body = whole.body[int(first) : end]
    headers = dict(whole.headers) | {"Content-Range": f"bytes {first}-{end - 1}/{size}"}
    if (stored := headers.pop("Content-MD5", None)) is not None:
        headers["x-ms-blob-content-md5"] = stored
    if request.headers.get("x-ms-range-get-content-md5", "").lower() == "true":
        headers["Content-MD5"] = md5(body)
    return Answer(206, headers, body)


_CONTAINER: dict[tuple[str, str], Route] = {
    ("PUT", ""): _create_container,
    ("DELETE", ""): _delete_container,
    ("GET", ""): _container,
    ("GET", "list"): _list,
}
_BLOB: dict[tuple[str, str], Route] = {
    ("PUT", ""): _put,
    ("PUT", "block"): _block,
    ("PUT", "blocklist"): _block_list,
    ("PUT", "appendblock"): _append,
    ("PUT", "metadata"): _metadata,
    ("PUT", "properties"): _properties,
    ("PUT", "page"): _page,
    ("PUT", "snapshot"): _snapshot,
    ("PUT", "tier"): _tier,
    ("PUT", "tags"): _tags,
    ("PUT", "immutabilityPolicies"): _set_policy,
    ("DELETE", "immutabilityPolicies"): _delete_policy,
    ("PUT", "legalhold"): _hold,
    ("DELETE", ""): _delete,
    ("GET", ""): _get,
}
