"""versitygw, a real S3 server with versions and Object Lock, on a folder.

`make peers` builds it (tests/peers/versitygw pins it); AUDIT_TEST_VERSITYGW names one that is built
already.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader

from audit_stream.kafka.embedded import free_ports
from audit_stream.stores.s3_target import S3Access, S3Keys
from tests.support.certificates import Identity
from tests.support.eventually import until
from tests.support.go_peers import go_peer

REGION = "us-east-1"
ROOT = S3Keys(key_id="root", secret="root-secret")
_START_SECONDS = 30


def program() -> str:
    """The path of the server's program."""
    return os.environ.get("AUDIT_TEST_VERSITYGW") or go_peer("versitygw")


@cache
def _loader() -> Loader:
    return Loader()


class S3Server:
    """A server at `url`, and its administrator's client."""

    def __init__(self, url: str, ca_file: Path | None = None) -> None:
        self.url, self._ca_file = url, ca_file
        self.admin = self.client(ROOT)

    def access(self, keys: S3Keys = ROOT, **more: Any) -> S3Access:
        """How the store under test reaches it; the bucket in the path."""
        return S3Access(
            **{
                "region": REGION, "endpoint": self.url, "path_style": True, "connections": 4,
                "ca_file": None if self._ca_file is None else str(self._ca_file),
                "keys": lambda: keys, **more,
            }
        )  # fmt: skip

    def settings(self, keys: S3Keys = ROOT) -> dict[str, str]:
        """The same, as the environment of a process."""
        found = {
            "AUDIT_S3_REGION": REGION, "AUDIT_S3_ENDPOINT": self.url,
            "AUDIT_S3_PATH_STYLE": "true", "AUDIT_S3_ACCESS_KEY_ID": keys.key_id,
            "AUDIT_S3_SECRET_ACCESS_KEY": keys.secret,
        }  # fmt: skip
        return found if self._ca_file is None else found | {"AUDIT_S3_CA_FILE": str(self._ca_file)}

    def client(self, keys: S3Keys) -> Any:
        """A client of an identity, past our store."""
        session = botocore.session.Session()
        session.register_component("data_loader", _loader())
        session.set_credentials(keys.key_id, keys.secret)
        config = Config(
            retries={"total_max_attempts": 1}, s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
        )  # fmt: skip
        verify = None if self._ca_file is None else str(self._ca_file)
        return session.create_client(
            "s3", endpoint_url=self.url, region_name=REGION, config=config, verify=verify
        )

    def create_bucket(self, name: str, *, locked: bool = True) -> None:
        """Make one, with Object Lock and versions unless told otherwise."""
        self.admin.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locked)

    def versions(self, bucket: str, prefix: str = "") -> list[dict[str, Any]]:
        """Every version and delete marker that the server has, the newest of a name first."""
        found = self.admin.list_object_versions(Bucket=bucket, Prefix=prefix)
        return [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]


class Versitygw(S3Server):
    """One with identities of its own; their rights are its buckets' policies."""

    def __init__(self, url: str, ca_file: Path | None, program: str) -> None:
        super().__init__(url, ca_file)
        self._program = program

    def add_identity(self, keys: S3Keys) -> None:
        """An identity without any right."""
        subprocess.run(
            [
                self._program, "admin", "--access", ROOT.key_id, "--secret", ROOT.secret,
                "--endpoint-url", self.url, "--region", REGION, "--allow-insecure",
                "create-user", "--access", keys.key_id, "--secret", keys.secret, "--role", "user",
            ],
            check=True, capture_output=True, timeout=_START_SECONDS,
        )  # fmt: skip

    def allow(self, bucket: str, rights: dict[str, Sequence[str]]) -> None:
        """The bucket's policy: what each identity may do, as `GetObject`."""
        resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        statements = [
            {
                "Effect": "Allow", "Principal": {"AWS": [who]}, "Action": f"s3:{action}",
                "Resource": resources[0 if "Bucket" in action else 1],
            }
            for who, actions in rights.items() for action in actions
        ]  # fmt: skip
        policy = {"Version": "2012-10-17", "Statement": statements}
        self.admin.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


@contextmanager
def versitygw(folder: Path, *, tls: Identity | None = None) -> Iterator[Versitygw]:
    """A server whose data lie in `folder`, for the block; over TLS where it is given a
    certificate."""
    path, [port] = program(), free_ports(1)
    data, versions, accounts = (folder / name for name in ("data", "versions", "accounts"))
    for place in (data, versions, accounts):
        place.mkdir(parents=True, exist_ok=True)
    secured = [] if tls is None else ["--cert", str(tls.certificate), "--key", str(tls.bundle)]
    process = subprocess.Popen(
        [
            path, "--port", f"127.0.0.1:{port}", "--quiet", "--keep-alive", "--region", REGION,
            "--iam-dir", str(accounts), "--iam-cache-disable", *secured,
            "posix", "--versioning-dir", str(versions), str(data),
        ],
        env=os.environ | {"ROOT_ACCESS_KEY_ID": ROOT.key_id, "ROOT_SECRET_ACCESS_KEY": ROOT.secret},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        scheme, ca_file = ("http", None) if tls is None else ("https", tls.certificate)
        server = Versitygw(f"{scheme}://127.0.0.1:{port}", ca_file, path)

        def answers() -> bool:
            assert process.poll() is None, "versitygw ended"
            try:
                server.admin.list_buckets()
            except BotoCoreError:
                return False
            return True

        until(answers, _START_SECONDS)
        yield server
    finally:
        process.kill()
        process.wait()
