"""Requests and answers: challenges and tokens first, then rights, then what the vault says."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.vault.model import ROLES, Key, Refused, Vault

TENANT = "tenant"
_ALGORITHM = "RSA-OAEP-256"


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Service:
    """A vault and its authority under one address; `url` is set when it is served."""

    vault: Vault
    url: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # who, method, path
    faults: list[int] = field(default_factory=list)  # statuses of the next answers; 0 passes
    challenge: str = ""  # another resource than ours, as a wrong host would name

    @property
    def resource(self) -> str:
        """A token is asked for the domain above the vault's host, as with vault.azure.net."""
        host = urlsplit(self.url).netloc
        return self.challenge or f"https://{host.partition('.')[2]}"

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Answer:
        """To one request."""
        parts = urlsplit(target)
        if parts.path.endswith("/oauth2/v2.0/token"):
            return self._token(body)
        if "api-version" not in parse_qs(parts.query):
            return Answer(400, {"error": {"code": "BadParameter", "message": "api-version"}})
        who = self._who(headers.get("Authorization", ""))
        self.asked.append((who or "", method, parts.path))
        if who is None:
            text = f'Bearer authorization="{self.url}/{TENANT}", resource="{self.resource}"'
            return Answer(401, {"error": {"code": "Unauthorized", "message": "AKV10000"}},
                          {"WWW-Authenticate": text})  # fmt: skip
        if self.faults and (status := self.faults.pop(0)):
            return Answer(status, {"error": {"code": "Fault", "message": "as told"}})
        try:
            return self._act(who, method, parts.path.strip("/").split("/"), body)
        except Refused as refused:
            error: dict[str, Any] = {"code": refused.code, "message": refused.message}
            if refused.inner:
                error["innererror"] = {"code": refused.inner}
            return Answer(refused.status, {"error": error})

    def _token(self, body: bytes) -> Answer:
        """For one audience only: whoever asks for another has a token that is good for nothing."""
        given = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        who = given.get("client_id", "")
        if who not in ROLES or given.get("client_assertion") != f"assertion of {who}":
            return Answer(401, {"error": "invalid_client", "error_description": "unknown"})
        good = given.get("scope") == f"{self.resource}/.default" and not self.challenge
        return Answer(200, {"access_token": f"token-of-{who}" if good else "of-another-audience",
                            "token_type": "Bearer", "expires_in": 3600})  # fmt: skip

    def _who(self, authorization: str) -> str | None:
        who = authorization.removeprefix("Bearer token-of-")
        return who if who in ROLES and who != authorization else None

    def _act(self, who: str, method: str, path: list[str], body: bytes) -> Answer:
        given = json.loads(body) if body else {}
        match method, path:
            case "POST", ["keys", name, "create"]:
                _allow(who, "create")
                return Answer(200, self._bundle(*self.vault.create(name, given)))
            case "GET", ["keys", name, *version]:
                _allow(who, "read")
                return Answer(200, self._bundle(*self.vault.get(name, *version)))
            case "POST", ["keys", name, version, "wrapkey" | "unwrapkey" as act]:
                _allow(who, act.removesuffix("key"))
                if given.get("alg") != _ALGORITHM:
                    raise Refused(400, "BadParameter", "alg")
                done = self.vault.operate(
                    name, version, act.replace("key", "Key"), _decode(given["value"])
                )
                return Answer(200, {"kid": self._kid(name, version), "value": _encode(done)})
            case "DELETE", ["keys", name]:
                _allow(who, "delete")
                return Answer(200, self._deleted(self.vault.delete(name)))
            case "GET", ["deletedkeys", name]:
                _allow(who, "read")
                return Answer(200, self._deleted(self.vault.get_deleted(name)))
            case "DELETE", ["deletedkeys", name]:
                _allow(who, "purge")
                self.vault.purge(name)
                return Answer(204)
            case "POST", ["deletedkeys", name, "recover"]:
                _allow(who, "recover")
                key = self.vault.recover(name)
                return Answer(200, self._bundle(key, list(key.versions)[-1]))
        raise Refused(404, "NotFound", "no such route")

    def _kid(self, name: str, version: str) -> str:
        return f"{self.url}/keys/{name}/{version}"

    def _bundle(self, key: Key, version: str) -> dict[str, Any]:
        numbers = key.versions[version].public_key().public_numbers()
        size = key.versions[version].key_size // 8
        return {
            "key": {"kid": self._kid(key.name, version), "kty": "RSA", "key_ops": key.operations,
                    "n": _encode(numbers.n.to_bytes(size, "big")), "e": "AQAB"},
            "attributes": {"enabled": key.enabled, "created": self.vault.clock,
                           "updated": self.vault.clock, "exportable": False,
                           "recoveryLevel": self.vault.recovery_level,
                           "recoverableDays": self.vault.soft_delete_days},
            "tags": key.tags,
        }  # fmt: skip

    def _deleted(self, key: Key) -> dict[str, Any]:
        return self._bundle(key, list(key.versions)[-1]) | {
            "recoveryId": f"{self.url}/deletedkeys/{key.name}",
            "deletedDate": key.deleted_at, "scheduledPurgeDate": key.purge_at,
        }  # fmt: skip


def _allow(who: str, right: str) -> None:
    if right not in ROLES[who]:
        raise Refused(403, "Forbidden", "Caller is not authorized to perform action on resource.",
                      "ForbiddenByRbac")  # fmt: skip


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
