"""Make `aws.json` anew: `python make_aws.py PACKAGE`, an unpacked @cdktf/provider-aws.

21.22.1 is of hashicorp/aws 6.25.0, the last one there is. The table is as that of
`make_azurerm.py`.
"""

from __future__ import annotations

import sys

from make_azurerm import write

RESOURCES = (
    "cloudtrail", "iam_role", "iam_role_policy", "kms_alias", "kms_key", "s3_bucket",
    "s3_bucket_lifecycle_configuration", "s3_bucket_object_lock_configuration",
    "s3_bucket_ownership_controls", "s3_bucket_policy", "s3_bucket_public_access_block",
    "s3_bucket_server_side_encryption_configuration", "s3_bucket_versioning",
    "data_aws_caller_identity", "data_aws_iam_session_context", "data_aws_partition", "provider",
)  # fmt: skip

if __name__ == "__main__":
    write(sys.argv[1], RESOURCES, "aws.json")
