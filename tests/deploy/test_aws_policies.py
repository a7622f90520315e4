"""What the buckets on AWS refuse: each statement to somebody whose own rights allow everything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest

from tests.support.aws import ACCOUNT, ADMINISTRATOR, SCHEMAS, Plan, plan, texts
from tests.support.iam import Request, Statement, allowed, listed, refusals

OURS = plan()
ACTIONS = orjson.loads((SCHEMAS / "iam.json").read_bytes())
#: Condition keys that every action knows.
GLOBAL = {"aws:SecureTransport", "aws:PrincipalArn", "aws:SourceArn"}
ARCHIVE, SUBJECTS = "arn:aws:s3:::contoso-audit-archive", "arn:aws:s3:::contoso-audit-subjects"
SEGMENT = f"{ARCHIVE}/segments/calls/00000/00000/00000000000000000000.ndjson.gz"
SUBJECT = f"{SUBJECTS}/subjects/calls/00000/00000/00000000000000000000-0123456789abcdef.bin"
WORKER, DISPOSER, HOLDER = (
    f"arn:aws:iam::{ACCOUNT}:role/audit-stream-{role}" for role in ("worker", "disposer", "holder")
)
ALL: list[Statement] = [{"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}]
#: How an object comes into the archive.
PUT = {
    "s3:if-none-match": "*", "s3:object-lock-mode": "COMPLIANCE",
    "s3:object-lock-remaining-retention-days": "2556",
}  # fmt: skip


def statements(found: Plan, bucket: str) -> list[Statement]:
    """Those of a bucket's policy."""
    policy = found.resources["aws_s3_bucket_policy.this"][bucket]["policy"]
    return list(orjson.loads(policy)["Statement"])


def put(principal: str = WORKER, resource: str = SEGMENT, **changed: str | None) -> Request:
    """A put as a worker makes it, but for some keys; None: without it."""
    keys: dict[str, str | None] = PUT | {each.replace("_", "-"): it for each, it in changed.items()}
    named = {name if ":" in name else f"s3:{name}": value for name, value in keys.items()}
    return Request("s3:PutObject", resource, principal,
                   {name: value for name, value in named.items() if value is not None})  # fmt: skip


def asks(action: str, resource: str, principal: str = ADMINISTRATOR, **keys: str) -> Request:
    """Another request."""
    given = {f"s3:{key.replace('_', '-')}": value for key, value in keys.items()}
    return Request(f"s3:{action}", resource, principal, given)


#: Statement → what it alone refuses.
REFUSED: dict[str, list[Request]] = {
    "RefuseWithoutTls": [
        Request("s3:GetObject", SEGMENT, ADMINISTRATOR, {"aws:SecureTransport": "false"}),
        Request("s3:ListBucket", ARCHIVE, WORKER, {"aws:SecureTransport": "false"}),
    ],
    "RefuseOldTls": [Request("s3:GetObject", SEGMENT, WORKER, {"s3:TlsVersion": "1.1"})],
    "RefuseKeysOfCustomers": [
        put(x_amz_server_side_encryption_customer_algorithm="AES256"),
    ],
    "RefuseOtherKeys": [
        put(x_amz_server_side_encryption_aws_kms_key_id="arn:aws:kms:eu-central-1:1:key/1"),
    ],
    "RefuseSettingUpToOthers": [
        asks(action, ARCHIVE, WORKER) for action in (
            "PutBucketPolicy", "DeleteBucketPolicy", "PutBucketVersioning", "DeleteBucket",
            "PutBucketObjectLockConfiguration", "PutLifecycleConfiguration",
            "PutReplicationConfiguration", "PutEncryptionConfiguration",
            "PutBucketPublicAccessBlock", "PutBucketOwnershipControls", "PutBucketAcl",
            "PutBucketLogging", "PutBucketNotification", "PutInventoryConfiguration",
            "PutAccelerateConfiguration",
        )
    ],
    "RefuseNamesThatAreTaken": [put(if_none_match=None), put(ADMINISTRATOR, if_none_match=None)],
    "RefuseAllButCompliance": [
        put(object_lock_mode="GOVERNANCE"), put(object_lock_mode=None),
        asks("PutObjectRetention", SEGMENT, object_lock_mode="GOVERNANCE"),
        asks("PutObjectRetention", SEGMENT, HOLDER),
    ],
    "RefuseShorterRetention": [
        put(object_lock_remaining_retention_days="2555"),
        put(ADMINISTRATOR, object_lock_remaining_retention_days="1"),
    ],
    "RefuseDeleteMarkers": [
        asks("DeleteObject", SEGMENT), asks("DeleteObject", SEGMENT, DISPOSER),
        asks("ReplicateDelete", SEGMENT),
    ],
    "RefuseBypass": [
        asks("BypassGovernanceRetention", SEGMENT), asks("ReplicateObject", SEGMENT),
        asks("ObjectOwnerOverrideToBucketOwner", SEGMENT),
    ],
    "RefuseDeletingToAllButTheDisposer": [
        asks("DeleteObjectVersion", SEGMENT), asks("DeleteObjectVersion", SEGMENT, WORKER),
    ],
    "RefuseDeletingAllButSegments": [
        asks("DeleteObjectVersion", f"{ARCHIVE}/{name}", DISPOSER)
        for name in ("log/00000000000000000000.json", "holds/1", "disposed/segments/x", "segment")
    ],
    "RefuseHoldsToAllButTheHolder": [
        asks("PutObjectLegalHold", SEGMENT), asks("PutObjectLegalHold", SEGMENT, WORKER),
    ],
    "RefuseVersionsAndCopies": [
        asks(action, SUBJECTS) for action in (
            "PutBucketVersioning", "PutReplicationConfiguration",
            "PutBucketObjectLockConfiguration",
        )
    ],
}  # fmt: skip

