"""What the facts of an S3 bucket are worth: pure, one finding a fact."""

from __future__ import annotations

from audit_stream.posture import Assurance, Finding, Posture, Standing
from audit_stream.stores.observed import Attempt, Outcome, Unread
from audit_stream.stores.s3_facts import (
    ArchiveFacts,
    Lock,
    Policy,
    Retained,
    SubjectsFacts,
    Versioning,
    Way,
)
from audit_stream.stores.s3_protection import COMPLIANCE

_MUTABLE, _UNLOCKED = Assurance.MUTABLE, Assurance.WORM_UNLOCKED
_SKEW_SECONDS = 300  # signed requests are refused from 15 minutes on
_GUIDE = "see docs/how-to/s3.md"
_NEW_BUCKET = f"only a bucket with Object Lock keeps what is stored; {_GUIDE}"
_MAY_ASK = f"let the identity read the bucket's settings; {_GUIDE}"


def judge_archive(facts: ArchiveFacts) -> Posture:
    """Every fact with its verdict; the posture has the level."""
    return Posture(
        findings=(
            *_way(facts.way),
            *_lock(facts.lock, facts.retained),
            _versioning(facts.versioning, facts.retained),
            *_canary(facts.canary),
            _retained(facts.retained, facts.target_days),
            *_policy(facts.policy),
            _public(facts.public),
            _expires(facts.expires),
        )
    )


def judge_subjects(facts: SubjectsFacts) -> tuple[Finding, ...]:
    """What was rewritten or removed must be gone: no versions, no retention, no copies."""
    return (
        *_tls(facts.way, "subjects: "), _subjects_lock(facts.lock), _remains(facts.versioning),
        _replicated(facts.replicated), *_conditions(facts.conditions),
    )  # fmt: skip


# The way to the bucket


def _way(way: Way) -> tuple[Finding, ...]:
    https = _ok("endpoint", "https") if way.https else _bad(
        "endpoint", "http", "an emulator or an open line vouches for nothing: use https://",
        _MUTABLE,
    )  # fmt: skip
    service = _ok("service", "Amazon S3") if way.amazon else _weak(
        "service", "compatible with S3", "what it enforces is its operator's word, who has the "
        "disks; know whom you trust",
    )  # fmt: skip
    return (https, service, *_tls(way, ""), *_skew(way))


def _tls(way: Way, of: str) -> tuple[Finding, ...]:
    return () if way.tls is None else (_ok(f"{of}TLS as negotiated", way.tls),)


def _skew(way: Way) -> tuple[Finding, ...]:
    if way.skew_seconds is None:
        return ()
    value = f"{way.skew_seconds:+.0f} s"
    if abs(way.skew_seconds) <= _SKEW_SECONDS:
        return (_ok("our clock against the service's", value),)
    advice = "set this machine's clock (NTP): signed requests will be refused"
    return (_weak("our clock against the service's", value, advice),)


# Object Lock


def _lock(lock: Lock | Unread, retained: Retained | Unread) -> tuple[Finding, ...]:
    if isinstance(lock, Unread):
        return (_unknown("Object Lock", lock, _MAY_ASK, _seen(retained)),)
    if not lock.enabled:
        return (_bad("Object Lock", "off", _NEW_BUCKET, _MUTABLE),)
    default = f"{lock.mode}, {lock.days} days" if lock.mode else "none: each object brings its own"
    return (
        _ok("Object Lock", "on"),
        Finding(fact="default retention of the bucket", value=default),
    )


def _versioning(versioning: Versioning | Unread, retained: Retained | Unread) -> Finding:
    if isinstance(versioning, Unread):
        return _unknown("versioning", versioning, _MAY_ASK, _seen(retained))
    if versioning.status != "Enabled":
        advice = f"an overwrite replaces what was stored: turn it on; {_GUIDE}"
        return _bad("versioning", versioning.status or "off", advice, _MUTABLE)
    return _ok("versioning", "on, with MFA delete" if versioning.mfa_delete else "on")


def _seen(retained: Retained | Unread) -> Assurance:
    """The level left when the bucket does not tell: what an object shows is enough."""
    shown = isinstance(retained, Retained) and retained.mode == COMPLIANCE
    return Assurance.WORM_LOCKED if shown else _UNLOCKED


def _retained(retained: Retained | Unread, target_days: int) -> Finding:
    fact = "retention of a stored object"
    if isinstance(retained, Unread):
        advice = "run the check with the writer's settings, and let it do s3:GetObjectRetention"
        return _unknown(fact, retained, advice, _UNLOCKED)
    value = f"{retained.mode}, {retained.days:.0f} days" if retained.mode else "none"
    if retained.mode == COMPLIANCE and retained.days >= target_days - 1:  # kept to the second
        return _ok(fact, value)
    advice = f"{target_days} days in compliance mode are asked for with each object; {_GUIDE}"
    return _bad(fact, value, advice, _UNLOCKED if retained.mode else _MUTABLE)


# The canary


