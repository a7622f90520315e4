"""Who may do what. Rights are the letters of a SAS: r(ead) a(dd) c(reate) w(rite) d(elete)
l(ist) i(mmutability); a role is a set of them."""

from __future__ import annotations

from typing import Literal

from tests.support.blobs.model import ApiError

Rights = frozenset[str]
Role = Literal["reader", "writer", "contributor", "owner"]

ROLES: dict[Role, Rights] = {
    "reader": frozenset("rl"),
    "writer": frozenset("rlac"),  # blobs/read + blobs/add: may create, not replace
    "contributor": frozenset("rlacwd"),
    "owner": frozenset("rlacwdi"),
}
OWNER = ROLES["owner"]


class Access:
    """The identities a test has registered."""

    def __init__(self) -> None:
        self._sas: dict[str, Rights] = {}
        self._tokens: dict[str, Rights] = {}
        self._workloads: dict[tuple[str, str], str] = {}
        self._managers: dict[str, Rights] = {}

    def register_sas(self, sig: str, rights: str) -> None:
        """Let `?sig=…` stand for these rights."""
        if not set(rights) <= OWNER:
            raise ValueError(f"unknown rights in {rights!r}")
        self._sas[sig] = frozenset(rights)

    def register_token(self, token: str, role: Role) -> None:
        """Let `Authorization: Bearer …` stand for this role."""
        self._tokens[token] = ROLES[role]

    def register_workload(
        self, client_id: str, assertion: str, role: Role, manages: str = "c"
    ) -> None:  # fmt: skip
        """Let a client whose token file holds `assertion` have a token of this role.

        `manages`: on the management plane it may read c(ontainers), a(ccounts), r(oles), and
        w(rite) containers and policies.
        """
        token = f"token-of-{client_id}"
        self._workloads[client_id, assertion] = token
        self._managers[self.for_management(token)] = frozenset(manages)
        self.register_token(token, role)

    def token_of(self, client_id: str, assertion: str) -> str | None:
        """For the audience of storage."""
        return self._workloads.get((client_id, assertion))

    @staticmethod
    def for_management(token: str) -> str:
        """The same client's token for the management plane."""
        return f"{token}-for-management"

    def management(self, authorization: str | None) -> Rights:
        """The rights of a request to the management plane."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme != "Bearer" or token not in self._managers:
            raise ApiError(401, "InvalidAuthenticationToken")
        return self._managers[token]

    def rights(
        self, sig: str | None, authorization: str | None, delegated: str | None = None
    ) -> Rights:
        """The rights of a request. A shared key is the owner's; its signature is not checked, nor
        that of a SAS made with a user's delegation key, which stands for what it says."""
        if delegated is not None:
            return frozenset(delegated) & OWNER
        if authorization is not None:
            scheme, _, value = authorization.partition(" ")
            if scheme in ("SharedKey", "SharedKeyLite"):
                return OWNER
            if scheme == "Bearer" and value in self._tokens:
                return self._tokens[value]
            raise ApiError(401, "InvalidAuthenticationInfo")
        if sig is None:
            raise ApiError(401, "NoAuthenticationInformation")
        if sig not in self._sas:
            raise ApiError(403, "AuthenticationFailed")
        return self._sas[sig]


def allow(rights: Rights, any_of: str) -> None:
    """Refuse a request that has none of the rights that would do."""
    if not rights & set(any_of):
        raise ApiError(403, "AuthorizationPermissionMismatch")


def allow_put(rights: Rights, *, exists: bool) -> None:
    """Rule 3: who may only create is told so, whatever the condition of the request."""
    allow(rights, "cw")
    if exists and "w" not in rights:
        raise ApiError(403, "UnauthorizedBlobOverwrite")
