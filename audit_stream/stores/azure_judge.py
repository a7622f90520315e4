"""From facts to findings: what an archive's container is worth, and what to do about it.

The level is `worm_locked` only if everything that it rests on was seen: https, a policy that ARM
says is Locked and long enough, and a canary that withstood the writer's own identity. A policy that
cannot be shown locked is `worm_unlocked`; without a policy, or over plain http, it is `mutable`.
"""

from __future__ import annotations

from audit_stream.posture import Assurance, Finding, Posture, Standing
from audit_stream.stores.azure_facts import (
    EXTENSIONS,
    Account,
    ArchiveFacts,
    BlobService,
    Container,
    Grant,
    Plane,
    Policy,
    Retained,
    SubjectsFacts,
)
from audit_stream.stores.observed import Attempt, Outcome, Unread

_OK, _NOTE, _WEAK, _BAD, _UNKNOWN = Standing
_MUTABLE, _UNLOCKED = Assurance.MUTABLE, Assurance.WORM_UNLOCKED
_SKEW_SECONDS = 300  # beyond it, tokens and signatures are refused before long
_ARM_READ = (
    "set AUDIT_AZURE_SUBSCRIPTION and AUDIT_AZURE_RESOURCE_GROUP, and let the identity do "
    "Microsoft.Storage/storageAccounts/blobServices/containers/read on the container"
)
_READER = "give the identity that runs the check the role Reader on the account"
_REPLICATED = ("GRS", "GZRS", "ZRS")


def judge_archive(facts: ArchiveFacts) -> Posture:
    """Every fact with its verdict; the posture has the level."""
    return Posture(
        findings=(
            *_way(facts.plane),
            *_retention(facts),
            _canary(facts.canary),
            *_retained(facts.retained, facts.target_days),
            *_switches(facts.account),
            *_kept(facts.service, facts.plane.versioned),
            *_grants(facts.grants),
        )
    )


def judge_subjects(facts: SubjectsFacts) -> tuple[Finding, ...]:
    """What was zeroed must be gone: no versions, no soft-deleted copies, no retention."""
    protected = facts.plane.has_policy or facts.plane.versioned or facts.plane.held
    retention = _bad(
        "subjects: retention or hold", "yes", "what cannot be rewritten cannot be forgotten: use a "
        "container without a policy and without holds",
    ) if protected else _ok("subjects: retention or hold", "none")  # fmt: skip
    service = facts.service
    if isinstance(service, Unread):
        unread = _unknown("subjects: versions and soft delete", service, _READER)
        return (*_tls(facts.plane, "subjects: "), retention, unread)
    return (*_tls(facts.plane, "subjects: "), retention, *_remains(service))


def _remains(service: BlobService) -> tuple[Finding, ...]:
    advice = "what was zeroed can be brought back: use an account of its own without it"
    kept = {
        "subjects: versioning": "on" if service.versioning else None,
        "subjects: soft delete of blobs": _days(service.soft_delete_days),
        "subjects: soft delete of containers": _days(service.container_soft_delete_days),
    }
    return tuple(
        _ok(fact, "off") if value is None else _bad(fact, value, advice)
        for fact, value in kept.items()
    )


def _days(days: int | None) -> str | None:
    return None if days is None else f"{days} days"


# The way to the container


def _way(plane: Plane) -> tuple[Finding, ...]:
    https = _ok("endpoint", "https") if plane.https else _bad(
        "endpoint", "http", "an emulator or an open line vouches for nothing: use https://",
        _MUTABLE,
    )  # fmt: skip
    return (https, *_tls(plane, ""), *_skew(plane))


def _tls(plane: Plane, of: str) -> tuple[Finding, ...]:
    return () if plane.tls is None else (_ok(f"{of}TLS as negotiated", plane.tls),)


