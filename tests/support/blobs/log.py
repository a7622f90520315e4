"""Who asks the double."""

from __future__ import annotations

from collections.abc import Mapping


def client_of(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """Who asks: ``client/NAME`` at the end of the User-Agent, where the SDK puts what stands in
    AZURE_HTTP_USER_AGENT; else the SAS, the token or the account of the key."""
    last = headers.get("User-Agent", "").rpartition(" ")[2]
    if last.startswith("client/"):
        return last.removeprefix("client/")
    if (sig := query.get("sig")) is not None:
        return sig
    return headers.get("Authorization", "").partition(" ")[2].partition(":")[0]
