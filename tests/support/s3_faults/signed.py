"""A request as it came in, and the same from somebody else: signed with other credentials."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from hashlib import sha256

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Keys
from multidict import CIMultiDict

#: Of the first signer, or of the first body.
_SIGNATURE = ("Authorization", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token")
_SUMS = ("Content-MD5", "x-amz-checksum-sha256", "Content-Length")
_CONDITIONS = ("If-None-Match", "If-Match")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of an identity that may do what it likes."""

    access_key: str
    secret_key: str = field(repr=False)


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
    def access_key(self) -> str:
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


def by_another(request: Incoming, other: Credentials, body: bytes) -> Incoming:
    """The request with another body from another identity."""
    headers = _without(request.headers, *_SIGNATURE, *_SUMS)
    headers["x-amz-checksum-sha256"] = base64.b64encode(sha256(body).digest()).decode()
    return signed(replace(request, headers=headers, body=body), other, request.region)


def over_it(request: Incoming, other: Credentials, body: bytes) -> Incoming:
    """Other bytes under the same name, whatever stands there."""
    headers = _without(request.headers, *_CONDITIONS)
    return by_another(replace(request, headers=headers), other, body)


def deletion(request: Incoming, other: Credentials) -> Incoming:
    """DELETE of the same name by another identity: in a bucket with versions, a delete marker."""
    headers = CIMultiDict(Host=request.headers["Host"])
    return signed(Incoming("DELETE", request.path, headers, b""), other, request.region)


def _without(headers: CIMultiDict[str], *names: str) -> CIMultiDict[str]:
    left = CIMultiDict(headers)
    for name in names:
        left.popall(name, None)
    return left


def signed(request: Incoming, by: Credentials, region: str) -> Incoming:
    """The request with a signature over all its headers."""
    url = f"http://{request.headers['Host']}{request.target}"
    unsigned = AWSRequest(request.method, url, dict(request.headers), request.body)
    S3SigV4Auth(Keys(by.access_key, by.secret_key), "s3", region).add_auth(unsigned)
    return replace(request, headers=CIMultiDict(unsigned.headers.items()))
