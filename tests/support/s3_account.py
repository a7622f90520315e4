"""Two buckets as our how-to sets them up, and identities that may do no more than ours need."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from audit_stream.stores.s3_target import S3Keys
from tests.support.versitygw import Versitygw

READ = (
    "GetObject", "GetObjectVersion", "GetObjectRetention", "GetObjectLegalHold", "ListBucket",
    "ListBucketVersions", "GetBucketVersioning", "GetBucketObjectLockConfiguration",
    "GetBucketPolicy",
)  # fmt: skip
ADD = (*READ, "PutObject", "PutObjectRetention")
REWRITE = (*READ, "PutObject", "DeleteObject")
_DAYS = 2557


def identity(server: Versitygw, name: str) -> S3Keys:
    """An identity without any right; `name` is the id of its key."""
    keys = S3Keys(key_id=name, secret=secrets.token_hex(16))
    server.add_identity(keys)
    return keys


def set_up(
    server: Versitygw, archive: str, subjects: str, writers: Iterable[str], reader: str
) -> None:
    """The archive's bucket, locked, and that of the subject objects, which can be rewritten."""
    server.create_bucket(archive)
    retention = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": _DAYS}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": retention}
    server.admin.put_object_lock_configuration(Bucket=archive, ObjectLockConfiguration=lock)
    server.create_bucket(subjects, locked=False)
    writers = list(writers)
    server.allow(archive, {**dict.fromkeys(writers, ADD), reader: READ})
    server.allow(subjects, {**dict.fromkeys(writers, REWRITE), reader: READ})
