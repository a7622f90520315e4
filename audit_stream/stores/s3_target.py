"""Which S3 bucket, and how it is reached: plain data, without the SDK."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from audit_stream.errors import ConfigError
from audit_stream.stores.target import Target

_BUCKET = re.compile(r"[a-z0-9](?!.*\.\.)[a-z0-9.-]{1,61}[a-z0-9]").fullmatch
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+").fullmatch


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Keys:
    """An access key. Secrets stay out of the repr."""

    key_id: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)  # of temporary credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """How S3 is reached; the same for every bucket of a role.

    Without `keys` the SDK looks where it always does: its environment variables, the profile, the
    role of the workload (web identity), then of the machine.
    """

    region: str | None = None
    endpoint: str | None = None  # of a service that is compatible with S3; None: Amazon's
    path_style: bool = False  # the bucket in the path of a URL, else in its host name
    keys: Callable[[], S3Keys] | None = field(default=None, repr=False)  # read again when refused
    profile: str | None = None  # of the SDK's configuration files
    ca_file: str | None = None  # certificates of a private CA
    require_tls13: bool = False  # else 1.2 at least; 1.3 is taken where both ends have it
    connections: int = 16
    connect_seconds: float = 5.0
    read_seconds: float = 20.0  # from one part of an answer to the next


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Target(Target):
    """One bucket."""

    bucket: str
    access: S3Access

    @property
    def url(self) -> str:
        """``s3://bucket``: names it without a credential."""
        return f"s3://{self.bucket}"


def check_bucket(bucket: str) -> None:
    """`ConfigError` unless it is a name S3 gives. Source: "General purpose bucket naming rules",
    Amazon S3 User Guide."""
    if not _BUCKET(bucket) or _ADDRESS(bucket):
        raise ConfigError(
            "an s3 URL does not name a bucket",
            hint="s3://bucket, 3 to 63 lower-case letters, digits, dots and hyphens, nothing else",
        )
