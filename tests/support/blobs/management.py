"""The management plane of the double: accounts, containers and their policies, who may do what.

It speaks Azure Resource Manager's REST (Microsoft.Storage 2024-01-01, Microsoft.Authorization
2022-04-01) over the containers of the blob service: a policy locked here protects there. A locked
policy can only be extended, and five times; each change moves the ETag that the next one must name.
Status codes are Azure's; the error codes of refused changes are not documented.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.blobs.model import ApiError, Container
from tests.support.blobs.routes import Incoming
from tests.support.blobs.service import BlobService
from tests.support.blobs.wire import Answer

SUBSCRIPTION, GROUP = "00000000-0000-0000-0000-00000000abcd", "audit"
EXTENSIONS = 5
MOST_HOLDS = 10
LONGEST = 146_000  # days
_STORAGE = "/providers/Microsoft.Storage/storageAccounts/"
_ACCOUNT = re.compile(
    rf"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+){_STORAGE}"
    r"(?P<account>[^/]+)(?P<rest>/.*)?"
)
_CONTAINER = re.compile(r"/blobServices/default/containers/(?P<name>[^/]+)(?P<rest>/.*)?")
_ASSIGNMENTS = "/providers/Microsoft.Authorization/roleAssignments"
_DEFINITION = re.compile(
    r"/subscriptions/[^/]+/providers/Microsoft.Authorization/roleDefinitions/(?P<id>[^/]+)"
)


@dataclass(frozen=True, slots=True)
class Grant:
    """A role assignment, with the permissions of its role."""

    principal: str
    role: str
    permissions: list[dict[str, list[str]]]
    scope: str = "/"  # below the account: "/" is the account itself
    principal_type: str = "ServicePrincipal"


def _sound() -> dict[str, Any]:
    return {
        "minimumTlsVersion": "TLS1_2", "supportsHttpsTrafficOnly": True,
        "allowSharedKeyAccess": False, "allowBlobPublicAccess": False,
        "publicNetworkAccess": "Disabled",
    }  # fmt: skip


@dataclass(slots=True)
class Facts:
    """What the management plane knows of an account, sound unless a test changes it."""

    sku: str = "Standard_RAGZRS"
    properties: dict[str, Any] = field(default_factory=_sound)
    versioning: bool = False
    soft_delete_days: int | None = None
    container_soft_delete_days: int | None = None


class Management:
    """Answers for `accounts`; `facts` and `grants` are for tests to change."""

    def __init__(self, accounts: Mapping[str, BlobService]) -> None:
        self._accounts = accounts
        self._facts: dict[str, Facts] = {}
        self.grants: list[Grant] = []
        self.page = 100  # role assignments at once

    def facts(self, account: str) -> Facts:
        """Of one account."""
        return self._facts.setdefault(account, Facts())

    def answer(self, request: Incoming) -> Answer:
        """Do what the request asks for."""
        try:
            if "api-version" not in request.query:
                raise ApiError(400, "MissingApiVersionParameter")
            return _json(200, self._route(request))
        except _Made as made:
            return _json(made.status, made.body)
        except ApiError as failure:
            return error(failure)

    def _route(self, request: Incoming) -> dict[str, Any]:
        if (role := _DEFINITION.fullmatch(request.path)) is not None:
            self._allow(request, "r")
            return self._definition(role["id"])
        found = _ACCOUNT.fullmatch(request.path)
        if found is None or (found["subscription"], found["group"]) != (SUBSCRIPTION, GROUP):
            raise ApiError(404, "ResourceGroupNotFound")
        if found["account"] not in self._accounts:
            raise ApiError(404, "ResourceNotFound")
        rest = found["rest"] or ""
        if rest.endswith(_ASSIGNMENTS):
            self._allow(request, "r")
            return self._assignments(request)
        if (inner := _CONTAINER.fullmatch(rest)) is not None:
            return self._container(request, found["account"], inner["name"], inner["rest"] or "")
        self._allow(request, "a")
        if request.method != "GET":
            raise ApiError(405, "MethodNotAllowed")
        return self._account(found["account"], rest)

    def _allow(self, request: Incoming, right: str) -> None:
        rights = self._any.access.management(request.headers.get("Authorization"))
        if right not in rights:
            raise ApiError(403, "AuthorizationFailed")

    @property
    def _any(self) -> BlobService:
        return next(iter(self._accounts.values()))

    # Accounts and roles

    def _account(self, name: str, rest: str) -> dict[str, Any]:
        facts = self.facts(name)
        if not rest:
            return {"name": name, "sku": {"name": facts.sku}, "properties": facts.properties}
        if rest != "/blobServices/default":
            raise ApiError(404, "ResourceNotFound")
        return {
            "properties": {
                "isVersioningEnabled": facts.versioning,
                "deleteRetentionPolicy": _retention(facts.soft_delete_days),
                "containerDeleteRetentionPolicy": _retention(facts.container_soft_delete_days),
            }
        }

    def _assignments(self, request: Incoming) -> dict[str, Any]:
        start = int(request.query.get("$skiptoken", 0))
        page = self.grants[start : start + self.page]
        root = request.path.removesuffix(_ASSIGNMENTS)
        answer: dict[str, Any] = {"value": [self._assignment(root, grant) for grant in page]}
        if start + self.page < len(self.grants):
            host, query = request.headers["Host"], f"api-version={request.query['api-version']}"
            link = f"{request.path}?{query}&$skiptoken={start + self.page}"
            answer["nextLink"] = f"https://{host}{link}"
        return answer

    def _assignment(self, root: str, grant: Grant) -> dict[str, Any]:
        account = root.partition("/blobServices/")[0]
        definition = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization"
        properties = {
            "principalId": grant.principal, "principalType": grant.principal_type,
            "roleDefinitionId": f"{definition}/roleDefinitions/{grant.role}",
            "scope": account + grant.scope.rstrip("/"),
        }  # fmt: skip
        return {"properties": properties}

    def _definition(self, role: str) -> dict[str, Any]:
        found = [grant for grant in self.grants if grant.role == role]
        if not found:
            raise ApiError(404, "RoleDefinitionDoesNotExist")
        return {"properties": {"roleName": role, "permissions": found[0].permissions}}

    # Containers and policies

    def _container(
        self, request: Incoming, account: str, name: str, rest: str
    ) -> dict[str, Any]:  # fmt: skip
        self._allow(request, "c" if request.method == "GET" else "w")
        service = self._accounts[account]
        if not rest and request.method == "PUT":
            self._create(service, account, name, json.loads(request.body)["properties"])
        if name not in service.containers:
            raise ApiError(404, "ContainerNotFound")
        container = service.containers[name]
        if rest in ("/setLegalHold", "/clearLegalHold") and request.method == "POST":
            return _hold(container, json.loads(request.body)["tags"], rest == "/setLegalHold")
        if rest:
            return self._policy(request, container, rest)
        if request.method == "DELETE":
            if container.immutable or container.holds or _has_blobs(container):
                raise ApiError(409, "ContainerProtectedFromDeletion")
            del service.containers[name]
            raise _Made(200, {})
        if request.method != "GET":
            raise ApiError(405, "MethodNotAllowed")
        return {"name": name, "properties": described(container)}

    def _create(
        self, service: BlobService, account: str, name: str, given: dict[str, Any]
    ) -> None:  # fmt: skip
        versioned = given.get("immutableStorageWithVersioning", {}).get("enabled", False)
        if versioned and not self.facts(account).versioning:
            raise ApiError(409, "VersioningNotEnabled")
        if name not in service.containers:
            service.add_container(name, "vlw" if versioned else "plain")
        raise _Made(201, {"name": name})

    def _policy(self, request: Incoming, container: Container, rest: str) -> dict[str, Any]:
        act = (request.method, rest.removeprefix("/immutabilityPolicies/default"))
        if act == ("GET", ""):
            return policy(container) or {"etag": "", "properties": {"state": "Unlocked"}}
        given = json.loads(request.body)["properties"] if request.body else {}
        match = request.headers.get("If-Match")
        if match not in (None, "*", container.policy_etag):
            raise ApiError(412, "PreconditionFailed")
        if match is None and act != ("PUT", ""):
            raise ApiError(400, "MissingRequiredHeader")
        change = {("PUT", ""): _put, ("POST", "/lock"): _lock, ("POST", "/extend"): _extend,
                  ("DELETE", ""): _remove}.get(act)  # fmt: skip
        if change is None:
            raise ApiError(405, "MethodNotAllowed")
        change(container, given)
        container.changes += 1
        return policy(container) or {"etag": container.policy_etag, "properties": {}}


def _hold(container: Container, tags: list[str], held: bool) -> dict[str, Any]:
    """Tags are 3 to 23 letters and digits, kept in lower case, at most 10."""
    if container.kind == "vlw":
        raise ApiError(409, "ContainerImmutableStorageWithVersioningEnabled")
    for tag in tags:
        if re.fullmatch(r"[A-Za-z0-9]{3,23}", tag) is None:
            raise ApiError(400, "InvalidRequestPropertyValue")
        container.hold(tag.lower()) if held else container.release(tag.lower())
    if len(container.holds) > MOST_HOLDS:
        raise ApiError(409, "TooManyLegalHoldTags")
    return {"hasLegalHold": bool(container.holds), "tags": sorted(container.holds)}


def _has_blobs(container: Container) -> bool:
    return container.kind == "vlw" and any(b.versions() for b in container.blobs.values())


class _Made(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status, self.body = status, body


def described(container: Container) -> dict[str, Any]:
    """A container's properties."""
    found: dict[str, Any] = {
        "publicAccess": container.public_access,
        "hasImmutabilityPolicy": container.days is not None,
        "hasLegalHold": bool(container.holds),
        "legalHold": {
            "hasLegalHold": bool(container.holds), "tags": [{"tag": t} for t in container.holds]
        },
        "immutableStorageWithVersioning": {"enabled": container.kind == "vlw"},
    }  # fmt: skip
    if (standing := policy(container)) is not None:
        found["immutabilityPolicy"] = standing
    return found


