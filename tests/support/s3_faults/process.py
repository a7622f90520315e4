"""The proxy in a process of its own."""

from __future__ import annotations

from tests.support.faulty.process import FaultyProcess
from tests.support.s3_faults.signed import Credentials


class ProxyProcess(FaultyProcess):
    """The proxy before `upstream`, while the `with` lasts."""

    module = "tests.support.s3_faults"

    def __init__(self, upstream: str, other: Credentials) -> None:
        super().__init__(upstream, secrets={
            "OTHER_ACCESS_KEY": other.access_key, "OTHER_SECRET_KEY": other.secret_key,
        })  # fmt: skip

    @property
    def url(self) -> str:
        """What a client takes for the S3 endpoint."""
        return self.places["url"]
