"""Who a token stands for, and what that allows."""

from __future__ import annotations

from dataclasses import dataclass

from audit_stream.gateway.problems import Problem

#: `audit:notify` is a platform's: it may tell of deletions, and read nothing.
SCOPES = ("audit:read", "audit:export", "audit:redact", "audit:hold", "audit:notify")
EVERY_TENANT = "*"
JWT = "jwt:"  # before the subject, in the id of who came in by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a token stands for."""

    id: str
    tenants: tuple[str, ...]  # each once; ``*`` is every tenant
    scopes: tuple[str, ...]
    until: float | None = None  # Unix seconds when the token expires

    def __post_init__(self) -> None:
        object.__setattr__(self, "tenants", tuple(dict.fromkeys(self.tenants)))

    @property
    def shown(self) -> str:
        """What a log may say: a service token's id says nothing, a JWT's subject is somebody."""
        return "jwt" if self.id.startswith(JWT) else self.id

    def may(self, scope: str) -> None:
        """`Problem` 403 without the scope."""
        if scope not in self.scopes:
            raise Problem(403, f"this token lacks the scope {scope}")

    def sees(self, tenant: str) -> bool:
        """Whether records of the tenant are for this caller."""
        return EVERY_TENANT in self.tenants or tenant in self.tenants
