"""Questions that only a real account answers, put to containers made for it and then removed.

The containers have an unlocked policy of one day. Beside each question stands what its answer is
taken for elsewhere in this package; an answer that cannot be had is None, never the assumed one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core import MatchConditions
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import (
    ImmutabilityPolicy,
    StandardBlobTier,
    generate_blob_sas,
    generate_container_sas,
)
from azure.storage.blob.aio import BlobClient, BlobServiceClient, ContainerClient

from audit_stream.errors import StoreError
from audit_stream.stores.azure_client import (
    API_VERSION,
    Connection,
    identity,
    open_session,
    transport_over,
)
from audit_stream.stores.azure_errors import CONFLICTS, error_code, is_ambiguous, store_errors
from audit_stream.stores.azure_scratch import PREFIX, scratch_container
from audit_stream.stores.azure_target import AzureTarget

_NAME, _BODY = "trial", b"one"
_LOCKED_SECONDS = 60
_ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an account said, and whether it is what we take it for; None is unknown."""

    key: str
    question: str
    answer: str | None
    assumed: str
    agrees: bool | None
    why: str = ""  # there is no answer


@dataclass(frozen=True, slots=True)
class _Question:
    key: str
    text: str
    assumed: str
    ask: Callable[[Trial], Awaitable[str]]
    agrees: Callable[[str], bool]


class _Service:
    """The account's client, for delegation keys, over a session of its own."""

    def __init__(self, target: AzureTarget) -> None:
        self._session = open_session(target.access)
        self._access = target.access
        self._credential = identity(target.access, self._session)
        self.client: Any = BlobServiceClient(
            target.service_url, credential=self._credential, transport=self.transport(),
            api_version=API_VERSION, retry_total=0,
        )  # fmt: skip

    def transport(self) -> Any:
        """For another client over the same session."""
        return transport_over(self._session, self._access)

    async def close(self) -> None:
        """Release it."""
        await self.client.close()
        await self._credential.close()
        await self._session.close()


