"""What can go wrong in the double."""

from __future__ import annotations

from typing import Literal

FaultKind = Literal[
    "drop_before",  # the connection ends, nothing is committed
    "drop_after",  # committed, and the connection ends before the answer
    "stall",  # not committed before `release`; never, if the client goes first
    "stall_after",  # committed, the answer waits for `release`
    "late",  # committed at `release`, though the client may have given up
    "busy",  # 503 ServerBusy
    "timeout",  # 500 OperationTimedOut
    "throttle",  # 429 with Retry-After
    "twin",  # another writer commits the same bytes first
    "rival",  # another writer commits other bytes first
    "bit_flip",  # in the body of the request, or of the answer to a GET
    "head_busy",  # the HEAD that follows a conflict answers 503
    "unlock",  # the container's policy is unlocked just before
    "remove_policy",  # … or removed
    "forbidden",  # 403 AuthorizationFailed
    "missing",  # 404 ResourceNotFound
    "proxy_403",  # a proxy's HTML page; the service never saw the request
    "proxy_404",  # an ingress that knows no such host; the service never saw the request
    "proxy_404_json",  # … that says so in JSON, with a code of its own
    "slow_body",  # half the answer's body, the rest at `release`
    "cut_body",  # half the answer's body, then the connection ends
]
