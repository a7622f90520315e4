"""What the S3 store asks of a bucket, against what `deploy/aws` lets its roles do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import orjson
import pytest
from botocore import xform_name

from audit_stream.stores.s3_facts import Policy, policy_of
from tests.deploy.test_aws_roles import BUCKETS, OURS, PLACES, ROLES, arn, policies
from tests.support.aws import ACCOUNT, SCHEMAS
from tests.support.iam import Request, allowed

STORES = Path(__file__).parents[2] / "audit_stream" / "stores"
ACTIONS = orjson.loads((SCHEMAS / "iam.json").read_bytes())
#: Operation of the SDK → the actions it takes, by the S3 API Reference.
NEEDED = {
    "delete_object": ("DeleteObject", "DeleteObjectVersion"),
    "get_bucket_lifecycle_configuration": ("GetLifecycleConfiguration",),
    "get_bucket_policy": ("GetBucketPolicy",),
    "get_bucket_replication": ("GetReplicationConfiguration",),
    "get_bucket_versioning": ("GetBucketVersioning",),
    "get_object": ("GetObject", "GetObjectVersion"),
    "get_object_legal_hold": ("GetObjectLegalHold",),
    "get_object_lock_configuration": ("GetBucketObjectLockConfiguration",),
    "get_object_retention": ("GetObjectRetention",),
    "get_public_access_block": ("GetBucketPublicAccessBlock",),
    "list_object_versions": ("ListBucketVersions",),
    "list_objects_v2": ("ListBucket",),
    "put_object": ("PutObject", "PutObjectRetention"),
    "put_object_legal_hold": ("PutObjectLegalHold",),
    "put_object_retention": ("PutObjectRetention",),
}
READS = sorted(
    action for operation, actions in NEEDED.items() if operation.startswith(("get_", "list_"))
    for action in actions
)  # fmt: skip


def asked() -> Iterator[str]:
    """The operations of the SDK that the S3 store's code names."""
    known = {
        xform_name(each)
        for each in botocore.session.get_session().get_service_model("s3").operation_names
    }
    for path in (*STORES.glob("s3*.py"), STORES / "disposal" / "s3.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and node.value in known:
                yield str(node.value)


def test_the_store_asks_for_nothing_else() -> None:
    assert set(asked()) == set(NEEDED)
    assert all(f"s3:{action}" in ACTIONS for actions in NEEDED.values() for action in actions)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("action", READS)
def test_every_role_may_ask_the_archive_what_the_store_asks(role: str, action: str) -> None:
    on_bucket = "bucket" in ACTIONS[f"s3:{action}"]["resources"]
    for bucket in ("archive", "class CALLS_V1", "secondary"):
        resource = arn(bucket) if on_bucket else f"{arn(bucket)}/{PLACES['segment'][1]}"
        request = Request(
            f"s3:{action}", resource, f"arn:aws:iam::{ACCOUNT}:role/audit-stream-{role}"
        )
        assert allowed(request, *policies(OURS, role, bucket)), (bucket, action)


@pytest.mark.parametrize("bucket", BUCKETS)
def test_the_check_of_an_archive_finds_in_the_policy_what_it_looks_for(bucket: str) -> None:
    given = OURS.resources["aws_s3_bucket_policy.this"][bucket]["policy"]
    kept = bucket not in ("subjects", "positions")
    assert policy_of(given) == Policy(
        needs_condition=kept, denies_removal=kept, needs_tls=True
    )  # fmt: skip