def policy(container: Container) -> dict[str, Any] | None:
    """A container's policy, as it stands."""
    if container.days is None:
        return None
    history = [{"update": "extend"}] * container.extended
    return {
        "etag": container.policy_etag,
        "updateHistory": [{"update": "put"}, *history],
        "properties": {
            "immutabilityPeriodSinceCreationInDays": container.days,
            "state": "Locked" if container.locked else "Unlocked",
            "allowProtectedAppendWrites": container.append,
            "allowProtectedAppendWritesAll": container.append_all,
        },
    }


def _put(container: Container, given: dict[str, Any]) -> None:
    if container.days is not None and container.locked:
        raise ApiError(409, "OperationNotAllowedOnLockedPolicy")
    container.days, container.locked = _days(given), False
    container.kind = "vlw" if container.kind == "vlw" else "clw"
    container.append = given.get("allowProtectedAppendWrites", False)
    container.append_all = given.get("allowProtectedAppendWritesAll", False)


def _lock(container: Container, given: dict[str, Any]) -> None:
    if container.days is None or container.locked:
        raise ApiError(409, "OperationNotAllowedOnLockedPolicy")
    container.locked = True


def _extend(container: Container, given: dict[str, Any]) -> None:
    if container.days is None or not container.locked or _days(given) <= container.days:
        raise ApiError(409, "InvalidExtension")
    if container.kind == "clw" and container.extended >= EXTENSIONS:
        raise ApiError(409, "TooManyExtensions")
    container.days, container.extended = _days(given), container.extended + 1


def _remove(container: Container, given: dict[str, Any]) -> None:
    if container.days is None or container.locked:
        raise ApiError(409, "OperationNotAllowedOnLockedPolicy")
    container.days = None


def _days(given: dict[str, Any]) -> int:
    days = given.get("immutabilityPeriodSinceCreationInDays", 0)
    if not 1 <= days <= LONGEST:
        raise ApiError(400, "InvalidRequestPropertyValue")
    return int(days)


def _retention(days: int | None) -> dict[str, Any]:
    return {"enabled": False} if days is None else {"enabled": True, "days": days}


def _json(status: int, body: dict[str, Any]) -> Answer:
    headers = {"Content-Type": "application/json"}
    if "etag" in body:
        headers["ETag"] = body["etag"]
    return Answer(status, headers, json.dumps(body).encode())


def error(failure: ApiError) -> Answer:
    """As the management plane says it; it has no x-ms-error-code."""
    return _json(failure.status, {"error": {"code": failure.code, "message": "refused"}})
