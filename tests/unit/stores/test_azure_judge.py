"""From facts to a level: sound facts are worm_locked, and each single fault costs what it must."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audit_stream.posture import Assurance, Standing
from audit_stream.stores.azure_facts import (
    Account,
    ArchiveFacts,
    BlobService,
    Container,
    Plane,
    Policy,
    Retained,
    account_of,
    container_of,
    service_of,
)
from audit_stream.stores.azure_judge import judge_archive
from audit_stream.stores.observed import Attempt, Outcome, Unread

LOCKED, UNLOCKED, MUTABLE = Assurance.WORM_LOCKED, Assurance.WORM_UNLOCKED, Assurance.MUTABLE
POLICY = Policy(locked=True, days=2557, etag="1")
PLANE = Plane(https=True, has_policy=True, versioned=False, tls="TLSv1.3", skew_seconds=0.5)
CONTAINER = Container(policy=POLICY, versioned=False)
ACCOUNT = Account(
    redundancy="Standard_RAGZRS", minimum_tls="TLS1_2", https_only=True, shared_key=False,
    public_blobs=False, public_network=False,
)  # fmt: skip
SERVICE = BlobService(versioning=False, soft_delete_days=14, container_soft_delete_days=14)
WITHSTOOD = tuple(Attempt(each, Outcome.REFUSED, "x") for each in ("overwrite", "delete"))
SOUND = ArchiveFacts(
    target_days=2557, plane=PLANE, canary=WITHSTOOD, container=CONTAINER, account=ACCOUNT,
    service=SERVICE, grants=(),
)  # fmt: skip
WHY = Unread("HTTP 503")


def test_sound_facts_are_worm_locked_and_all_well() -> None:
    posture = judge_archive(SOUND)
    assert posture.assurance is LOCKED
    assert {each.standing for each in posture.findings} <= {Standing.OK, Standing.NOTE}


def policy(**change: Any) -> dict[str, Any]:
    return {"container": replace(CONTAINER, policy=replace(POLICY, **change))}


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({"plane": replace(PLANE, https=False)}, MUTABLE),
        ({"container": replace(CONTAINER, policy=None)}, MUTABLE),
        ({"container": WHY}, UNLOCKED),
        ({"container": WHY, "plane": replace(PLANE, has_policy=False)}, MUTABLE),
        (policy(locked=False), UNLOCKED),
        (policy(days=2556), UNLOCKED),
        (policy(days=2558), LOCKED),
        (policy(append=True), LOCKED),
        (policy(append_all=True), UNLOCKED),
        ({"canary": Unread("opened read-only")}, UNLOCKED),
        ({"canary": (*WITHSTOOD, Attempt("write", Outcome.UNCLEAR, "Odd"))}, UNLOCKED),
        ({"canary": (*WITHSTOOD, Attempt("write", Outcome.ACCEPTED))}, MUTABLE),
        ({"retained": Retained(locked=True, days=2557)}, LOCKED),
        ({"retained": Retained(locked=True, days=365)}, UNLOCKED),
        ({"retained": Retained(locked=False, days=2557)}, UNLOCKED),
        ({"account": WHY, "service": WHY, "grants": WHY}, LOCKED),
        ({"account": replace(ACCOUNT, shared_key=True, redundancy="Standard_LRS")}, LOCKED),
        ({"plane": replace(PLANE, skew_seconds=-400.0)}, LOCKED),
        ({"container": replace(CONTAINER, public=True)}, LOCKED),
    ],
)
def test_each_fault_costs_what_it_must(change: dict[str, Any], level: Assurance) -> None:
    posture = judge_archive(replace(SOUND, **change))
    assert posture.assurance is level
    below = posture.missing(LOCKED)
    assert bool(below) is (level is not LOCKED)
    assert all(each.advice and each.standing is not Standing.OK for each in below)
    wanting = (Standing.WEAK, Standing.BAD, Standing.UNKNOWN)
    assert all(each.advice for each in posture.findings if each.standing in wanting)


def test_a_clock_that_is_wrong_is_told() -> None:
    facts = replace(SOUND, plane=replace(PLANE, skew_seconds=-400.0))
    told = [each for each in judge_archive(facts).findings if each.standing is Standing.WEAK]
    assert [str(each) for each in told] == ["our clock against the service's: -400 s"]


def test_what_a_document_does_not_say_is_not_taken_for_good() -> None:
    assert container_of({}) == Container(policy=None, versioned=False)
    assert container_of({"properties": {"immutabilityPolicy": {"properties": {}}}}).policy is None
    bare = account_of({})
    assert (bare.minimum_tls, bare.shared_key, bare.public_blobs) == ("TLS1_0", True, True)
    assert service_of({}).soft_delete_days is None