def _canary(canary: tuple[Attempt, ...] | Unread) -> tuple[Finding, ...]:
    if isinstance(canary, Unread):
        advice = "run the check with the writer's settings"
        return (_unknown("canary", canary, advice, _UNLOCKED),)
    if accepted := _attacks(canary, Outcome.ACCEPTED):
        bad = _bad(
            "canary", f"the writer's own identity could {accepted}",
            f"a bucket with Object Lock in compliance mode, and the rights of {_GUIDE[4:]}",
            _MUTABLE,
        )  # fmt: skip
        return (bad,)
    if unclear := _attacks(canary, Outcome.UNCLEAR):
        why = Unread(f"no known refusal: {unclear}")
        advice = "find out what answers in the service's place"
        return (_unknown("canary", why, advice, _UNLOCKED),)
    found = [_ok("canary", f"refused: {_attacks(canary, Outcome.REFUSED)}")]
    if shadowed := _attacks(canary, Outcome.SHADOWED):
        advice = (
            "no harm, for the oldest version is read by its id; still, deny DeleteObject and puts "
            f"without If-None-Match; {_GUIDE}"
        )
        found.append(_weak("what could be put in front of an object", shadowed, advice))
    return tuple(found)


def _attacks(canary: tuple[Attempt, ...], outcome: Outcome) -> str:
    found = [attempt for attempt in canary if attempt.outcome is outcome]
    return ", ".join(f"{each.attack} ({each.code})" if each.code else each.attack for each in found)


# The bucket's settings


def _policy(policy: Policy | Unread) -> tuple[Finding, ...]:
    if isinstance(policy, Unread):
        return (_unknown("bucket policy", policy, _MAY_ASK),)
    return (
        _denies("puts without If-None-Match", policy.needs_condition),
        _denies("removal", policy.denies_removal),
        _denies("requests without TLS", policy.needs_tls),
    )


def _denies(what: str, denied: bool) -> Finding:
    fact = f"bucket policy denies {what}"
    return _ok(fact, "yes") if denied else _weak(fact, "no", f"let it; {_GUIDE}")


def _public(public: bool | Unread) -> Finding:
    if isinstance(public, Unread):
        return _unknown("block of public access", public, _MAY_ASK)
    if public:
        return _weak("block of public access", "off", "turn its four switches on")
    return _ok("block of public access", "on")


def _expires(found: bool | Unread) -> Finding:
    fact = "lifecycle rules that remove"
    if isinstance(found, Unread):
        return _unknown(fact, found, _MAY_ASK)
    if found:
        advice = "a rule removes without a certificate: only `audit-stream retention` should"
        return _weak(fact, "yes", advice)
    return _ok(fact, "none")


# Subject objects


def _subjects_lock(lock: Lock | Unread) -> Finding:
    fact = "subjects: Object Lock"
    if isinstance(lock, Unread):
        return _unknown(fact, lock, _MAY_ASK)
    if lock.enabled:
        return _bad(fact, "on", "what cannot be removed cannot be forgotten: another bucket")
    return _ok(fact, "off")


def _remains(versioning: Versioning | Unread) -> Finding:
    fact = "subjects: versioning"
    if isinstance(versioning, Unread):
        return _unknown(fact, versioning, _MAY_ASK)
    if versioning.status:
        advice = "what was rewritten can be brought back: use a bucket that never had versions"
        return _bad(fact, versioning.status.lower(), advice)
    return _ok(fact, "off")


def _replicated(replicated: bool | Unread) -> Finding:
    fact = "subjects: replication"
    if isinstance(replicated, Unread):
        return _unknown(fact, replicated, _MAY_ASK)
    if replicated:
        return _bad(fact, "on", "a copy keeps what was removed: turn it off")
    return _ok(fact, "off")


def _conditions(tried: tuple[Attempt, ...] | Unread) -> tuple[Finding, ...]:
    fact = "subjects: a wrong entity tag"
    if isinstance(tried, Unread):
        return (_unknown(fact, tried, "run the check with the identity that rewrites"),)
    if accepted := _attacks(tried, Outcome.ACCEPTED):
        advice = "the service does not look at If-Match: two rewrites at once lose one; use another"
        return (_bad(fact, f"accepted: {accepted}", advice),)
    if unclear := _attacks(tried, Outcome.UNCLEAR):
        why = Unread(f"no known refusal: {unclear}")
        return (_unknown(fact, why, "run the check with the identity that rewrites"),)
    return (_ok(fact, f"refused: {_attacks(tried, Outcome.REFUSED)}"),)


def _ok(fact: str, value: str) -> Finding:
    return Finding(fact=fact, value=value, standing=Standing.OK)


def _weak(fact: str, value: str, advice: str) -> Finding:
    return Finding(fact=fact, value=value, standing=Standing.WEAK, advice=advice)


def _bad(
    fact: str, value: str, advice: str, ceiling: Assurance = Assurance.WORM_LOCKED
) -> Finding:  # fmt: skip
    return Finding(fact=fact, value=value, standing=Standing.BAD, advice=advice, ceiling=ceiling)


def _unknown(
    fact: str, why: Unread, advice: str, ceiling: Assurance = Assurance.WORM_LOCKED
) -> Finding:  # fmt: skip
    return Finding(
        fact=fact, value=f"could not be read: {why.reason}", standing=Standing.UNKNOWN,
        advice=advice, ceiling=ceiling,
    )  # fmt: skip
