"""Ports: what the pipeline asks of the world, as protocols whose docstrings are the contract.

Every implementation passes the one contract suite in ``tests/contract``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from audit_stream.posture import Finding, Posture


class PutResult(Enum):
    """How a put-if-absent ended. Both mean: an object stands durably under the name."""

    STORED = "stored"  # the bytes under the name are ours (or an identical twin's)
    EXISTS = "exists"  # other bytes stand under the name: read them, another writer won


class HoldLevel(Enum):
    """On what a store can set a legal hold."""

    OBJECT = "object"  # on each object
    CONTAINER = "container"  # on all objects of a container together, by `ContainerHolds`
    NONE = "none"  # on nothing: what is declared is not enforced


class WormStore(Protocol):
    """Write-once object storage. No overwrite and no delete exist in this protocol.

    Names are relative, ``/``-separated, printable ASCII without space or backslash, at most 1024
    bytes; no part is empty, longer than 255, or starts or ends with a dot. No name is the folder
    of another (``a`` and ``a/b``). Bodies are never empty.

    Errors are `errors.StoreError` and its subclasses only: `StoreTransient` may be retried,
    `StoreRefused` may not (credentials, configuration, read-only, a bad name). An error from
    `put_if_absent` means *unknown*: the bytes may or may not be stored; putting the same bytes
    again settles it. Every call ends within a time limit of the store's own; cancelling one
    returns at once, and what it was doing may still land later.
    """

    @property
    def url(self) -> str:
        """Where the archive lies, without credentials, for people."""
        ...

    async def put_if_absent(self, name: str, data: bytes, metadata: Mapping[str, str]) -> PutResult:
        """Store `data` under `name` unless something stands there; durable on return.

        Never overwrites. When the name is taken the stored bytes are compared:
        equal is `STORED` (our own earlier attempt, or a twin), other is `EXISTS`.
        """
        ...

    async def get(self, name: str) -> bytes | None:
        """The oldest bytes stored under `name`, or None when the name is free."""
        ...

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """Names starting with `prefix` and greater than `after`, ascending, at most `limit`.

        `prefix` may end inside a part and need not name a folder. The order is that of the whole
        names, code point by code point: ``a-b`` < ``a/b`` < ``a0``. Strongly consistent: an object
        whose put has returned is listed. Folders outside `prefix` are not read.
        """
        ...

    async def extend_retention(self, name: str, until_ms: int) -> None:
        """Keep `name` at least until `until_ms` (Unix ms). Never shortens: earlier is a no-op.

        `StoreRefused` when the name is free or the store has no retention per object.
        """
        ...

    async def set_hold(self, name: str, held: bool) -> None:
        """Set or lift a legal hold on one object; independent of retention.

        `StoreRefused` when the name is free or the store has no holds per object.
        """
        ...

    async def held(self, name: str) -> bool | None:
        """Whether a legal hold of its own stands on the object, read back from the service.

        None where objects have no holds of their own, and where of two stores one alone has it;
        else `StoreRefused` when the name is free.
        """
        ...

    async def hold_level(self) -> HoldLevel:
        """On what it can set holds."""
        ...

    async def posture(self) -> Posture:
        """Ask the store what it enforces, now, and try it where it can be tried."""
        ...

    async def close(self) -> None:
        """Release connections. The store is not used afterwards. May be called twice."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How an object of the archive is kept by the store itself. Times are Unix ms.

    Where versions stand under the name, it is free when the last of them is: `stored_ms`,
    `until_ms` and `held` are of all. The object itself is the oldest version, whatever was put in
    front of it.
    """

    name: str
    size: int  # bytes
    stored_ms: int | None  # None where the store does not tell
    until_ms: int | None  # None: it keeps nothing by time
    held: bool  # by a legal hold that it enforces
    oldest_stored_ms: int | None  # None, too, where only markers of a removal are left
    oldest_until_ms: int | None


class Inventory(Protocol):
    """What a store keeps, and for how long. Errors as `WormStore`'s."""

    @property
    def url(self) -> str:
        """Where the archive lies, without credentials, for people."""
        ...

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """As `WormStore.names`, of every name under which anything is left: a former version, or
        the marker of a removal. It asks nothing about any of them."""
        ...

    async def kept(self, prefix: str, *, after: str = "", before: str = "") -> Sequence[Kept]:
        """Of every object whose name starts with `prefix`, ascending; greater than `after`, and
        less than `before` where that is given. It may ask about each: ask for those in question.
        """
        ...

    async def close(self) -> None:
        """Release connections. May be called twice."""
        ...


