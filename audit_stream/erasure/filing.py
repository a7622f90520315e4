"""The dry run: whose records an erasure would reach, under which spellings, and the request of it.

Who it is comes in as it was typed and stays in memory; what is kept are tags.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from audit_stream.erasure.counting import Counting, found_of
from audit_stream.erasure.found import Facts
from audit_stream.erasure.request import Found, Request, check_basis
from audit_stream.erasure.variants import AS_TYPED, variants
from audit_stream.errors import RequestError
from audit_stream.evidence.redaction import check_actor, check_reference
from audit_stream.privacy.keyring import Keyring
from audit_stream.privacy.subjects import ADDRESS, EXTERNAL, check_somebody, tags_of

Kind = Literal["customer", "address", "message"]
#: What is asked for -> the kind of subject.
KINDS: Final = {"customer": EXTERNAL, "address": ADDRESS}
_MONTHS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """A person as typed, or as they may stand there, too; tags of every tenant and tree."""

    text: str = field(repr=False)
    reason: str
    tags: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelled:
    """A spelling, and what there is of it."""

    spelling: Spelling
    records: int

    @property
    def as_typed(self) -> bool:
        """Whether it is the person as they were asked for."""
        return self.spelling.reason == AS_TYPED


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What was found. `spelled`: as typed first, then the other spellings that have records."""

    spelled: Sequence[Spelled]
    facts: dict[bytes, Facts] = field(repr=False)

    def chosen(self, with_variants: bool) -> tuple[bytes, ...]:
        """The tags to erase."""
        wanted = (each for each in self.spelled if each.as_typed or with_variants)
        return tuple(dict.fromkeys(tag for each in wanted for tag in each.spelling.tags))

    def found(self, tags: Collection[bytes]) -> Found:
        """The numbers of these."""
        facts = {tag: each for tag, each in self.facts.items() if tag in tags}
        others = sum(not each.as_typed for each in self.spelled)
        return Found(**found_of(facts), variants=others)


def spellings(
    keyring: Keyring, kind: Kind, typed: str, tenants: Sequence[str], placeholders: Collection[str]
) -> list[Spelling]:
    """Of a customer's id or an address. `RequestError` for what is nobody."""
    if kind == "message":
        raise RequestError("a message has no other spellings")
    check_somebody(kind, typed, placeholders)
    if not tenants:
        raise RequestError("the archive has no tenant", hint="name one: --tenant")
    return [
        Spelling(text=each.text, reason=each.reason, tags=tuple(
            tag for tenant in tenants for tag in tags_of(keyring, (tenant, KINDS[kind], each.text))
        ))
        for each in variants(typed)
    ]  # fmt: skip


async def dry_run(counting: Counting, asked: Sequence[Spelling]) -> DryRun:
    """Look for all of them at once. `StoreError`, `FormatError`."""
    facts = await counting.facts({tag for each in asked for tag in each.tags})
    spelled = [
        Spelled(spelling=each, records=sum(
            facts[tag].records for tag in each.tags if tag in facts
        ))
        for each in asked
    ]  # fmt: skip
    return DryRun(spelled=[each for each in spelled if each.as_typed or each.records], facts=facts)


def new_request(
    *, ref: str, kind: Kind, basis: str, tags: Sequence[bytes], found: Found, by: str, at: str
) -> Request:
    """A request to be filed; `FormatError` for a reference, basis or id of the wrong form."""
    return Request(
        ref=check_reference(ref), kind=kind, basis=check_basis(basis), tags=tuple(tags),
        found=found, requested_by=check_actor(by), requested_at=at, due=a_month_later(at),
    )  # fmt: skip


def a_month_later(at: str) -> str:
    """The day by which a request must be answered (GDPR Art. 12(3)), ``YYYY-MM-DD``."""
    day = datetime.fromisoformat(at).astimezone(UTC).date()
    year, before = divmod(day.year * _MONTHS + day.month, _MONTHS)
    last = monthrange(year, before + 1)[1]
    return day.replace(year=year, month=before + 1, day=min(day.day, last)).isoformat()
