"""Headers and XML: how the service's things look on the wire."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from xml.etree import ElementTree as ET

from tests.support.blobs.model import ApiError, Container, Policy, Upload, Version

CONTENT = ("Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language",
           "Content-MD5", "Content-Type")  # fmt: skip
_UNTIL, _MODE = "x-ms-immutability-policy-until-date", "x-ms-immutability-policy-mode"


@dataclass(slots=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def http_date(seconds: int) -> str:
    """As in Last-Modified."""
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def error(failure: ApiError) -> Answer:
    """The error's header, and its body, which a HEAD does not send."""
    root = ET.Element("Error")
    ET.SubElement(root, "Code").text = failure.code
    ET.SubElement(root, "Message").text = f"{failure.code}: the double refuses this request."
    headers = {"x-ms-error-code": failure.code, "Content-Type": "application/xml"}
    return Answer(failure.status, headers | failure.headers, xml(root))


def facts(name: str, texts: Mapping[str, str]) -> bytes:
    """A document of one level."""
    root = ET.Element(name)
    _children(root, texts)
    return xml(root)


def xml(root: ET.Element) -> bytes:
    """A document."""
    document: bytes = ET.tostring(root, "utf-8", xml_declaration=True)
    return document


def upload(headers: Mapping[str, str], body: bytes) -> Upload:
    """What a Put Blob brings along."""
    hold = headers.get("x-ms-legal-hold")
    return Upload(
        body, headers.get("Content-MD5"), headers.get("x-ms-blob-type", "BlockBlob"),
        content(headers), metadata(headers), policy(headers),
        None if hold is None else hold.lower() == "true",
        headers.get("x-ms-access-tier", "Hot"),
    )  # fmt: skip


def content(headers: Mapping[str, str]) -> dict[str, str]:
    """The content settings that a request gives its blob."""
    given = {name: headers.get(f"x-ms-blob-{name.lower()}") for name in CONTENT}
    return {name: value for name, value in given.items() if value is not None}


def metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """The `x-ms-meta-` headers."""
    prefix = "x-ms-meta-"
    return {
        name[len(prefix) :]: value
        for name, value in headers.items()
        if name.lower().startswith(prefix)
    }


def policy(headers: Mapping[str, str]) -> Policy | None:
    """The policy a request asks for: unlocked unless it says otherwise (rule 18)."""
    until, mode = headers.get(_UNTIL), headers.get(_MODE, "unlocked").lower()
    if until is None:
        return None
    try:
        seconds = int(parsedate_to_datetime(until).timestamp())
    except ValueError as bad:
        raise ApiError(400, "InvalidHeaderValue") from bad
    if mode not in ("locked", "unlocked"):
        raise ApiError(400, "InvalidHeaderValue")
    return Policy(seconds, "locked" if mode == "locked" else "unlocked")


def protection(version: Version) -> dict[str, str]:
    """The headers that tell a version's policy and hold."""
    found = {"x-ms-legal-hold": "true"} if version.hold else {}
    if version.policy is not None:
        found |= {_UNTIL: http_date(version.policy.until), _MODE: version.policy.mode}
    return found


def written(version: Version, *, versioned: bool) -> dict[str, str]:
    """The headers of an answer to a write."""
    headers = {
        "ETag": version.etag,
        "Last-Modified": http_date(version.modified),
        "x-ms-request-server-encrypted": "true",
    }
    return headers | ({"x-ms-version-id": version.version_id} if versioned else {})


def described(version: Version, *, versioned: bool, current: bool) -> dict[str, str]:
    """The headers of a Get Blob or Get Blob Properties."""
    headers = written(version, versioned=versioned) | protection(version) | version.content
    headers |= {f"x-ms-meta-{name}": value for name, value in version.metadata.items()}
    headers |= {
        "x-ms-blob-type": version.blob_type,
        "x-ms-creation-time": http_date(version.created),
        "x-ms-access-tier": version.tier,
        "x-ms-server-encrypted": "true",
        "Accept-Ranges": "bytes",
    }
    headers.setdefault("Content-Type", "application/octet-stream")
    if versioned and current:
        headers["x-ms-is-current-version"] = "true"
    if version.blob_type == "AppendBlob":
        headers["x-ms-blob-committed-block-count"] = str(version.blocks)
    return headers


def container(found: Container) -> dict[str, str]:
    """The headers of Get Container Properties. The state and the length of a policy are on the
    management plane only; whether a default policy of versions counts as one is not documented."""
    flags = {
        "x-ms-has-immutability-policy": found.days is not None,
        "x-ms-has-legal-hold": bool(found.holds),
        "x-ms-immutable-storage-with-versioning-enabled": found.kind == "vlw",
    }
    return {name: str(flag).lower() for name, flag in flags.items()}


def listing(found: list[Version], current: set[str], query: Mapping[str, str], after: str) -> bytes:
    """One page of List Blobs; `after` is the marker of the next. What the query asked for is said
    again, as the SDK takes its next query from there."""
    include = frozenset(query.get("include", "").split(","))
    root = ET.Element("EnumerationResults")
    for tag in ("Prefix", "Marker", "MaxResults"):
        if tag.lower() in query:
            ET.SubElement(root, tag).text = query[tag.lower()]
    blobs = ET.SubElement(root, "Blobs")
    for version in found:
        _item(blobs, version, include, current=version.version_id in current)
    ET.SubElement(root, "NextMarker").text = after
    return xml(root)


def _item(blobs: ET.Element, version: Version, include: frozenset[str], *, current: bool) -> None:
    item = ET.SubElement(blobs, "Blob")
    facts = {"Name": version.name}
    if version.snapshot is not None:
        facts["Snapshot"] = version.snapshot
    elif "versions" in include:
        facts |= {"VersionId": version.version_id} | (
            {"IsCurrentVersion": "true"} if current else {}
        )
    _children(item, facts)
    _children(ET.SubElement(item, "Properties"), _properties(version, include))
    if "metadata" in include:
        _children(ET.SubElement(item, "Metadata"), version.metadata)


def _properties(version: Version, include: frozenset[str]) -> dict[str, str]:
    found = {
        "Creation-Time": http_date(version.created),
        "Last-Modified": http_date(version.modified),
        "Etag": version.etag.strip('"'),
        "Content-Length": str(len(version.body)),
        "BlobType": version.blob_type,
        "AccessTier": version.tier,
    } | version.content
    if "immutabilitypolicy" in include and version.policy is not None:
        found["ImmutabilityPolicyUntilDate"] = http_date(version.policy.until)
        found["ImmutabilityPolicyMode"] = version.policy.mode
    if "legalhold" in include and version.hold:
        found["LegalHold"] = "true"
    return found


def _children(parent: ET.Element, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        ET.SubElement(parent, name).text = text


def block_ids(body: bytes) -> list[str]:
    """The ids of a Put Block List."""
    try:
        return [each.text or "" for each in ET.fromstring(body)]
    except ET.ParseError as bad:
        raise ApiError(400, "InvalidXmlDocument") from bad


def marker(version: Version) -> str:
    """Where a page begins; opaque to the client."""
    key = f"{version.name}\n{version.version_id}\n{version.snapshot or ''}"
    return base64.urlsafe_b64encode(key.encode()).decode()
