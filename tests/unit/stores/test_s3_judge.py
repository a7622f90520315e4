"""What the facts of a bucket are worth."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from audit_stream.posture import Assurance, Standing
from audit_stream.stores.observed import Attempt, Outcome, Unread
from audit_stream.stores.s3_facts import (
    ArchiveFacts,
    Lock,
    Policy,
    Retained,
    Versioning,
    Way,
    expires,
    lock_of,
    open_to_public,
    policy_of,
    versioning_of,
)
from audit_stream.stores.s3_judge import judge_archive

DENIED = Unread("AccessDenied")
SOUND = ArchiveFacts(
    target_days=2557,
    way=Way(https=True, amazon=True, tls="TLSv1.3", skew_seconds=1.0),
    lock=Lock(enabled=True, mode="COMPLIANCE", days=2557),
    versioning=Versioning(status="Enabled"),
    canary=(Attempt("delete version", Outcome.REFUSED, "AccessDenied"),),
    retained=Retained(mode="COMPLIANCE", days=2557.01),
    policy=Policy(needs_condition=True, denies_removal=True, needs_tls=True),
    public=False,
    expires=False,
)


def test_sound_facts_are_worm_locked_and_all_well() -> None:
    posture = judge_archive(SOUND)
    assert posture.assurance is Assurance.WORM_LOCKED
    assert {each.standing for each in posture.findings} == {Standing.OK, Standing.NOTE}


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({"way": Way(https=False, amazon=True)}, Assurance.MUTABLE),
        ({"lock": Lock(enabled=False)}, Assurance.MUTABLE),
        ({"lock": DENIED}, Assurance.WORM_LOCKED),  # an object shows what the bucket does not
        ({"lock": DENIED, "retained": DENIED}, Assurance.WORM_UNLOCKED),
        ({"lock": Lock(enabled=True)}, Assurance.WORM_LOCKED),  # each object brings its own
        ({"versioning": Versioning(status="Suspended")}, Assurance.MUTABLE),
        ({"versioning": DENIED, "retained": DENIED}, Assurance.WORM_UNLOCKED),
        ({"retained": Retained(mode="")}, Assurance.MUTABLE),
        ({"retained": Retained(mode="GOVERNANCE", days=2557)}, Assurance.WORM_UNLOCKED),
        ({"retained": Retained(mode="COMPLIANCE", days=2555)}, Assurance.WORM_UNLOCKED),
        ({"retained": DENIED}, Assurance.WORM_UNLOCKED),
        ({"canary": DENIED}, Assurance.WORM_UNLOCKED),
        ({"canary": (Attempt("shorten", Outcome.ACCEPTED),)}, Assurance.MUTABLE),
        ({"canary": (Attempt("overwrite", Outcome.SHADOWED),)}, Assurance.WORM_LOCKED),
        ({"canary": (Attempt("delete", Outcome.UNCLEAR, "Teapot"),)}, Assurance.WORM_UNLOCKED),
        ({"policy": DENIED, "public": DENIED, "expires": DENIED}, Assurance.WORM_LOCKED),
        ({"policy": Policy(), "public": True, "expires": True}, Assurance.WORM_LOCKED),
        ({"way": Way(https=True, amazon=False)}, Assurance.WORM_LOCKED),
        ({"way": Way(https=True, amazon=True, skew_seconds=400.0)}, Assurance.WORM_LOCKED),
    ],
)
def test_each_fault_costs_what_it_must(change: dict[str, Any], level: Assurance) -> None:
    posture = judge_archive(replace(SOUND, **change))
    assert posture.assurance is level
    faults = [
        each for each in posture.findings if each.standing not in (Standing.OK, Standing.NOTE)
    ]
    assert all(each.advice for each in faults)
    if change != {"lock": Lock(enabled=True)}:
        assert faults


def test_what_an_answer_does_not_say_is_not_taken_for_good() -> None:
    assert lock_of({}) == Lock(enabled=False)
    assert versioning_of({}) == Versioning(status="")
    assert open_to_public({})
    assert not expires({})
    assert policy_of("no policy") == policy_of("{}") == Policy()


def test_a_default_in_years_has_the_services_days() -> None:
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 7}}
    answer = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", "Rule": rule}}
    assert lock_of(answer) == Lock(enabled=True, mode="COMPLIANCE", days=2555)


def test_a_rule_that_is_off_or_only_moves_removes_nothing() -> None:
    assert expires({"Rules": [{"Status": "Enabled", "NoncurrentVersionExpiration": {}}]})
    assert not expires({"Rules": [{"Status": "Disabled", "Expiration": {"Days": 1}}]})
    assert not expires({"Rules": [{"Status": "Enabled", "Transitions": []}]})


def test_a_policy_counts_by_what_it_denies() -> None:
    def statement(effect: str, action: Any, condition: Any = None) -> dict[str, Any]:
        return {"Effect": effect, "Action": action, "Condition": condition or {}}

    no_condition = {"Null": {"s3:if-none-match": "true"}}
    whole = [
        statement("Deny", "s3:PutObject", no_condition),
        statement("Deny", ["s3:DeleteObject", "s3:DeleteObjectVersion"]),
        statement("Deny", "s3:*", {"Bool": {"aws:SecureTransport": "false"}}),
    ]
    assert policy_of(json.dumps({"Statement": whole})) == Policy(
        needs_condition=True, denies_removal=True, needs_tls=True
    )
    allowed = [{**each, "Effect": "Allow"} for each in whole]
    assert policy_of(json.dumps({"Statement": allowed})) == Policy()
    only_tls = policy_of(json.dumps({"Statement": whole[2]}))
    assert only_tls == Policy(needs_tls=True)