class Trial:
    """One throw-away container with an object in it."""

    def __init__(self, connection: Connection, target: AzureTarget, service: _Service) -> None:
        self.connection, self.target, self._service = connection, target, service

    @property
    def blob(self) -> BlobClient:
        """The object that stands in it, as the operator reaches it."""
        return self.connection.container().get_blob_client(_NAME)

    async def create_again(self) -> str:
        """Put under the taken name, if it is missing."""
        return await _outcome(
            self.blob.upload_blob(b"two", match_condition=MatchConditions.IfMissing)
        )

    async def create_again_with(self, rights: str) -> str:
        """The same with a SAS of these rights, signed by the operator's identity."""
        sas = generate_blob_sas(
            self.target.account, self.target.container, _NAME, permission=rights,
            **await self._delegated(),
        )  # fmt: skip
        async with BlobClient(
            self.target.service_url, self.target.container, _NAME,
            credential=AzureSasCredential(sas), api_version=API_VERSION, retry_total=0,
            transport=self._service.transport(),
        ) as blob:  # fmt: skip
            return await _outcome(
                blob.upload_blob(b"two", match_condition=MatchConditions.IfMissing)
            )

    async def properties_with_sas(self) -> str:
        """Get Container Properties with a SAS for the container."""
        sas = generate_container_sas(
            self.target.account, self.target.container, permission="rl", **await self._delegated()
        )
        async with ContainerClient(
            self.target.service_url, self.target.container, credential=AzureSasCredential(sas),
            api_version=API_VERSION, retry_total=0, transport=self._service.transport(),
        ) as container:  # fmt: skip
            return await _outcome(container.get_container_properties())

    async def create_protected(self) -> str:
        """Put with a policy of its own."""
        policy = ImmutabilityPolicy(expiry_time=_in(days=1), policy_mode="unlocked")
        other = self.connection.container().get_blob_client("protected")
        return await _outcome(other.upload_blob(_BODY, immutability_policy=policy))

    async def seen_policy(self) -> str:
        """What the data plane says of a policy."""
        found = await self.connection.container().get_container_properties()
        return str(found.has_immutability_policy)

    async def shorten_locked(self) -> str:
        """Lock a version for a minute, and try to shorten that."""
        longer = ImmutabilityPolicy(expiry_time=_in(seconds=_LOCKED_SECONDS), policy_mode="locked")
        shorter = ImmutabilityPolicy(
            expiry_time=_in(seconds=_LOCKED_SECONDS // 2), policy_mode="locked"
        )
        locked = self.connection.container().get_blob_client("locked")
        await locked.upload_blob(_BODY, immutability_policy=longer)
        return await _outcome(locked.set_immutability_policy(shorter))

    async def headers(self) -> str:
        """Headers of an object's HEAD that tell of a policy."""
        seen: list[str] = []

        def note(response: Any) -> None:
            seen.extend(name.lower() for name in response.http_response.headers)

        await self.blob.get_blob_properties(raw_response_hook=note)
        return ", ".join(sorted(n for n in seen if "immutability" in n or "legal" in n)) or "none"

    async def tags_and_tier(self) -> str:
        """Change both of an object that is retained."""
        tags = await _outcome(self.blob.set_blob_tags({"doctor": "yes"}))
        tier = await _outcome(self.blob.set_standard_blob_tier(StandardBlobTier.COOL))
        return f"tags {tags}, tier {tier}"

    async def tls(self) -> str:
        """The version that was negotiated."""
        await self.blob.get_blob_properties()
        return self.connection.tls or "no TLS"

    async def _delegated(self) -> dict[str, Any]:
        start, end = _in(minutes=-5), _in(minutes=30)
        key = await self._service.client.get_user_delegation_key(start, end)
        return {"user_delegation_key": key, "start": start, "expiry": end}


QUESTIONS = (
    _Question("a", "container policy: code of a PUT if missing, of a name that is taken",
              "409 or 412, a known conflict", Trial.create_again,
              lambda got: got.partition(" ")[2] in CONFLICTS),
    _Question("b", "the same with a right to create only: which refusal is first",
              "a known conflict or UnauthorizedBlobOverwrite",
              lambda trial: trial.create_again_with("c"),
              lambda got: got.partition(" ")[2] in CONFLICTS),
    _Question("c", "container policy: a PUT with a policy of its own", "refused",
              Trial.create_protected, lambda got: got != _ACCEPTED),
    _Question("f", "TLS as negotiated", "TLSv1.2 or TLSv1.3", Trial.tls,
              lambda got: got in ("TLSv1.2", "TLSv1.3")),
    _Question("g", "container policy: headers of a HEAD that tell of it", "none", Trial.headers,
              lambda got: got == "none"),
    _Question("h", "container policy: Set Blob Tags and Set Blob Tier",
              "tags accepted, tier accepted", Trial.tags_and_tier,
              lambda got: got == f"tags {_ACCEPTED}, tier {_ACCEPTED}"),
    _Question("i", "a SAS of the container: Get Container Properties", "accepted",
              Trial.properties_with_sas, lambda got: got == _ACCEPTED),
)  # fmt: skip
VERSION_QUESTIONS = (
    _Question("d", "version level with a default policy: has_immutability_policy",
              "either; not relied on", Trial.seen_policy, lambda _: True),
    _Question("e", "version level: shortening a locked policy", "refused with 409 or 403",
              Trial.shorten_locked, lambda got: got[:3] in ("409", "403")),
)  # fmt: skip
_NOT_TRIED = "not tried: it locks an object for a minute or longer; --lock-version tries it"


async def ask_all(
    target: AzureTarget, suffix: str, *, lock_version: bool
) -> tuple[list[Answer], list[str]]:
    """Every question's answer, by key, and what is left of the containers (nothing, as a rule).

    `target` names the account; its own container is not touched. `StoreRefused` where the
    management plane is not set.
    """
    container = replace(target, container=f"{PREFIX}{suffix}")
    versions = replace(target, container=f"{PREFIX}{suffix}-v")
    left: list[str] = []
    found = await _ask(container, QUESTIONS, left, versioned=False)
    tried = [each for each in VERSION_QUESTIONS if each.key != "e" or lock_version]
    found += await _ask(versions, tried, left, versioned=True)
    found += [_unknown(each, _NOT_TRIED) for each in VERSION_QUESTIONS if each not in tried]
    return sorted(found, key=lambda answer: answer.key), left


async def _ask(
    target: AzureTarget, questions: Sequence[_Question], left: list[str], *, versioned: bool
) -> list[Answer]:  # fmt: skip
    found: list[Answer] = []
    try:
        async with scratch_container(target, versioned=versioned) as connection:
            service = _Service(target)
            trial = Trial(connection, target, service)
            try:
                with store_errors("storing the trial's object"):
                    await trial.blob.upload_blob(_BODY)
                found += [await _answer(trial, question) for question in questions]
            finally:
                await service.close()
    except StoreError as error:
        if not found:
            return [_unknown(question, error.message) for question in questions]
        left.append(str(error))
    return found


async def _answer(trial: Trial, question: _Question) -> Answer:
    try:
        with store_errors("asking"):
            got = await question.ask(trial)
    except StoreError as error:
        return _unknown(question, error.message)
    return Answer(
        key=question.key, question=question.text, answer=got, assumed=question.assumed,
        agrees=question.agrees(got),
    )  # fmt: skip


def _unknown(question: _Question, why: str) -> Answer:
    return Answer(
        key=question.key, question=question.text, answer=None, assumed=question.assumed,
        agrees=None, why=why,
    )  # fmt: skip


async def _outcome(call: Awaitable[object]) -> str:
    """``accepted``, or status and code of the refusal; what may pass is an error."""
    try:
        await call
    except HttpResponseError as error:
        if is_ambiguous(error):
            raise
        return f"{error.status_code} {error_code(error) or 'without a code'}"
    return _ACCEPTED


def _in(**delta: int) -> datetime:
    return (datetime.now(UTC) + timedelta(**delta)).replace(microsecond=0)
