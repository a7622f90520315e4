"""Subject objects in an Azure container: rewritable, each rewrite guarded by If-Match.

The container lies in an account without versions and without soft delete, or what was zeroed could
be brought back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient

from audit_stream.ports import Versioned
from audit_stream.posture import Finding
from audit_stream.stores.azure_client import IF_MISSING, Connection, list_names
from audit_stream.stores.azure_errors import check_absent, doubt, error_code, is_ambiguous
from audit_stream.stores.azure_judge import judge_subjects
from audit_stream.stores.azure_survey import survey_subjects
from audit_stream.stores.azure_target import AzureTarget
from audit_stream.stores.names import check_body, check_name, check_prefix
from audit_stream.stores.settling import Unclear, settle_removal, settle_write

_CHANGED = frozenset(("BlobAlreadyExists", "ConditionNotMet", "BlobNotFound"))
#: A worker need not have the right to rewrite: the service then says so before it looks at the
#: condition. Of a rewrite the same code is a refusal.
_TAKEN = _CHANGED | {"UnauthorizedBlobOverwrite"}


class AzureSubjectStore:
    """`ports.SubjectStore` on one container.

    A rewrite whose answer was lost is settled by reading: objects hold random bytes, so equal ones
    are our own.
    """

    def __init__(self, target: AzureTarget) -> None:
        self._target = target
        self._connection = Connection(target)

    async def create(self, name: str, data: bytes) -> bool:
        """See `ports.SubjectStore`."""
        check_name(name)
        check_body(name, data)
        return await self._write(name, data, IF_MISSING)

    async def get(self, name: str) -> Versioned | None:
        """See `ports.SubjectStore`."""
        check_name(name)
        with self._connection.errors(f"reading {name}"):
            try:
                stream = await self._blob(name).download_blob(max_concurrency=1)
                return Versioned(bytes(await stream.readall()), str(stream.properties.etag))
            except ResourceNotFoundError as error:
                check_absent(error)
                return None

    async def replace(self, name: str, data: bytes, etag: str) -> bool:
        """See `ports.SubjectStore`."""
        check_name(name)
        check_body(name, data)
        return await self._write(name, data, _if_match(etag))

    async def remove(self, name: str, etag: str) -> bool:
        """See `ports.SubjectStore`."""
        check_name(name)
        try:
            removal = self._blob(name).delete_blob(**_if_match(etag))
            return await self._conditional(f"removing {name}", removal)
        except Unclear as unclear:
            return await settle_removal(self, name, etag, unclear)

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.SubjectStore`."""
        check_prefix(prefix)
        with self._connection.errors(f"listing {prefix or 'the subjects'}"):
            return await list_names(self._connection.container(), prefix, after, limit)

    async def findings(self) -> Sequence[Finding]:
        """See `ports.SubjectStore`."""
        return judge_subjects(await survey_subjects(self._connection, self._target))

    async def close(self) -> None:
        """See `ports.SubjectStore`."""
        await self._connection.close()

    async def _write(self, name: str, data: bytes, condition: dict[str, Any]) -> bool:
        try:
            upload = self._connection.upload(name, data, **condition)
            no = _CHANGED if "etag" in condition else _TAKEN
            return await self._conditional(f"storing {name}", upload, no)
        except Unclear as unclear:
            return await settle_write(self, name, data, condition.get("etag"), unclear)

    async def _conditional(
        self, doing: str, call: Awaitable[None], no: Collection[str] = _CHANGED
    ) -> bool:
        """Whether its condition held; `no`: the codes that deny it. `Unclear` when the answer was
        lost."""
        with self._connection.errors(doing):
            try:
                await call
            except AzureError as error:
                if error_code(error) in no:
                    return False
                if is_ambiguous(error):
                    raise Unclear.of(doubt(doing, error)) from error
                raise
            return True

    def _blob(self, name: str) -> BlobClient:
        return self._connection.container().get_blob_client(name)


def _if_match(etag: str) -> dict[str, Any]:
    return {"match_condition": MatchConditions.IfNotModified, "etag": etag}
