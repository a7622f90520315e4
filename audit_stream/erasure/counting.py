"""Counting a batch: the records of each request committed to, then no longer linked to anybody."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import merge
from typing import Any

from audit_stream.archive.private import PrivateObjects
from audit_stream.erasure.batch import Batch, Counted
from audit_stream.erasure.found import Facts, Told, facts_of, sightings
from audit_stream.erasure.listing import Listing
from audit_stream.erasure.request import request_id
from audit_stream.erasure.scan import Hit, Unreadable, scan
from audit_stream.erasure.segments import Segments
from audit_stream.erasure.zero import sweep_orphans, zero
from audit_stream.errors import StoreError
from audit_stream.evidence.redaction import COMMITMENT_BYTES
from audit_stream.ports import Alerts, SubjectStore
from audit_stream.privacy.private_object import FOLDER

OPENINGS = f"{FOLDER}openings/"
OPENING = "audit-opening/1"
_PASSES = 5  # of zeroing, until a pass finds nothing: nobody writes their tags any more


def opening_name(ref: str) -> str:
    """Of the private object that opens a certificate's commitment, for the requester."""
    return OPENINGS + request_id(ref)


@dataclass(frozen=True, slots=True)
class Counting:
    """Reads and rewrites the subject objects of one archive."""

    segments: Segments
    subjects: SubjectStore
    private: PrivateObjects
    index_key: bytes = field(repr=False)
    alarms: Alerts

    async def facts(
        self, tags: set[bytes], told: Told | None = None, listing: Listing | None = None,
        names: AsyncIterator[str] | None = None,
    ) -> dict[bytes, Facts]:  # fmt: skip
        """What the archive says of the records of these tags; `told` is called of each, and
        `listing` lists them. `names`: of all subject objects, for who lists them anyway.

        `StoreError` when a subject object cannot be looked into: nobody could say that it holds
        none of them.
        """
        async with (
            aclosing(self._hits(tags, names)) as hits,
            aclosing(sightings(self.segments, hits)) as found,
        ):
            if listing is None:
                return await facts_of(found, told)
            async with aclosing(listing.of(found)) as listed:
                return await facts_of(listed, told)

    async def _hits(self, tags: set[bytes], names: AsyncIterator[str] | None = None) -> Any:
        unreadable: list[Unreadable] = []
        scanned = scan(self.subjects, self.index_key, tags, self.alarms, names=names)
        async with aclosing(scanned) as answers:
            async for answer in answers:
                if isinstance(answer, Hit):
                    yield answer
                else:
                    unreadable.append(answer)
        if unreadable:
            raise StoreError(
                f"{len(unreadable)} subject objects cannot be looked into, {unreadable[0].name} "
                "first: nothing is certified over them",
                hint="see docs/runbooks/subjects.md",
            )

    async def count(self, batch: Batch, listing: Listing | None = None) -> dict[str, Counted]:
        """Commit to each request's records, and keep the opening for who asked."""
        facts = await self.facts(batch.tags, listing=listing)
        counted: dict[str, Counted] = {}
        for item in batch.items:
            theirs = [facts[tag] for tag in dict.fromkeys(item.tags) if tag in facts]
            counted[item.ref] = await self._commit(item.ref, theirs)
        return counted

    async def _commit(self, ref: str, theirs: list[Facts]) -> Counted:
        secret, digest = secrets.token_bytes(COMMITMENT_BYTES), sha256()
        digest.update(secret)
        hashes: list[str] = []
        for each in merge(*(facts.hashes for facts in theirs)):
            digest.update(each)
            hashes.append(each.hex())
        value = {"hashes": hashes, "secret": secret.hex(), "v": OPENING}
        # A count that was cut off is made anew, with another secret: the last one is certified.
        await self.private.update(opening_name(ref), lambda _: value)
        return Counted(
            certificate_id=f"rc-{secrets.token_hex(8)}", commitment=digest.hexdigest(),
            count=len(hashes),
        )  # fmt: skip

    async def zero(self, tags: set[bytes]) -> int:
        """Until a pass over all subject objects finds none of these tags; objects rewritten."""
        rewritten = 0
        for _ in range(_PASSES):
            met = 0
            async with aclosing(self._hits(tags)) as hits:
                async for hit in hits:
                    met += 1
                    rewritten += await zero(
                        self.subjects, self.index_key, hit, tags, secrets.token_bytes
                    )
            if not met:
                await sweep_orphans(self.segments, self.subjects)
                return rewritten
        raise StoreError(
            f"tags of erased persons are in subject objects again after {_PASSES} passes",
            hint="is something restoring them? no backups or versions may be kept of them",
        )


def erased_name(index_key: bytes, tag: bytes) -> str:
    """Of the private object that tells who knows a person's id under which certificate they were
    erased. It is nobody's without the keyring."""
    key = hmac.digest(index_key, b"as/erased/v1\x00" + tag, "sha256").hex()[:32]
    return f"{FOLDER}erased/{key}"


def found_of(facts: Mapping[bytes, Facts]) -> dict[str, Any]:
    """What a dry run tells of all tags together, as `request.Found` has it."""
    firsts = [each.first for each in facts.values() if each.first is not None]
    lasts = [each.last for each in facts.values() if each.last is not None]
    return {
        "records": sum(each.records for each in facts.values()),
        "tenants": tuple(sorted({tenant for each in facts.values() for tenant in each.tenants})),
        "first": min(firsts, default=None), "last": max(lasts, default=None),
    }  # fmt: skip
