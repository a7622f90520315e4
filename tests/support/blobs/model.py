"""What the double stores: containers, blobs and their versions; its clock and its error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["plain", "clw", "vlw"]
Mode = Literal["locked", "unlocked"]
DAY = 86_400


class ApiError(Exception):
    """An answer of the service that is not a success."""

    def __init__(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code, self.headers = status, code, headers or {}


class Clock:
    """Unix seconds that a test moves; whole ones, as the service keeps its dates."""

    def __init__(self, now: int) -> None:
        self._now = now

    @property
    def now(self) -> int:
        """The present time."""
        return self._now

    def set(self, now: int) -> None:
        """Move to `now`; a clock that went back would end retentions that had ended already."""
        if now < self._now:
            raise ValueError(f"the clock is at {self._now}, it does not go back to {now}")
        self._now = now

    def advance(self, seconds: int) -> None:
        """Let `seconds` pass."""
        self.set(self._now + seconds)


@dataclass(frozen=True, slots=True)
class Policy:
    """The retention of one version."""

    until: int
    mode: Mode = "unlocked"


@dataclass(slots=True)
class Version:
    """One state of a blob; on a container without versions, its only one."""

    name: str
    version_id: str
    etag: str
    body: bytes
    created: int
    modified: int
    retained_from: int  # creation, or the last append: what a container's retention counts from
    blob_type: str = "BlockBlob"
    content: dict[str, str] = field(default_factory=dict)  # Content-Type, -Encoding, -MD5, …
    metadata: dict[str, str] = field(default_factory=dict)
    policy: Policy | None = None
    hold: bool = False
    tier: str = "Hot"
    snapshot: str | None = None
    blocks: int = 0


@dataclass(slots=True)
class Blob:
    """All that stands under one name."""

    current: Version | None = None
    previous: list[Version] = field(default_factory=list)  # oldest first
    snapshots: list[Version] = field(default_factory=list)
    staged: dict[str, bytes] = field(default_factory=dict)  # blocks that no list has committed

    def versions(self) -> list[Version]:
        """Every version, oldest first."""
        return self.previous + ([self.current] if self.current else [])


@dataclass(slots=True)
class Container:
    """A container and what its owner has set on the management plane."""

    name: str
    kind: Kind = "plain"
    days: int | None = None  # None: no policy (any more)
    locked: bool = True
    append: bool = False  # allowProtectedAppendWrites
    append_all: bool = False  # allowProtectedAppendWritesAll
    public_access: str = "None"
    extended: int = 0  # times a locked policy was extended
    changes: int = 0  # of the policy, for its ETag
    holds: set[str] = field(default_factory=set)  # tags of container-level legal holds
    blobs: dict[str, Blob] = field(default_factory=dict)

    @property
    def policy_etag(self) -> str:
        """Of the policy."""
        return f'"{self.changes:016x}"'

    def hold(self, tag: str) -> None:
        """Set a container-level legal hold, which version-level WORM excludes."""
        if self.kind == "vlw":
            raise ValueError("a container with version-level WORM takes no container hold")
        self.holds.add(tag)

    def release(self, tag: str) -> None:
        """Clear one legal hold."""
        self.holds.discard(tag)

    def unlock(self) -> None:
        """What no owner can do to a locked policy: let a test see who would notice."""
        self.locked = False

    def remove_policy(self) -> None:
        """Remove the policy. Versions keep what they have, a container-level one is gone."""
        self.days = None

    @property
    def immutable(self) -> bool:
        """Whether a container-level policy stands, be its blobs' retention over or not."""
        return self.kind == "clw" and self.days is not None


@dataclass(frozen=True, slots=True)
class Call:
    """What every operation needs to know of its request."""

    container: str
    name: str = ""
    sig: str | None = None
    authorization: str | None = None
    delegated: str | None = None  # rights of a SAS that a user's delegation key signed
    if_match: str | None = None
    if_none_match: str | None = None
    version_id: str | None = None
    snapshot: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """What a request that makes a blob brings along."""

    body: bytes = b""
    md5: str | None = None  # of the transfer; the one of the blob is in `content`
    blob_type: str = "BlockBlob"
    content: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    policy: Policy | None = None
    hold: bool | None = None
    tier: str = "Hot"
