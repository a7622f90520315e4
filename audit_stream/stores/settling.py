"""A request whose answer was lost: it may have happened, and looking at what stands settles it."""

from __future__ import annotations

from audit_stream.errors import StoreTransient
from audit_stream.ports import SubjectStore


class Unclear(StoreTransient):
    """The answer was lost: what was asked for may have happened."""

    @classmethod
    def of(cls, lost: StoreTransient) -> Unclear:
        """The same words."""
        return cls(lost.message, hint=lost.hint, retry_after=lost.retry_after)


def still_unclear(asked: StoreTransient, looked: StoreTransient) -> StoreTransient:
    """Neither the request nor the look that would settle it was answered."""
    return StoreTransient(
        f"{asked.message}; then {looked.message}", hint=asked.hint or looked.hint,
        retry_after=asked.retry_after or looked.retry_after,
    )  # fmt: skip


async def settle_write(
    store: SubjectStore, name: str, data: bytes, etag: str | None, unclear: Unclear
) -> bool:
    """Whether `data` stands, which was to go over `etag`, or under a free name (None).

    Objects hold random bytes, so equal ones are our own. `unclear` again while it may still land.
    """
    standing = await store.get(name)
    if standing is not None and standing.data == data:
        return True
    if (standing.etag if standing else None) != etag:
        return False  # somebody else's write came first
    raise unclear


async def settle_removal(store: SubjectStore, name: str, etag: str, unclear: Unclear) -> bool:
    """Whether the object is gone; `unclear` again while it stands as it did."""
    standing = await store.get(name)
    if standing is not None and standing.etag == etag:
        raise unclear
    return standing is None
