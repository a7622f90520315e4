"""A proxy before a real S3 server that fails in the ways a network, the service and others can.

    async with FaultProxy(server_url, other=S3Keys(…)) as proxy:
        ...                                   # point the client at `proxy.url`
        proxy.faults.inject("drop_after")     # the next PUT is stored, and its answer is lost
        proxy.faults.inject("shadow")         # … and another identity puts other bytes over it

Requests pass unchanged, with the Host header that the client has signed. Buckets are the first
part of the path: a client before it uses path-style addresses.

Modules: `kinds` what can go wrong, `signed` requests and who signs them, `upstream` how they are
passed on, `proxy` the server, `process` for one in a process of its own.
"""

from __future__ import annotations

from tests.support.s3_faults.proxy import FaultProxy

__all__ = ["FaultProxy"]
