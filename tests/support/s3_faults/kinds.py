"""What can go wrong before an S3 server."""

from __future__ import annotations

from typing import Literal

FaultKind = Literal[
    "drop_before",  # the connection ends, nothing is passed on
    "drop_after",  # passed on, and the connection ends before the answer
    "stall",  # not passed on before `release`; never, if the client goes first
    "stall_after",  # passed on, the answer waits for `release`
    "late",  # passed on at `release`, though the client may have given up
    "busy",  # 503 SlowDown; with Retry-After if the fault has one
    "timeout",  # 500 InternalError
    "throttle",  # 429 with Retry-After
    "conflict",  # 409 ConditionalRequestConflict: nothing is stored
    "twin",  # another identity puts the same bytes first
    "rival",  # another identity puts other bytes first
    "bit_flip",  # in the body of the request, or of the answer to a GET
    "head_busy",  # the next GET in the bucket after a conflict answers 503
    "marker",  # once a PUT is stored another identity deletes it: a delete marker lies in front
    "shadow",  # once a PUT is stored another identity puts other bytes over it
    "forbidden",  # 403 AccessDenied
    "missing",  # 404 NoSuchBucket
    "proxy_403",  # a proxy's HTML page; the service never saw the request
    "slow_body",  # half the answer's body, the rest at `release`
    "cut_body",  # half the answer's body, then the connection ends
]
