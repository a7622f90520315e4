"""The archive on AWS: what Terraform makes of `deploy/aws`, and what the provider knows of it.

Worked out by HashiCorp's evaluator. Not run here, for want of the provider and of AWS: `terraform
validate`, a plan, an apply.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import hcl2
import orjson
import pytest

from tests.support.aws import FILES, FOLDER, PROVIDER, Plan, Refused, plan, texts
from tests.support.hcl import unformatted

KEPT = {"archive", "class CALLS_V1", "secondary"}
REWRITTEN = {"positions", "subjects"}
Facts = dict[str, Any]

WANTED: Facts = {
    "locked": dict.fromkeys(KEPT, True),
    "retention": {"archive": ("COMPLIANCE", 2557), "class CALLS_V1": ("COMPLIANCE", 3653),
                  "secondary": ("COMPLIANCE", 3653)},  # every class lies in it
    # What is erased must be gone.
    "versions": dict.fromkeys(KEPT, "Enabled") | dict.fromkeys(REWRITTEN, "Disabled"),
    "regions": dict.fromkeys(KEPT | REWRITTEN, "eu-central-1") | {"secondary": "eu-west-1"},
    "encryption": dict.fromkeys(KEPT | REWRITTEN, ("AES256", None, False)),
    "public": dict.fromkeys(KEPT | REWRITTEN | {"trail"}, False),
    "access lists": dict.fromkeys(KEPT | REWRITTEN | {"trail"}, "BucketOwnerEnforced"),
    "no lifecycle, no replication": {"aws_s3_bucket_lifecycle_configuration.trail"},
    "emptied by Terraform": {False},
    "policies": KEPT | REWRITTEN | {"trail"},
    "trail": (True, True, {
        "Data", "Management", "AWS::S3::Object",
        *(f"arn:aws:s3:::contoso-audit-{each}/"
          for each in ("archive", "calls", "second", "subjects", "positions")),
    }),
    "settings": {
        "AUDIT_ARCHIVE": "s3://contoso-audit-archive", "AUDIT_SUBJECTS": "s3://contoso-audit-subjects",
        "AUDIT_RETENTION_DAYS": "2557", "AUDIT_RETENTION": "CALLS_V1=3653d",
        "AUDIT_ARCHIVES": "CALLS_V1=s3://contoso-audit-calls", "AUDIT_S3_REGION": "eu-central-1",
        "AUDIT_ARCHIVE_SECONDARY": "s3://contoso-audit-second",
        "AUDIT_S3_SECONDARY_REGION": "eu-west-1",
        "AUDIT_DELIVERY_POSITIONS": "s3://contoso-audit-positions",
    },
    "urls": {
        "archive": "s3://contoso-audit-archive", "class CALLS_V1": "s3://contoso-audit-calls",
        "positions": "s3://contoso-audit-positions", "secondary": "s3://contoso-audit-second",
        "subjects": "s3://contoso-audit-subjects",
    },
}  # fmt: skip


def facts(found: Plan) -> Facts:
    """The same, as a plan has it."""

    def every(kind: str, of: Callable[[Any], Any]) -> Facts:
        return {
            key: of(given)
            for address, instances in found.resources.items() if address.startswith(f"{kind}.")
            for key, given in instances.items()
        }  # fmt: skip

    s3 = "aws_s3_bucket"
    locked = found.resources[f"{s3}.kept"]
    [trail] = found.resources["aws_cloudtrail.this"].values()
    versions = every(f"{s3}_versioning", lambda it: it["versioning_configuration"][0]["status"])
    return {
        "locked": {key: each["object_lock_enabled"] for key, each in locked.items()},
        "retention": every(f"{s3}_object_lock_configuration", lambda it: tuple(
            it["rule"][0]["default_retention"][0][name] for name in ("mode", "days"))),
        "versions": {key: each for key, each in versions.items() if key != "trail"},
        "regions": {key: each for key, each in every(s3, lambda it: it.get("region")).items()
                    if key != "trail"},
        "encryption": every(f"{s3}_server_side_encryption_configuration", _encryption),
        "public": every(f"{s3}_public_access_block", lambda it: not all(
            it[name] is True for name in ("block_public_acls", "block_public_policy",
                                          "ignore_public_acls", "restrict_public_buckets"))),
        "access lists": every(f"{s3}_ownership_controls",
                              lambda it: it["rule"][0]["object_ownership"]),
        "no lifecycle, no replication": {
            address for address in found.resources if re.search("lifecycle|replica", address)
        },
        "emptied by Terraform": set(every(s3, lambda it: it["force_destroy"]).values()),
        "policies": set(every(f"{s3}_policy", lambda it: it["policy"])),
        "trail": (trail["enable_log_file_validation"], trail["is_multi_region_trail"],
                  set(_selected(trail))),
        "settings": found.outputs["settings"],
        "urls": found.outputs["urls"],
    }  # fmt: skip


def _encryption(given: Any) -> tuple[str, str | None, bool]:
    [rule] = given["rule"]
    [default] = rule["apply_server_side_encryption_by_default"]
    return default["sse_algorithm"], default["kms_master_key_id"], rule["bucket_key_enabled"]


def _selected(trail: Any) -> list[str]:
    return [
        value for selector in trail["advanced_event_selector"]
        for each in selector["field_selector"]
        for value in each.get("equals", []) + each.get("starts_with", [])
    ]  # fmt: skip


def test_it_is_formatted() -> None:
    assert unformatted(*FILES) == []


def test_it_says_so() -> None:
    assert facts(plan()) == WANTED


@pytest.mark.parametrize(
    ("fact", "file", "said", "instead"),
    [
        ("locked", "buckets", "object_lock_enabled = true", "object_lock_enabled = false"),
        ("retention", "buckets", '"COMPLIANCE"', '"GOVERNANCE"'),
        ("retention", "buckets", "days = each.value.days", "days = 1"),
        ("versions", "buckets", '"Disabled"', '"Enabled"'),
        ("versions", "buckets", '"Enabled"', '"Suspended"'),
        ("regions", "buckets", "region = each.region, days", "region = var.region, days"),
        ("encryption", "buckets", '"AES256"', '"aws:kms"'),
        ("public", "buckets", "restrict_public_buckets = true", "restrict_public_buckets = false"),
        ("public", "trail", "block_public_policy     = true", "block_public_policy     = false"),
        ("access lists", "buckets", '"BucketOwnerEnforced"', '"ObjectWriter"'),
        ("emptied by Terraform", "buckets", "force_destroy = false", "force_destroy = true"),
        ("policies", "policies", "for_each = local.bucket_policies",
         'for_each = { for key, it in local.bucket_policies : key => it if key != "secondary" }'),
        ("trail", "trail", "enable_log_file_validation    = true",
         "enable_log_file_validation    = false"),
        ("trail", "trail", "values(local.buckets)", '[local.buckets["archive"]]'),
        ("settings", "outputs", '"s3://${var.subjects_bucket}"', '"s3://${var.archive_bucket}"'),
    ],
)  # fmt: skip
def test_a_slip_is_seen(fact: str, file: str, said: str, instead: str) -> None:
    files = texts()
    assert said in files[f"{file}.tf"]
    files[f"{file}.tf"] = files[f"{file}.tf"].replace(said, instead)
    found = facts(plan(files))
    assert {name for name, value in found.items() if value != WANTED[name]} == {fact}


def test_what_must_not_go_is_held_by_terraform() -> None:
    parsed = [hcl2.loads(text) for text in texts().values()]
    held = [
        f"{kind}.{name}".replace('"', "")
        for each in parsed for block in each.get("resource", []) for kind, named in block.items()
        for name, body in named.items()
        if body.get("lifecycle", [{}])[0].get("prevent_destroy") is True
    ]  # fmt: skip
    assert set(held) == {"aws_s3_bucket.kept", "aws_s3_bucket.rewritten", "aws_s3_bucket.trail",
                         "aws_kms_key.this"}  # fmt: skip


def test_the_provider_knows_every_argument_of_every_way_to_set_it_up() -> None:
    for found in (plan(), plan(encryption="kms"), plan(values="", **SMALLEST)):
        assert list(found.faults()) == []
    assert plan().unused == []


@pytest.mark.parametrize(
    ("file", "said", "instead", "fault"),
    [
        ("buckets", "object_lock_enabled", "object_locks_enabled", "there is no 'object_locks"),
        ("buckets", "restrict_public_buckets = true", 'restrict_public_buckets = "yes"', "no bool"),
        ("buckets", 'status = "Disabled"', "", "'status' is missing"),
        ("outputs", "var.retention_days", "2557", "var.retention_days"),
    ],
)  # fmt: skip
def test_the_check_sees_a_slip(file: str, said: str, instead: str, fault: str) -> None:
    files = {
        name: text.replace("var.retention_days", "2557") if fault.startswith("var.") else text
        for name, text in texts().items()
    }
    files[f"{file}.tf"] = files[f"{file}.tf"].replace(said, instead)
    found = plan(files)
    assert any(fault in each for each in [*found.faults(), *found.unused])


@pytest.mark.parametrize(
    ("file", "said", "instead", "fault"),
    [
        ("buckets", "aws_s3_bucket.kept[each.key].id", "aws_s3_bucket.kept[each.key].ids", "ids"),
        ("buckets", "local.longest_days", "local.longest", "local.longest is not declared"),
        ("buckets", "aws_kms_key.this", "aws_kms_key.that", "aws_kms_key.that is not declared"),
        ("policies", "var.administrators", "var.admins", "var.admins is not declared"),
        ("policies", "tostring(each.days - 1)", "tostring(each.day - 1)", '"day"'),
        ("roles", "local.sees, local.posture", "local.sees, local.postures", "local.postures"),
        ("keys", "  name          =", "  name =  =", "Invalid expression"),
    ],
)
def test_a_reference_to_nothing_is_seen(file: str, said: str, instead: str, fault: str) -> None:
    files = texts()
    assert said in files[f"{file}.tf"]
    files[f"{file}.tf"] = files[f"{file}.tf"].replace(said, instead, 1)
    with pytest.raises(Refused, match=re.escape(fault)):
        plan(files)


#: What has no default.
SMALLEST: dict[str, Any] = {
    "account_id": "123456789012", "region": "eu-central-1", "archive_bucket": "a-kept",
    "subjects_bucket": "a-subjects",
    "administrators": ["arn:aws:iam::123456789012:role/storage-administrator"],
}  # fmt: skip


def test_little_is_asked_for() -> None:
    found = plan(values="", **SMALLEST)
    assert found.outputs["settings"] == {
        "AUDIT_ARCHIVE": "s3://a-kept", "AUDIT_SUBJECTS": "s3://a-subjects",
        "AUDIT_RETENTION_DAYS": "2557", "AUDIT_S3_REGION": "eu-central-1",
    }  # fmt: skip
    assert found.outputs["roles"] == {}  # nobody may take one on
    assert found.resources["aws_cloudtrail.this"] == {}
    assert set(found.resources["aws_s3_bucket.kept"]) == {"archive"}
    for name in SMALLEST:
        with pytest.raises(Refused, match=rf"var\.{name}: is not given"):
            plan(values="", **{key: it for key, it in SMALLEST.items() if key != name})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"account_id": "12"}, "12 digits"),
        ({"administrators": []}, "At least one ARN"),
        ({"administrators": ["arn:aws:iam::123456789012:role/*"]}, "without * and ?"),
        ({"administrators": ["arn:aws:iam::123456789012:role/another"]}, "would shut you out"),
        ({"retention_days": 0}, "from 1 to 36500"),
        ({"retention_days": 1.5}, "A whole number"),
        ({"class_buckets": {"X_V1": {"bucket": "b", "days": 0}}}, "Days are whole numbers"),
        ({"secondary": {"bucket": "b", "region": "eu-central-1"}}, "in another region"),
        ({"encryption": "none"}, "s3 or kms"),
        ({"oidc_provider_arn": "oidc.eks.eu-central-1.amazonaws.com/id/1"}, "An ARN like"),
        ({"service_accounts": {"boss": "x"}}, "The roles are worker"),
        ({"trusted_arns": {"boss": ["x"]}}, "The roles are worker"),
        ({"archive": "b"}, "var.archive is given and not declared"),
    ],
)
def test_a_value_that_cannot_be_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=re.escape(said)):
        plan(**given)


def test_a_key_of_ones_own_is_one_in_each_region_and_is_not_lost_by_others() -> None:
    found = plan(encryption="kms")
    keys = found.resources["aws_kms_key.this"]
    assert set(keys) == {"eu-central-1", "eu-west-1"}
    for key in keys.values():
        assert key["deletion_window_in_days"] == 30
        [_, refused] = orjson.loads(key["policy"])["Statement"]
        assert refused["Effect"] == "Deny"
        assert {"kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:PutKeyPolicy"} <= {
            *refused["Action"]
        }
    assert facts(found)["encryption"]["secondary"] == (
        "aws:kms", "aws_kms_key.this[eu-west-1].arn", True,
    )  # fmt: skip


def test_the_provider_is_of_the_version_that_was_looked_at() -> None:
    text = (FOLDER / "versions.tf").read_text("utf-8")
    [version] = re.findall(r'version = "(~> [\d.]+)"', text)
    assert version == f"~> {PROVIDER.rpartition('.')[0]}"
