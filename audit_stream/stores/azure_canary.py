"""The canary: an object that the writer's own identity tries to change, overwrite and delete.

One object for each release, put again only when it is gone; every attack has to be refused. On a
container that enforces nothing the attacks succeed, and the canary is all they hit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from azure.core.exceptions import HttpResponseError
from azure.storage.blob.aio import BlobClient

from audit_stream import __version__
from audit_stream.evidence import layout
from audit_stream.evidence.canonical import canonical
from audit_stream.stores.azure_client import Connection
from audit_stream.stores.azure_errors import error_code, is_ambiguous, refused
from audit_stream.stores.azure_facts import Retained
from audit_stream.stores.observed import Attempt, Outcome

NAME = layout.canary_name(__version__)
BODY = canonical({"canary": f"audit-stream/{__version__}"})
_DAY = 86_400
#: What a role, a SAS, a policy or a hold refuses with; any other code may be somebody else's.
_REFUSALS = frozenset((
    "BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold", "UnauthorizedBlobOverwrite",
    "AuthorizationPermissionMismatch", "InsufficientAccountPermissions",
))  # fmt: skip
Put = Callable[[], Awaitable[object]]


async def try_canary(connection: Connection, put: Put) -> tuple[Attempt, ...]:
    """Put the canary and attack it. `StoreError` when it cannot be put, or an attack's answer was
    lost: nothing is known then."""
    with connection.errors("trying the canary"):
        blob = connection.container().get_blob_client(NAME)
        await put()
        changed = await _attack(
            "change metadata", blob.set_blob_metadata({"canary": "changed"})
        )  # fmt: skip
        overwritten = await _attack(
            "overwrite", blob.upload_blob(BODY, overwrite=True, metadata={"canary": "overwritten"})
        )
        return changed, overwritten, await _delete(blob, put)


async def _delete(blob: BlobClient, put: Put) -> Attempt:
    deleted = await _attack("delete", blob.delete_blob())
    if deleted.outcome is not Outcome.ACCEPTED:
        return deleted
    # The retention of an old canary may be over, as it will be of all there is: try a new one.
    await put()
    return await _attack("delete", blob.delete_blob())


async def _attack(attack: str, call: Awaitable[object]) -> Attempt:
    try:
        await call
    except HttpResponseError as error:
        if is_ambiguous(error):
            raise
        code = error_code(error)
        if code is None:  # not the service's word
            raise refused(f"trying to {attack}", error) from error
        known = error.status_code in (403, 409) and code in _REFUSALS
        return Attempt(attack, Outcome.REFUSED if known else Outcome.UNCLEAR, code)
    return Attempt(attack, Outcome.ACCEPTED)


async def retained(connection: Connection) -> Retained | None:
    """What a stored object gets on a container with version-level immutability."""
    with connection.errors("looking at the canary"):
        found = await connection.container().get_blob_client(NAME).get_blob_properties()
    policy = found.immutability_policy
    if policy.expiry_time is None:
        return Retained(locked=False, days=0)
    kept = policy.expiry_time - found.creation_time
    return Retained(
        locked=str(policy.policy_mode).lower() == "locked", days=kept.total_seconds() / _DAY
    )
