"""Two buckets as our how-to sets them up, and identities that may do no more than ours need."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

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
    server: Versitygw, archive: str, subjects: str, writers: Sequence[str], reader: str
) -> None:
    """Both buckets."""
    locked_bucket(server, archive, writers, reader)
    plain_bucket(server, subjects, writers, reader)


def locked_bucket(server: Versitygw, name: str, writers: Sequence[str], reader: str) -> None:
    """One for an archive: with Object Lock, and for its writers to add to."""
    server.create_bucket(name)
    retention = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": _DAYS}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": retention}
    server.admin.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=lock)
    server.allow(name, {**dict.fromkeys(writers, ADD), reader: READ})


def plain_bucket(server: Versitygw, name: str, writers: Sequence[str], reader: str) -> None:
    """One for subject objects, for its writers to rewrite."""
    server.create_bucket(name, locked=False)
    server.allow(name, {**dict.fromkeys(writers, REWRITE), reader: READ})
