"""A write-once double: an HTTP server in this process that speaks enough of the Azure Blob REST
API for the SDK, keeps Azure's immutability rules, and fails in the ways a network can.

    async with BlobDouble() as double:
        double.service.add_container("audit", "clw", days=2557)
        ...                                 # point the SDK at `double.url`
        double.service.clock.advance(DAY)   # the clock moves when told, and never back
        double.faults.inject("drop_after")  # the next PUT commits, and its answer is lost

Modules: `model` what is stored, `access` who may do what, `rules` what immutability refuses,
`service` the operations, `routes` and `wire` requests and answers, `management` the management
plane and `authority` the tokens (over TLS only: the SDK sends none without), `faults`, `log`,
`http` the server; `process` and `control` for a double in a process of its own.
"""

from __future__ import annotations

from tests.support.blobs.http import BlobDouble, Seen
from tests.support.blobs.model import DAY, ApiError, Container, Policy, Version
from tests.support.blobs.service import BlobService
from tests.support.faulty.faults import Fault, Faults

__all__ = [
    "DAY",
    "ApiError",
    "BlobDouble",
    "BlobService",
    "Container",
    "Fault",
    "Faults",
    "Policy",
    "Seen",
    "Version",
]
