"""What an officer asks for: checked, and its repr shows nobody. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from audit_stream.erasure.filing import Kind
from audit_stream.erasure.request import check_basis
from audit_stream.errors import FormatError
from audit_stream.evidence.redaction import check_reference
from audit_stream.gateway.problems import Problem
from audit_stream.gateway.query import LONGEST, is_text

KINDS: Final[tuple[Kind, ...]] = ("customer", "address", "message")
MOST_VARIANTS = 200
_MEMBERS = frozenset((*KINDS, "platform_tenant_id", "request_ref", "basis", "variants", "dry_run"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whom to erase, and why."""

    kind: Kind
    who: str = field(repr=False)
    tenant: str | None
    ref: str
    basis: str
    numbers: frozenset[int] = frozenset()  # of other spellings that a dry run has told of
    typed: Sequence[str] = field(default=(), repr=False)  # other spellings, in full
    dry_run: bool = False


def parse_asked(found: Mapping[str, Any]) -> Asked:
    """From names and values. `Problem` 400 says which and why, never whom."""
    if odd := found.keys() - _MEMBERS:
        raise Problem(400, f"there are {len(odd)} members that are none of ours")
    named = [kind for kind in KINDS if kind in found]
    if len(named) != 1:
        raise Problem(400, f"name one of {', '.join(KINDS)}")
    texts = {name: text_of(found, name) for name in (named[0], "platform_tenant_id")}
    if texts[named[0]] is None:
        raise Problem(400, f"{named[0]} must be 1 to {LONGEST} characters, none of them control")
    dry_run = found.get("dry_run", False)
    if type(dry_run) is not bool:
        raise Problem(400, "dry_run is true or false")
    numbers, typed = _variants(found.get("variants", []))
    ref, basis = found.get("request_ref"), found.get("basis")
    if not dry_run or "request_ref" in found:
        checked(_in_url, ref, "request_ref")
    if not dry_run or "basis" in found:
        checked(check_basis, basis, "basis")
    return Asked(
        kind=named[0], who=str(texts[named[0]]), tenant=texts["platform_tenant_id"],
        ref=str(ref or ""), basis=str(basis or ""), numbers=numbers, typed=typed, dry_run=dry_run,
    )  # fmt: skip


def _in_url(ref: str) -> str:
    if "/" in ref:
        raise FormatError("a reference that stands in a URL has no /")
    return check_reference(ref)


def text_of(found: Mapping[str, Any], name: str) -> str | None:
    """A member that is a text or left out. `Problem` 400."""
    if name not in found:
        return None
    if not is_text(found[name]):
        raise Problem(400, f"{name} must be 1 to {LONGEST} characters, none of them control")
    return str(found[name])


def checked(check: Any, value: Any, name: str) -> str:
    """What a check of ours gives. `Problem` 400 with its words, which do not repeat the value."""
    if type(value) is not str:
        raise Problem(400, f"{name} must be a text")
    try:
        return str(check(value))
    except FormatError as error:
        raise Problem(400, f"{name}: {error.message}") from error


def _variants(given: Any) -> tuple[frozenset[int], tuple[str, ...]]:
    if not isinstance(given, list) or len(given) > MOST_VARIANTS:
        raise Problem(400, f"variants is a list of {MOST_VARIANTS} at most")
    if not all(_is_number(each) or is_text(each) for each in given):
        raise Problem(400, "variants are numbers that a dry run has told, or spellings in full")
    numbers = frozenset(each for each in given if _is_number(each))
    return numbers, tuple(each for each in given if is_text(each))


def _is_number(given: Any) -> bool:
    return type(given) is int and given >= 0
