"""Exit 0 when this container's worker answers a page with 200: `probe.py /healthz`."""

from __future__ import annotations

import http.client  # not urllib: it would go through the proxy that HTTP_PROXY names
import os
import sys

_TIMEOUT_SECONDS = 4


def main(page: str) -> int:
    """0: the page says 200. 1: it says something else, or nothing."""
    port = int(os.environ.get("AUDIT_WEB_PORT", "9464"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", page)
        answer = connection.getresponse()
        print(answer.status, answer.read().decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException) as error:
        print(error)
        return 1
    return 0 if answer.status == http.client.OK else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
