"""What is sent with a body, and what keeps a version: its checksum, its retention, its hold."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Any

from audit_stream.stores.s3_client import Connection
from audit_stream.stores.s3_errors import SDK_ERRORS, UNPROTECTED, error_code
from audit_stream.stores.s3_versions import Version

#: The mode that nobody can shorten or lift, Amazon's root user included.
COMPLIANCE = "COMPLIANCE"


def checksum(data: bytes) -> dict[str, str]:
    """Has the service compute the body's SHA-256 and refuse what differs."""
    return {
        "ChecksumAlgorithm": "SHA256", "ChecksumSHA256": b64encode(sha256(data).digest()).decode(),
    }  # fmt: skip


async def retention_of(connection: Connection, version: Version) -> dict[str, Any]:
    """``Mode`` and ``RetainUntilDate`` of a version; empty where nothing keeps it by time."""
    try:
        found = await connection.ask("get_object_retention", Key=version.name, VersionId=version.id)
    except SDK_ERRORS as error:
        if error_code(error) in UNPROTECTED:
            return {}
        raise
    return dict(found.get("Retention", {}))


async def is_held(connection: Connection, version: Version) -> bool:
    """Whether a legal hold stands on a version."""
    try:
        found = await connection.ask(
            "get_object_legal_hold", Key=version.name, VersionId=version.id
        )
    except SDK_ERRORS as error:
        if error_code(error) in UNPROTECTED:
            return False
        raise
    return bool(found.get("LegalHold", {}).get("Status") == "ON")