def _skew(plane: Plane) -> tuple[Finding, ...]:
    if plane.skew_seconds is None:
        return ()
    value = f"{plane.skew_seconds:+.0f} s"
    if abs(plane.skew_seconds) <= _SKEW_SECONDS:
        return (_ok("our clock against the service's", value),)
    advice = "set this machine's clock (NTP): tokens and signatures will be refused"
    return (_weak("our clock against the service's", value, advice),)


# Retention


def _retention(facts: ArchiveFacts) -> tuple[Finding, ...]:
    plane, container = facts.plane, facts.container
    if isinstance(container, Unread):
        if plane.has_policy or plane.versioned:
            seen = Finding(fact="retention policy", value="there is one (data plane)")
            return (seen, _unknown("whether it is locked", container, _ARM_READ, _UNLOCKED))
        return (_no_policy(facts.target_days), _unknown("management plane", container, _ARM_READ))
    kind = "version level" if container.versioned else "container level"
    found = [Finding(fact="immutability", value=kind), *_policy(container.policy, facts)]
    found.append(_holds(container))
    if container.public:
        found.append(_weak("anonymous access to the container", "on", "turn it off"))
    return tuple(found)


def _policy(policy: Policy | None, facts: ArchiveFacts) -> tuple[Finding, ...]:
    if policy is None:
        return (_no_policy(facts.target_days),)
    lock = f"audit-stream archive lock --days {max(policy.days, facts.target_days)}"
    state = _ok("retention policy", "Locked") if policy.locked else _bad(
        "retention policy", "Unlocked", f"who may change it may remove it: {lock}", _UNLOCKED
    )  # fmt: skip
    wanted = f"{policy.days} days of {facts.target_days} wanted"
    period = _ok("retention period", f"{policy.days} days")
    if policy.days < facts.target_days:
        period = _bad("retention period", wanted, lock, _UNLOCKED)
    return (state, period, _append(policy), *_extensions(policy, facts.plane))


def _append(policy: Policy) -> Finding:
    if policy.append_all:
        return _bad(
            "protected append writes", "on for all blobs",
            "what is stored could be appended to: a policy without it, in a new container",
            _UNLOCKED,
        )  # fmt: skip
    if policy.append:
        return Finding(fact="protected append writes", value="on for append blobs; we write none")
    return _ok("protected append writes", "off")


def _extensions(policy: Policy, plane: Plane) -> tuple[Finding, ...]:
    if not policy.locked or plane.versioned:
        return ()
    left = EXTENSIONS - policy.extended
    return (Finding(fact="extensions left of the locked policy", value=str(left)),)


def _holds(container: Container) -> Finding:
    return Finding(fact="legal holds", value=", ".join(container.holds) or "none")


def _no_policy(days: int) -> Finding:
    return _bad(
        "retention policy", "none",
        f"anyone with the right to can delete: audit-stream archive lock --days {days}", _MUTABLE,
    )  # fmt: skip


# The canary


def _canary(canary: tuple[Attempt, ...] | Unread) -> Finding:
    if isinstance(canary, Unread):
        return _unknown("canary", canary, "run the check with the writer's settings", _UNLOCKED)
    by_outcome = {outcome: _attacks(canary, outcome) for outcome in Outcome}
    if accepted := by_outcome[Outcome.ACCEPTED]:
        return _bad(
            "canary", f"the writer's own identity could {accepted}",
            "give it a role with blobs/read and blobs/add/action and nothing else, on a container "
            "with a policy", _MUTABLE,
        )  # fmt: skip
    if unclear := by_outcome[Outcome.UNCLEAR]:
        why = Unread(f"no known refusal: {unclear}")
        return _unknown("canary", why, "find out what answers in the service's place", _UNLOCKED)
    return _ok("canary", f"refused: {by_outcome[Outcome.REFUSED]}")


def _attacks(canary: tuple[Attempt, ...], outcome: Outcome) -> str:
    found = [attempt for attempt in canary if attempt.outcome is outcome]
    return ", ".join(f"{each.attack} ({each.code})" if each.code else each.attack for each in found)


