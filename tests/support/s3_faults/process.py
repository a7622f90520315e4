"""The proxy in a process of its own."""

from __future__ import annotations

from audit_stream.stores.s3_target import S3Keys
from tests.support.faulty.process import FaultyProcess


class ProxyProcess(FaultyProcess):
    """The proxy before `upstream`, while the `with` lasts."""

    module = "tests.support.s3_faults"

    def __init__(self, upstream: str, other: S3Keys) -> None:
        super().__init__(
            upstream, secrets={"OTHER_KEY_ID": other.key_id, "OTHER_SECRET": other.secret}
        )

    @property
    def url(self) -> str:
        """What a client takes for the S3 endpoint."""
        return self.places["url"]