ALLOWED = [
    put(), put(object_lock_remaining_retention_days="3652"), put(x_amz_storage_class="STANDARD"),
    asks("GetObjectVersion", SEGMENT, WORKER), asks("ListBucketVersions", ARCHIVE, WORKER),
    # Longer than before, though not by as much as a put must be.
    asks("PutObjectRetention", SEGMENT, HOLDER, object_lock_mode="COMPLIANCE",
         object_lock_remaining_retention_days="365"),
    asks("PutObjectLegalHold", SEGMENT, HOLDER), asks("DeleteObjectVersion", SEGMENT, DISPOSER),
    asks("PutBucketPolicy", ARCHIVE), asks("PutBucketObjectLockConfiguration", ARCHIVE),
    Request("s3:PutObject", SUBJECT, WORKER), asks("DeleteObject", SUBJECT),
    asks("PutBucketPolicy", SUBJECTS), asks("PutEncryptionConfiguration", SUBJECTS),
]  # fmt: skip


def policy_of(request: Request, found: Plan = OURS) -> list[Statement]:
    """The policy of the bucket that a request goes to."""
    return statements(found, "subjects" if request.resource.startswith(SUBJECTS) else "archive")


def test_every_statement_of_every_policy_is_known() -> None:
    kept, rewritten = ({each["Sid"] for each in statements(OURS, bucket)}
                       for bucket in ("archive", "subjects"))  # fmt: skip
    assert kept | rewritten == set(REFUSED)
    for bucket in ("class CALLS_V1", "secondary"):
        assert {each["Sid"] for each in statements(OURS, bucket)} == kept
    assert {each["Sid"] for each in statements(OURS, "positions")} == rewritten
    for bucket in OURS.resources["aws_s3_bucket_policy.this"]:
        assert {each["Effect"] for each in statements(OURS, bucket)} == {"Deny"}


@pytest.mark.parametrize("sid", REFUSED)
def test_a_statement_alone_refuses_it(sid: str) -> None:
    for request in REFUSED[sid]:
        policy = policy_of(request)
        assert refusals(policy, request) == {sid}, request
        assert not allowed(request, ALL, policy)
        assert allowed(request, ALL, [each for each in policy if each["Sid"] != sid])


@pytest.mark.parametrize("request_", ALLOWED, ids=lambda each: each.action[3:])
def test_what_has_to_be_done_is_let_through(request_: Request) -> None:
    assert refusals(policy_of(request_), request_) == set()


@pytest.mark.parametrize(
    ("bucket", "resource", "shorter", "long_enough"),
    [
        ("archive", "contoso-audit-archive", "2555", "2556"),
        ("class CALLS_V1", "contoso-audit-calls", "3651", "3652"),
        ("secondary", "contoso-audit-second", "3651", "3652"),
    ],
)
def test_each_bucket_keeps_for_its_own_time(
    bucket: str, resource: str, shorter: str, long_enough: str
) -> None:
    for days, found in ((shorter, {"RefuseShorterRetention"}), (long_enough, set())):
        request = put(resource=f"arn:aws:s3:::{resource}/log/0.json",
                      object_lock_remaining_retention_days=days)  # fmt: skip
        assert refusals(statements(OURS, bucket), request) == found