class Disposer(Inventory, Protocol):
    """Removes what has expired. Apart from `WormStore` on purpose, with an identity of its own:
    whoever writes or reads an archive has no way to it."""

    async def remove_expired(self, name: str) -> bool:
        """Remove an object with all that stands under its name; durable on return.

        True when nothing stands there any more, whoever removed it. False when the store refuses:
        its retention runs, or it is held; nothing was removed then that it keeps.
        """
        ...


class ContainerHolds(Protocol):
    """Legal holds on a whole container, by tag. Setting and clearing twice changes nothing.

    A tag has 3 to 23 letters and digits, and is compared in lower case. Errors as `WormStore`.
    """

    async def tags(self) -> frozenset[str]:
        """The tags that stand now, ours and others'."""
        ...

    async def set_tag(self, tag: str, held: bool) -> None:
        """Set or clear one tag; the others stay."""
        ...


@dataclass(frozen=True, slots=True)
class Versioned:
    """A rewritable object's bytes with the entity tag that guards its next rewrite."""

    data: bytes
    etag: str


class SubjectStore(Protocol):
    """Small rewritable objects outside WORM, without versions or soft-deleted copies.

    Same names, errors and durability as `WormStore`; every rewrite is a compare-and-swap.
    """

    async def create(self, name: str, data: bytes) -> bool:
        """Store under a free name; False when the name is taken (bytes untouched)."""
        ...

    async def get(self, name: str) -> Versioned | None:
        """Bytes and entity tag, or None."""
        ...

    async def replace(self, name: str, data: bytes, etag: str) -> bool:
        """Rewrite if the entity tag still matches; False when it does not."""
        ...

    async def remove(self, name: str, etag: str) -> bool:
        """Remove if the entity tag still matches; False when it does not."""
        ...

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """As `WormStore.names`."""
        ...

    async def findings(self) -> Sequence[Finding]:
        """Ask the store what could bring back what was removed or rewritten, now."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A receiver said that it has stored what was posted."""

    at: str  # when it said so: RFC 3339, UTC
    said: str  # its status and where it keeps it, for people; no personal data


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A receiver's final no to one post: the same post again would get the same answer."""

    status: int  # of HTTP
    answer: str = field(repr=False)  # the beginning of its body; may repeat what was posted


class Delivery(Protocol):
    """A receiver of single posts that remembers idempotency keys, or says that it does.

    Errors are `errors.StoreError`'s: `StoreTransient` may pass (the post may have been stored or
    not), `StoreRefused` is nothing that waiting mends (credentials, configuration). Every call ends
    within a time limit of its own; it does not retry.
    """

    @property
    def target(self) -> str:
        """The receiver's name, for certificates and people; no URL with credentials."""
        ...

    async def deliver(self, body: bytes, key: str) -> Receipt | Rejected:
        """Post JSON under an idempotency key, and return when the receiver's answer is final."""
        ...


class Clock(Protocol):
    """Time that only moves forward, and waiting on it; tests drive their own."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment, never less than before."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once `monotonic` has advanced by `seconds` or more."""
        ...


class Alerts(Protocol):
    """The second way to reach operations, sharing nothing with the way that failed.

    `raise_alarm` never blocks and never raises; the same `key` is one alarm until it is closed.
    """

    def raise_alarm(self, key: str, summary: str, *, severity: str = "critical") -> None:
        """Open (or repeat) the alarm `key`, e.g. ``breaker:archive`` or ``fork:topic/3``."""
        ...

    def close_alarm(self, key: str, summary: str) -> None:
        """Close the alarm `key`."""
        ...
