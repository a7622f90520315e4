"""Who may do what on AWS: every role, on every kind of object, with the buckets' own policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from audit_stream.evidence.log_names import ACCESS_FOLDER
from audit_stream.holds.journal import HELD
from audit_stream.privacy.private_object import FOLDER
from tests.support.aws import ACCOUNT, Plan, plan, texts
from tests.support.iam import Request, allowed

OURS = plan()
ROLES = ("worker", "gateway", "keeper", "holder", "disposer", "deliverer", "auditor")
BUCKETS = {"archive": "archive", "class CALLS_V1": "calls", "secondary": "second",
           "subjects": "subjects", "positions": "positions"}  # fmt: skip
#: What a put into each bucket says.
_LOCK = {"s3:if-none-match": "*", "s3:object-lock-mode": "COMPLIANCE",
         "s3:object-lock-remaining-retention-days": "3652"}  # fmt: skip
_ADD = {"s3:if-none-match": "*"}
_REPLACE = {"s3:if-match": '"etag"'}
#: What may be done → (action, keys).
DEEDS: dict[str, tuple[str, Mapping[str, str]]] = {
    "read": ("GetObjectVersion", {}),
    "add": ("PutObject", _LOCK),
    "extend": ("PutObjectRetention", {"s3:object-lock-mode": "COMPLIANCE"}),
    "hold": ("PutObjectLegalHold", {}),
    "remove": ("DeleteObjectVersion", {}),
    "hide": ("DeleteObject", {}),
    "overwrite": ("PutObject", {k: v for k, v in _LOCK.items() if k != "s3:if-none-match"}),
}
LOOSE: dict[str, tuple[str, Mapping[str, str]]] = {
    "read": ("GetObject", {}), "add": ("PutObject", _ADD), "rewrite": ("PutObject", _REPLACE),
    "remove": ("DeleteObject", {}),
}  # fmt: skip
#: Kind of object → bucket, name, what can be done to it.
PLACES: dict[str, tuple[str, str, Mapping[str, tuple[str, Mapping[str, str]]]]] = {
    "segment": ("archive", "segments/calls/00000/00000/00000000000000000000.ndjson.gz", DEEDS),
    "class's segment": ("class CALLS_V1", "segments/c/00000/00000/0.ndjson.gz", DEEDS),
    "second segment": ("secondary", "segments/c/00000/00000/0.ndjson.gz", DEEDS),
    "log": ("archive", "log/00000000000000000000.json", DEEDS),
    "journal": ("archive", f"{ACCESS_FOLDER}00000000000000000000/0123456789abcdef.ndjson", DEEDS),
    "subject": ("subjects", "subjects/calls/00000/00000/0-0123456789abcdef.bin", LOOSE),
    "epoch": ("subjects", f"{FOLDER}epoch", LOOSE),
    "fleet": ("subjects", f"{FOLDER}fleet/worker-0123456789abcdef/0000000001", LOOSE),
    "request": ("subjects", f"{FOLDER}requests/rq-1", LOOSE),
    "hold": ("subjects", f"{FOLDER}holds/h-1", LOOSE),
    "held": ("subjects", f"{HELD}h-1", LOOSE),
    "receiver": ("subjects", f"{FOLDER}receivers/siem/0123456789abcdef", LOOSE),
    "position": ("positions", "siem/calls/00000/00000", LOOSE),
}
_READS = {(place, "read") for place in PLACES if place != "position"}
_ARCHIVE = ("segment", "class's segment", "second segment", "log", "journal")
_PRIVATE = ("epoch", "fleet", "request", "hold", "held", "receiver")
_ADDS = {(place, deed) for place in _ARCHIVE for deed in ("add", "extend")}


def _may(deeds: tuple[str, ...], *places: str) -> set[tuple[str, str]]:
    return {(place, deed) for place in places for deed in deeds}


_WRITES = ("add", "rewrite", "remove")
WANTED: dict[str, set[tuple[str, str]]] = {
    "worker": _READS | _ADDS | _may(("add",), "subject", *_PRIVATE),
    "gateway": _READS | _may(("add", "extend"), "journal")
    | _may(_WRITES, "fleet", "request", "hold"),
    "keeper": _READS | _ADDS | _may(_WRITES, "subject", *_PRIVATE),
    "holder": _READS | _ADDS | _may(("hold",), *_ARCHIVE) | _may(_WRITES, "hold", "held"),
    "disposer": _READS | _ADDS | _may(_WRITES, "subject", *_PRIVATE)
    | _may(("remove",), "segment", "class's segment", "second segment"),
    "deliverer": _may(("read",), *_ARCHIVE) | _may(("read", "add", "rewrite"), "position"),
    "auditor": _may(("read",), *_ARCHIVE),
}  # fmt: skip


def arn(bucket: str) -> str:
    """Of a bucket of the example."""
    return f"arn:aws:s3:::contoso-audit-{BUCKETS[bucket]}"


def policies(found: Plan, role: str, bucket: str) -> tuple[list[Any], list[Any]]:
    """The statements of a role and of a bucket."""
    given = found.resources
    own = given["aws_iam_role_policy.this"][role]["policy"]
    theirs = given["aws_s3_bucket_policy.this"][bucket]["policy"]
    return orjson.loads(own)["Statement"], orjson.loads(theirs)["Statement"]


def may(found: Plan, role: str) -> set[tuple[str, str]]:
    """(kind of object, deed): all that a role can do."""
    return {
        (place, deed)
        for place, (bucket, name, deeds) in PLACES.items()
        for deed, (action, keys) in deeds.items()
        if allowed(
            Request(f"s3:{action}", f"{arn(bucket)}/{name}",
                    f"arn:aws:iam::{ACCOUNT}:role/audit-stream-{role}", keys),
            *policies(found, role, bucket),
        )
    }  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_this_and_no_more(role: str) -> None:
    assert may(OURS, role) == WANTED[role]


def test_a_deliverer_of_personal_fields_has_to_know_whose_a_record_is() -> None:
    found = plan(deliverer_sends_personal_fields=True)
    assert may(found, "deliverer") == WANTED["deliverer"] | _READS | _may(
        ("add",), "fleet", "receiver"
    )
    for role in set(ROLES) - {"deliverer"}:
        assert may(found, role) == WANTED[role]


def test_these_are_the_roles() -> None:
    assert set(OURS.resources["aws_iam_role.this"]) == set(ROLES)
    assert OURS.outputs["roles"] == {
        role: f"aws_iam_role.this[{role}].arn" for role in ROLES
    }  # fmt: skip
    for role in ROLES:
        assert OURS.resources["aws_iam_role.this"][role]["name"] == f"audit-stream-{role}"
        assert OURS.locals["role_arns"][role].endswith(f":role/audit-stream-{role}")


@pytest.mark.parametrize("role", ROLES)
def test_no_role_sets_up_a_bucket(role: str) -> None:
    own, _ = policies(OURS, role, "archive")
    allows = {action for each in own for action in [each["Action"]] if isinstance(action, str)}
    allows |= {one for each in own if isinstance(each["Action"], list) for one in each["Action"]}
    assert not any("*" in each or each.startswith("s3:Bypass") for each in allows)
    puts = {each for each in allows if each.startswith("s3:Put")}
    assert puts <= {"s3:PutObject", "s3:PutObjectRetention", "s3:PutObjectLegalHold"}
    assert all(each["Resource"] != "*" for each in own)


@pytest.mark.parametrize("role", ["worker", "gateway", "keeper", "holder", "disposer"])
def test_who_opens_a_bucket_sees_how_it_is_set_up(role: str) -> None:
    for action in ("ListBucket", "ListBucketVersions", "GetBucketVersioning",
                   "GetBucketObjectLockConfiguration", "GetBucketPolicy"):  # fmt: skip
        for bucket in ("archive", "secondary", "subjects"):
            request = Request(f"s3:{action}", arn(bucket), f"role/audit-stream-{role}")
            assert allowed(request, *policies(OURS, role, bucket)), (action, bucket)


@pytest.mark.parametrize(
    ("role", "said", "instead"),
    [
        ("worker", 'Condition = { Null = { "s3:if-none-match" = "false" } }', "Condition = {}"),
        ("gateway", "${arn}/access/*", "${arn}/*"),
        ("gateway", '/private/${folder}/*"\n', '/private/*"\n'),
        ("disposer", "${arn}/segments/*", "${arn}/log/*"),
        ("holder", '"s3:PutObjectLegalHold"', '"s3:GetObjectLegalHold"'),
        ("holder", '["holds", "hold-keys", "held"]', '["holds", "hold-keys", "fleet"]'),
        ("deliverer", " : each if var.deliverer_sends_personal_fields", " : each"),
        ("auditor", "auditor = local.reads_archive",
         "auditor = concat(local.reads_archive, local.reads_subjects)"),
    ],
)  # fmt: skip
def test_a_slip_in_a_role_is_seen(role: str, said: str, instead: str) -> None:
    files = texts()
    assert said in files["roles.tf"]
    files["roles.tf"] = files["roles.tf"].replace(said, instead)
    broken = plan(files)
    assert {each for each in ROLES if may(broken, each) != WANTED[each]} == {role}


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("/private/fleet/*", "/private/*"),
        ('*"]\n          Condition = { Null = { "s3:if-none-match" = "false" } }',
         '*"]\n          Condition = {}'),
    ],
)  # fmt: skip
def test_a_slip_in_what_goes_with_personal_fields_is_seen(said: str, instead: str) -> None:
    files = texts()
    assert said in files["roles.tf"]
    files["roles.tf"] = files["roles.tf"].replace(said, instead)
    found = plan(deliverer_sends_personal_fields=True)
    broken = plan(files, deliverer_sends_personal_fields=True)
    assert {each for each in ROLES if may(broken, each) != may(found, each)} == {"deliverer"}


def test_a_service_account_of_the_cluster_takes_its_role_on_and_no_other_does() -> None:
    made = OURS.resources["aws_iam_role.this"]
    issuer = "oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF"
    [trusted] = orjson.loads(made["worker"]["assume_role_policy"])["Statement"]
    assert trusted["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert trusted["Principal"]["Federated"].endswith(f":oidc-provider/{issuer}")
    assert trusted["Condition"] == {"StringEquals": {
        f"{issuer}:aud": "sts.amazonaws.com",
        f"{issuer}:sub": "system:serviceaccount:audit-stream:audit-stream-worker",
    }}  # fmt: skip
    [people] = orjson.loads(made["auditor"]["assume_role_policy"])["Statement"]
    assert people["Action"] == "sts:AssumeRole"
    assert people["Principal"] == {"AWS": [f"arn:aws:iam::{ACCOUNT}:role/auditors"]}


def test_a_role_uses_the_accounts_key_and_cannot_lose_it() -> None:
    found = plan(encryption="kms")
    for role in ROLES:
        own, _ = policies(found, role, "archive")
        keys = [each for each in own if "kms:Decrypt" in each["Action"]]
        assert {each["Resource"] for each in keys} == {
            f"aws_kms_key.this[{region}].arn" for region in ("eu-central-1", "eu-west-1")
        }  # fmt: skip
        assert all(set(each["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"} for each in keys)