@pytest.mark.parametrize(
    ("sid", "said", "instead"),
    [
        ("RefuseWithoutTls", '"aws:SecureTransport" = "false"', '"aws:SecureTransport" = "true"'),
        ("RefuseOldTls", '"1.2"', '"1.0"'),
        ("RefuseKeysOfCustomers", '-algorithm" = "false"', '-algorithm" = "true"'),
        ("RefuseOtherKeys", '-kms-key-id" = "false"', '-kms-key-id" = "true"'),
        ("RefuseSettingUpToOthers", '        "s3:PutLifecycleConfiguration",\n', ""),
        ("RefuseSettingUpToOthers", '"aws:PrincipalArn" = var.administrators',
         '"aws:PrincipalArn" = concat(var.administrators, values(local.role_arns))'),
        ("RefuseNamesThatAreTaken", '"s3:if-none-match" = "true"', '"s3:if-none-match" = "false"'),
        ("RefuseAllButCompliance", "StringNotEquals", "StringEquals"),
        ("RefuseAllButCompliance", '["s3:PutObject", "s3:PutObjectRetention"]', '"s3:PutObject"'),
        ("RefuseShorterRetention", "each.days - 1", "each.days - 10"),
        ("RefuseDeleteMarkers", '"s3:DeleteObject", "s3:ReplicateDelete"', '"s3:ReplicateDelete"'),
        ("RefuseBypass", '"s3:BypassGovernanceRetention", ', ""),
        ("RefuseDeletingToAllButTheDisposer", 'role_arns["disposer"]', 'role_arns["worker"]'),
        ("RefuseDeletingAllButSegments", ".arn}/segments/*", ".arn}/*"),
        ("RefuseHoldsToAllButTheHolder", 'role_arns["holder"]', 'role_arns["worker"]'),
        ("RefuseVersionsAndCopies", '"s3:PutBucketVersioning", "s3:PutRep', '"s3:PutRep'),
    ],
)  # fmt: skip
def test_a_slip_lets_something_through(sid: str, said: str, instead: str) -> None:
    files = texts()
    assert said in files["policies.tf"]
    files["policies.tf"] = files["policies.tf"].replace(said, instead)
    broken = plan(files)
    assert any(sid not in refusals(policy_of(each, broken), each) for each in REFUSED[sid])


def every_statement() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Of every policy there can be, with where it stands."""
    for found in (OURS, plan(encryption="kms")):
        for address, instances in found.resources.items():
            for key, given in instances.items():
                if "policy" in given:
                    for each in orjson.loads(given["policy"])["Statement"]:
                        yield f"{address}[{key}]", each


def test_actions_and_condition_keys_are_iams() -> None:
    seen = 0
    for where, statement in every_statement():
        for action in listed(statement["Action"]):
            if action in ("s3:*", "kms:*"):
                continue
            assert action in ACTIONS, f"{where}: there is no {action}"
            keys = {key for each in statement.get("Condition", {}).values() for key in each}
            known = {*ACTIONS[action]["conditions"], *GLOBAL}
            assert keys <= known, f"{where}: {action} does not know {keys - known}"
            seen += 1
    assert seen > 100


def test_an_action_stands_beside_a_resource_of_its_type() -> None:
    """S3 refuses a policy that says otherwise."""
    for where, statement in every_statement():
        resources = listed(statement.get("Resource", statement.get("NotResource", "")))
        types = {
            "key" if "kms_key" in each or each == "*" else "object" if "/" in each else "bucket"
            for each in resources
        }
        for action in listed(statement["Action"]):
            if not action.endswith("*"):
                known = {*ACTIONS[action]["resources"]}
                assert known & types, f"{where}: {action} on {resources}"


def test_a_policy_fits_into_s3s_limit() -> None:
    for given in OURS.resources["aws_s3_bucket_policy.this"].values():
        assert len(given["policy"]) < 20_480
    for given in plan(encryption="kms").resources["aws_iam_role_policy.this"].values():
        assert len(re.sub(r"\s", "", given["policy"])) < 10_240


def test_the_trail_is_written_by_cloudtrail_and_deleted_by_administrators_only() -> None:
    trail = f"arn:aws:cloudtrail:eu-central-1:{ACCOUNT}:trail/audit-stream"
    policy = orjson.loads(
        OURS.resources["aws_s3_bucket_policy.trail"]["trail"]["policy"])["Statement"]  # fmt: skip
    name = f"arn:aws:s3:::contoso-audit-trail/AWSLogs/{ACCOUNT}/CloudTrail/x.json.gz"
    keys = {"aws:SourceArn": trail, "s3:x-amz-acl": "bucket-owner-full-control"}
    write = Request("s3:PutObject", name, "cloudtrail.amazonaws.com", keys)
    assert allowed(write, [], policy)
    for other in (
        Request("s3:PutObject", name, WORKER, keys),
        Request("s3:PutObject", name, "cloudtrail.amazonaws.com", keys | {"aws:SourceArn": "x"}),
    ):
        assert not allowed(other, [], policy)
    for action in ("DeleteObject", "DeleteObjectVersion"):
        assert not allowed(asks(action, name, WORKER), ALL, policy)
        assert allowed(asks(action, name), ALL, policy)
