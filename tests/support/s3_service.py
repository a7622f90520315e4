"""A real S3 server with Object Lock, and identities that may do no more than ours need.

versitygw keeps its accounts itself; what one may do in a bucket is the bucket's policy.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import botocore.session
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from multidict import CIMultiDict

from audit_stream.kafka.embedded import free_ports
from tests.support.eventually import until
from tests.support.go_peers import go_peer
from tests.support.s3_faults.signed import Credentials, Incoming, signed

REGION = "us-east-1"
_OBJECT_READS = ("GetObject", "GetObjectVersion", "GetObjectRetention", "GetObjectLegalHold")
_BUCKET_READS = (
    "ListBucket", "ListBucketVersions", "GetBucketVersioning", "GetBucketObjectLockConfiguration",
    "GetBucketPolicy",
)  # fmt: skip
READ = _OBJECT_READS + _BUCKET_READS
ADD = (*READ, "PutObject", "PutObjectRetention")
REWRITE = (*READ, "PutObject", "DeleteObject")


def program() -> str:
    """Where versitygw lies: AUDIT_TEST_VERSITYGW, else what is built of its sources."""
    return os.environ.get("AUDIT_TEST_VERSITYGW") or go_peer("versitygw")


class S3Service:
    """The server, while the `with` lasts; all that it keeps lies in `folder`."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder
        self._process: subprocess.Popen[bytes] | None = None
        self.root = Credentials("root", secrets.token_hex(16))
        self.url = ""

    def __enter__(self) -> Self:
        places = {name: self._folder / name for name in ("data", "versions", "accounts")}
        for place in places.values():
            place.mkdir(parents=True)
        address = f"127.0.0.1:{free_ports(1)[0]}"
        self._process = subprocess.Popen(
            [
                self._program, "--port", address, "--quiet", "--iam-dir", places["accounts"],
                "posix", "--versioning-dir", places["versions"], places["data"],
            ],
            env=os.environ | {
                "ROOT_ACCESS_KEY_ID": self.root.access_key,
                "ROOT_SECRET_ACCESS_KEY": self.root.secret_key,
            },
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.url = f"http://{address}"
        until(self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "versitygw ended"
        try:
            self.client(self.root).list_buckets()
        except EndpointConnectionError:
            return False
        return True

    def client(self, by: Credentials, *, at: str = "", read_seconds: float = 30.0) -> Any:
        """An S3 client of an identity; `at`: the URL of a proxy before the server."""
        config = Config(
            retries={"total_max_attempts": 1}, s3={"addressing_style": "path"},
            read_timeout=read_seconds,
        )  # fmt: skip
        return botocore.session.Session().create_client(
            "s3", region_name=REGION, endpoint_url=at or self.url,
            aws_access_key_id=by.access_key, aws_secret_access_key=by.secret_key,
            config=config,
        )  # fmt: skip

    def identity(self, name: str) -> Credentials:
        """An account that may do nothing yet; `name` is its access key."""
        made = Credentials(name, secrets.token_hex(16))
        body = (
            f"<Account><Access>{made.access_key}</Access><Secret>{made.secret_key}</Secret>"
            "<Role>user</Role><UserID>0</UserID><GroupID>0</GroupID><ProjectID>0</ProjectID>"
            "</Account>"
        )
        headers = CIMultiDict(Host=self.url.removeprefix("http://"))
        told = signed(Incoming("PATCH", "/create-user", headers, body.encode()), self.root, REGION)
        request = urllib.request.Request(
            self.url + told.target, told.body, dict(told.headers), method=told.method
        )
        urllib.request.urlopen(request, timeout=10).close()
        return made

    def locked_bucket(self, name: str, days: int) -> None:
        """A bucket with Object Lock, whose objects are kept for so long by default."""
        client = self.client(self.root)
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        retention = {"Mode": "COMPLIANCE", "Days": days}
        lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
        client.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=lock)

    def plain_bucket(self, name: str) -> None:
        """A bucket whose objects can be rewritten."""
        self.client(self.root).create_bucket(Bucket=name)

    def allow(self, bucket: str, rights: dict[str, Sequence[str]]) -> None:
        """Each identity's actions in a bucket; those not named may do nothing in it."""
        whole, objects = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"
        statements = [
            {
                "Effect": "Allow", "Principal": [name], "Resource": resource,
                "Action": [f"s3:{each}" for each in actions if (each in _BUCKET_READS) is of_all],
            }
            for name, actions in rights.items()
            for resource, of_all in ((whole, True), (objects, False))
        ]  # fmt: skip
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.client(self.root).put_bucket_policy(Bucket=bucket, Policy=policy)
