"""A request as it came in, and the same from somebody else: signed with other credentials."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from hashlib import sha256

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from multidict import CIMultiDict

from audit_stream.stores.s3_target import S3Keys

#: Of the first signer, or of the first body.
_SIGNATURE = ("Authorization", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token")
_SUMS = ("Content-MD5", "x-amz-checksum-sha256", "Content-Length")
_CONDITIONS = ("If-None-Match", "If-Match")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request; `target` is path and query as they were sent."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes

    @property
    def path(self) -> str:
        """Bucket and key, still quoted."""
        return self.target.partition("?")[0]

    @property
    def bucket(self) -> str:
        """The first part of the path."""
        return self.path.split("/")[1]

    @property
    def key_id(self) -> str:
        """Of who signed it."""
        return self._scope[0]

    @property
    def region(self) -> str:
        """That it was signed for."""
        return self._scope[2]

    @property
    def _scope(self) -> list[str]:
        """Access key, day, region, service and version; of an unsigned request empty."""
        _, _, rest = self.headers.get("Authorization", "").partition("Credential=")
        return rest.partition(",")[0].split("/") if rest else [""] * 5


def by_another(request: Incoming, other: S3Keys, body: bytes) -> Incoming:
    """The request with another body from another identity."""
    headers = _without(request.headers, *_SIGNATURE, *_SUMS)
    headers["x-amz-checksum-sha256"] = base64.b64encode(sha256(body).digest()).decode()
    return signed(replace(request, headers=headers, body=body), other, request.region)


def over_it(request: Incoming, other: S3Keys, body: bytes) -> Incoming:
    """Other bytes under the same name, whatever stands there."""
    headers = _without(request.headers, *_CONDITIONS)
    return by_another(replace(request, headers=headers), other, body)


def deletion(request: Incoming, other: S3Keys) -> Incoming:
    """DELETE of the same name by another identity: in a bucket with versions, a delete marker."""
    headers = CIMultiDict(Host=request.headers["Host"])
    return signed(Incoming("DELETE", request.path, headers, b""), other, request.region)


def _without(headers: CIMultiDict[str], *names: str) -> CIMultiDict[str]:
    left = CIMultiDict(headers)
    for name in names:
        left.popall(name, None)
    return left


def signed(request: Incoming, by: S3Keys, region: str) -> Incoming:
    """The request with a signature over all its headers."""
    url = f"http://{request.headers['Host']}{request.target}"
    unsigned = AWSRequest(request.method, url, dict(request.headers), request.body)
    S3SigV4Auth(Credentials(by.key_id, by.secret), "s3", region).add_auth(unsigned)
    return replace(request, headers=CIMultiDict(unsigned.headers.items()))
