"""Subject objects in an S3 bucket: rewritable, each rewrite and removal guarded by If-Match.

The bucket keeps no versions and is not replicated, or what was rewritten could be brought back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from audit_stream.ports import Versioned
from audit_stream.posture import Finding
from audit_stream.stores.names import check_body, check_name, check_prefix
from audit_stream.stores.observed import Attempt
from audit_stream.stores.s3_canary import BODY, NAME, attack_by
from audit_stream.stores.s3_client import Connection
from audit_stream.stores.s3_errors import (
    ABSENT,
    CONDITION_FAILED,
    DENIED,
    SDK_ERRORS,
    doubt,
    error_code,
    is_ambiguous,
    no_answer,
)
from audit_stream.stores.s3_judge import judge_subjects
from audit_stream.stores.s3_protection import checksum
from audit_stream.stores.s3_survey import survey_subjects
from audit_stream.stores.s3_target import S3Target
from audit_stream.stores.s3_versions import check_page
from audit_stream.stores.settling import Unclear, settle_removal, settle_write

_PAGE = 1000  # names; the service gives no more at once
_CHANGED = CONDITION_FAILED | ABSENT
_WRONG_TAG = f'"{"0" * 32}"'


class S3SubjectStore:
    """`ports.SubjectStore` on one bucket.

    A rewrite whose answer was lost is settled by reading: objects hold random bytes, so equal ones
    are our own.
    """

    def __init__(self, target: S3Target) -> None:
        self._connection = Connection(target)

    async def create(self, name: str, data: bytes) -> bool:
        """See `ports.SubjectStore`."""
        check_name(name)
        check_body(name, data)
        return await self._write(name, data, None)

    async def get(self, name: str) -> Versioned | None:
        """See `ports.SubjectStore`."""
        check_name(name)
        with self._connection.errors(f"reading {name}"):
            try:
                found = await self._connection.ask("get_object", Key=name, ChecksumMode="ENABLED")
            except SDK_ERRORS as error:
                if error_code(error) in ABSENT:
                    return None
                raise
        if "ETag" not in found:
            raise no_answer(f"reading {name}")
        return Versioned(bytes(found["Body"]), str(found["ETag"]))

    async def replace(self, name: str, data: bytes, etag: str) -> bool:
        """See `ports.SubjectStore`."""
        check_name(name)
        check_body(name, data)
        return await self._write(name, data, etag)

    async def remove(self, name: str, etag: str) -> bool:
        """See `ports.SubjectStore`. Looked at first: some services say yes to the removal of what
        is not there."""
        check_name(name)
        standing = await self.get(name)
        if standing is None or standing.etag != etag:
            return False
        try:
            return await self._holds("delete_object", f"removing {name}", Key=name, IfMatch=etag)
        except Unclear as unclear:
            return await settle_removal(self, name, etag, unclear)

    async def names(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[str]:
        """See `ports.SubjectStore`."""
        check_prefix(prefix)
        if limit == 0 or (after > prefix and not after.startswith(prefix)):
            return []
        found: list[str] = []
        more: dict[str, str] = {"StartAfter": after} if after > prefix else {}
        with self._connection.errors(f"listing {prefix or 'the subjects'}"):
            while limit is None or len(found) < limit:
                size = _PAGE if limit is None else min(limit - len(found), _PAGE)
                page = await self._connection.ask(
                    "list_objects_v2", Prefix=prefix, MaxKeys=size, **more
                )  # fmt: skip
                check_page(page)
                found += (str(each["Key"]) for each in page.get("Contents", ()))
                if not page["IsTruncated"]:
                    break
                more = {"ContinuationToken": page["NextContinuationToken"]}
        return found

    async def findings(self) -> Sequence[Finding]:
        """See `ports.SubjectStore`. Tries what a wrong entity tag does, on an object of its own
        under ``posture/``."""
        return judge_subjects(await survey_subjects(self._connection, self._try_conditions))

    async def _try_conditions(self) -> tuple[Attempt, ...]:
        await self.create(NAME, BODY)
        ask, refusals = self._connection.ask, {*_CHANGED, "ConditionalRequestConflict", DENIED}
        wrong = {"Key": NAME, "IfMatch": _WRONG_TAG}
        rewrite = ask("put_object", Body=BODY, **wrong, **checksum(BODY))
        attempts = (
            await attack_by("rewrite", rewrite, refusals),
            await attack_by("remove", ask("delete_object", **wrong), refusals),
        )
        standing = await self.get(NAME)
        if standing is not None:
            right = ask("delete_object", Key=NAME, IfMatch=standing.etag)
            await attack_by("tidy up", right, refusals)  # a worker may not, and need not
        return attempts

    async def close(self) -> None:
        """See `ports.SubjectStore`."""
        await self._connection.close()

    async def _write(self, name: str, data: bytes, etag: str | None) -> bool:
        """Store under a free name, or over what has the entity tag."""
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        no = CONDITION_FAILED if etag is None else _CHANGED
        try:
            return await self._holds(
                "put_object", f"storing {name}", no, Key=name, Body=data, **checksum(data),
                **condition,
            )  # fmt: skip
        except Unclear as unclear:
            return await settle_write(self, name, data, etag, unclear)

    async def _holds(
        self, operation: str, doing: str, no: Collection[str] = _CHANGED, **parameters: Any
    ) -> bool:
        """Whether the request's condition held; `no`: the codes that deny it. `Unclear` when the
        answer was lost, or another request was under way."""
        with self._connection.errors(doing):
            try:
                await self._connection.ask(operation, **parameters)
            except SDK_ERRORS as error:
                if error_code(error) in no:
                    return False
                if is_ambiguous(error):
                    raise Unclear.of(doubt(doing, error)) from error
                raise
            return True
