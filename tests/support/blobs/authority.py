"""The authority of the double: tokens for workload identities (OAuth 2.0, RFC 6749 and 7523).

A token is good for the one audience it was asked for: that of storage, or the management plane.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qs

from tests.support.blobs.access import Access
from tests.support.blobs.routes import Incoming
from tests.support.blobs.wire import Answer

PATH = "/oauth2/v2.0/token"
STORAGE = "https://storage.azure.com/.default"


def answer(access: Access, request: Incoming) -> Answer:
    """A token for the client whose assertion is the registered one."""
    given = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    headers = {"Content-Type": "application/json"}
    token = access.token_of(given.get("client_id", ""), given.get("client_assertion", ""))
    if token is None or request.method != "POST":
        body = {"error": "invalid_client", "error_description": "unknown client or assertion"}
        return Answer(401, headers, json.dumps(body).encode())
    if given.get("scope") != STORAGE:
        token = access.for_management(token)
    body = {"access_token": token, "token_type": "Bearer", "expires_in": 3600}  # type: ignore[dict-item]
    return Answer(200, headers, json.dumps(body).encode())