def _retained(retained: Retained | None, target_days: int) -> tuple[Finding, ...]:
    """Where each version has a policy, the newest one shows what a stored object gets."""
    if retained is None:
        return ()
    state = "locked" if retained.locked else "unlocked"
    value = f"{state}, {retained.days:.0f} days"
    if retained.locked and retained.days >= target_days - 1:  # dates are kept to the second
        return (_ok("policy of a stored version", value),)
    advice = "the container's default policy must be locked and long enough before objects come"
    return (_bad("policy of a stored version", value, advice, _UNLOCKED),)


# The account


def _switches(account: Account | Unread) -> tuple[Finding, ...]:
    if isinstance(account, Unread):
        return (_unknown("account", account, _READER),)
    replicated = account.redundancy.endswith(_REPLICATED)
    return (
        _switch("minimum TLS", account.minimum_tls, account.minimum_tls in ("TLS1_2", "TLS1_3"),
                "set minimumTlsVersion to TLS1_2"),
        _switch("https only", _on(account.https_only), account.https_only,
                "set supportsHttpsTrafficOnly"),
        _switch("shared key access", _on(account.shared_key), not account.shared_key,
                "set allowSharedKeyAccess to false: a key can do anything, and names nobody"),
        _switch("anonymous blobs allowed", _on(account.public_blobs), not account.public_blobs,
                "set allowBlobPublicAccess to false"),
        _switch("public network", _on(account.public_network), not account.public_network,
                "use a private endpoint, or network rules"),
        _switch("redundancy", account.redundancy, replicated,
                "one place can burn down: zone or geo redundancy"),
    )  # fmt: skip


def _on(value: bool) -> str:
    return "on" if value else "off"


def _switch(fact: str, value: str, good: bool, advice: str) -> Finding:
    return _ok(fact, value) if good else _weak(fact, value, advice)


def _kept(service: BlobService | Unread, versioned: bool) -> tuple[Finding, ...]:
    """Versions and soft delete of the archive's account: welcome, and no part of the level."""
    if isinstance(service, Unread):
        return (_unknown("versions and soft delete", service, _READER),)
    advice = "turn it on: it gives back what was deleted before there was a policy"
    versioning = _switch("versioning", _on(service.versioning), service.versioning or not versioned,
                         "version-level immutability needs it")  # fmt: skip
    kept = {
        "soft delete of blobs": service.soft_delete_days,
        "soft delete of containers": service.container_soft_delete_days,
    }
    return (
        versioning,
        *(_switch(fact, _days(days) or "off", days is not None, advice)
          for fact, days in kept.items()),
    )  # fmt: skip


def _grants(grants: tuple[Grant, ...] | Unread) -> tuple[Finding, ...]:
    if isinstance(grants, Unread):
        return (_unknown("who may delete", grants, _READER),)
    if not grants:
        return (_ok("who may delete", "no role assignment"),)
    return tuple(
        _weak(
            f"who may delete: {grant.kind} {grant.principal}".rstrip(),
            f"{grant.role} on {grant.scope or '/'}: {', '.join(grant.powers)}",
            "a locked policy stops it; take the role away where nobody needs it",
        )
        for grant in grants
    )


def _ok(fact: str, value: str) -> Finding:
    return Finding(fact=fact, value=value, standing=_OK)


def _weak(fact: str, value: str, advice: str) -> Finding:
    return Finding(fact=fact, value=value, standing=_WEAK, advice=advice)


def _bad(
    fact: str, value: str, advice: str, ceiling: Assurance = Assurance.WORM_LOCKED
) -> Finding:  # fmt: skip
    return Finding(fact=fact, value=value, standing=_BAD, advice=advice, ceiling=ceiling)


def _unknown(
    fact: str, why: Unread, advice: str, ceiling: Assurance = Assurance.WORM_LOCKED
) -> Finding:  # fmt: skip
    return Finding(
        fact=fact, value=f"could not be read: {why.reason}", standing=_UNKNOWN, advice=advice,
        ceiling=ceiling,
    )  # fmt: skip
