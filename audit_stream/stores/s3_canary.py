"""The canary: an object that the writer's own identity tries to change, shadow and delete.

One object for each release. What S3 accepts beside it (another version, a delete marker) stays for
ever on a bucket with a default retention, so each of the two is tried until it is there once; that
the oldest version withstands is tried every time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import Any, Protocol

from audit_stream import __version__
from audit_stream.errors import StoreTransient
from audit_stream.evidence import layout
from audit_stream.evidence.canonical import canonical
from audit_stream.ports import PutResult
from audit_stream.stores.observed import Attempt, Outcome
from audit_stream.stores.s3_client import Connection
from audit_stream.stores.s3_errors import DENIED, SDK_ERRORS, error_code, is_ambiguous
from audit_stream.stores.s3_facts import Retained
from audit_stream.stores.s3_protection import COMPLIANCE, checksum, retention_of
from audit_stream.stores.s3_versions import Version, oldest_version, standing

NAME = layout.canary_name(__version__)
BODY = canonical({"canary": f"audit-stream/{__version__}"})
_SHADOW = canonical({"canary": "overwritten"})
#: What a right, a policy, a retention or a hold refuses with; any other code may be another's.
_REFUSALS = frozenset((DENIED,))


class Puts(Protocol):
    """What the canary is put with: the store's own way."""

    async def put_if_absent(self, name: str, data: bytes, metadata: dict[str, str]) -> PutResult:
        """As `ports.WormStore`."""
        ...

    async def extend_retention(self, name: str, until_ms: int) -> None:
        """As `ports.WormStore`."""
        ...


async def try_canary(connection: Connection, store: Puts) -> tuple[Attempt, ...]:
    """Put the canary and attack it. `StoreError` when it cannot be put, or an attack's answer was
    lost: nothing is known then."""
    with connection.errors("trying the canary"):
        target = await _put(connection, store)
        attempts = [
            await _shadow(connection),
            await _mark(connection),
            await _shorten(connection, target),
        ]
        attempts.append(await _delete(connection, target))
        if attempts[-1].outcome is Outcome.ACCEPTED:
            # The retention of an old canary may be over, as it will be of all there is.
            target = await _put(connection, store)
            attempts[-1] = await _delete(connection, target)
    return tuple(attempts)


async def _put(connection: Connection, store: Puts) -> Version:
    await store.put_if_absent(NAME, BODY, {})
    found = await oldest_version(connection, NAME)
    if found is None:
        raise StoreTransient("the canary is gone: somebody removed it")
    return found


async def _shadow(connection: Connection) -> Attempt:
    """Overwrite it, unless another version stands before it already."""
    versions = [each async for each in standing(connection, NAME) if not each.marker]
    before = versions[-1]
    if len(versions) > 1:
        return Attempt("overwrite", Outcome.SHADOWED)
    put = connection.ask("put_object", Key=NAME, Body=_SHADOW, **checksum(_SHADOW))
    return await _still(connection, before, await attack_by("overwrite", put))


async def _mark(connection: Connection) -> Attempt:
    """Delete it without naming a version, unless a marker stands before it already."""
    found = [each async for each in standing(connection, NAME)]
    before = [each for each in found if not each.marker][-1]
    if any(each.marker for each in found):
        return Attempt("delete", Outcome.SHADOWED)
    delete = connection.ask("delete_object", Key=NAME)
    return await _still(connection, before, await attack_by("delete", delete))


async def _still(connection: Connection, before: Version, attempt: Attempt) -> Attempt:
    """What was accepted is no harm where the oldest version stands as it stood."""
    if attempt.outcome is not Outcome.ACCEPTED:
        return attempt
    after = await oldest_version(connection, NAME)
    if after is None or after.id != before.id:
        return attempt
    found = await connection.ask("get_object", Key=NAME, VersionId=after.id)
    return Attempt(attempt.attack, Outcome.SHADOWED) if found["Body"] == BODY else attempt


async def _shorten(connection: Connection, target: Version) -> Attempt:
    kept = await _retained_until(connection, target)
    if kept is None:  # the attack would set one, where there is none to shorten
        return Attempt("shorten", Outcome.ACCEPTED, "nothing to shorten")
    shorter = {"Mode": COMPLIANCE, "RetainUntilDate": kept - timedelta(minutes=1)}
    call = connection.ask(
        "put_object_retention", Key=NAME, VersionId=target.id, Retention=shorter,
        BypassGovernanceRetention=True,
    )  # fmt: skip
    return await attack_by("shorten", call)


async def _retained_until(connection: Connection, target: Version) -> Any:
    try:
        return (await retention_of(connection, target)).get("RetainUntilDate")
    except SDK_ERRORS as error:
        if error_code(error) != DENIED:
            raise
        return target.stored + timedelta(days=1)  # it may not look: it surely may not shorten


async def _delete(connection: Connection, target: Version) -> Attempt:
    """Delete the version that counts, without and with what lifts a retention in governance
    mode."""
    attempt = Attempt("delete version", Outcome.REFUSED)
    for options in ({}, {"BypassGovernanceRetention": True}):
        call = connection.ask("delete_object", Key=NAME, VersionId=target.id, **options)
        attempt = await attack_by("delete version", call)
        if attempt.outcome is not Outcome.REFUSED:
            break
    return attempt


async def attack_by(
    attack: str, call: Awaitable[object], refusals: Collection[str] = _REFUSALS
) -> Attempt:
    """How one attack ends; `refusals`: the codes that say no. Errors of the SDK that say nothing
    are raised as they are."""
    try:
        await call
    except SDK_ERRORS as error:
        code = error_code(error)
        if is_ambiguous(error) or code is None or code.isdecimal():  # not the service's word
            raise
        outcome = Outcome.REFUSED if code in refusals else Outcome.UNCLEAR
        return Attempt(attack, outcome, code)
    return Attempt(attack, Outcome.ACCEPTED)


async def try_retention(
    connection: Connection, extend: Callable[[str, int], Awaitable[None]], days: int
) -> Retained:
    """How the canary is kept; it is kept longer first where more days are wanted than when it was
    put. Errors of the SDK as they are."""
    found = await oldest_version(connection, NAME)
    if found is None:
        raise StoreTransient("the canary is gone: somebody removed it")
    await extend(NAME, round((found.stored + timedelta(days=days)).timestamp() * 1000))
    kept = await retention_of(connection, found)
    if not kept:
        return Retained(mode="")
    length = kept["RetainUntilDate"] - found.stored
    return Retained(mode=str(kept["Mode"]), days=length / timedelta(days=1))
