"""The types of settings that are written as text, and how a default is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from audit_stream.posture import Assurance


def _split(value: object) -> object:
    """``a, b`` → ``("a", "b")``; the environment knows only strings."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _split_pairs(value: object) -> object:
    """``a=x, b=y`` → ``{"a": "x", "b": "y"}``."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not all("=" in part for part in parts):
        raise ValueError("write it as topic=value, topic=value")
    return {name.strip(): tag.strip() for name, tag in (part.split("=", 1) for part in parts)}


def _assurance(value: object) -> object:
    """The label of an assurance level, e.g. ``worm_locked``, to the level."""
    if isinstance(value, str):
        by_label = {level.label: level for level in Assurance}
        if value.lower() not in by_label:
            raise ValueError(f"must be one of {', '.join(by_label)}")
        return by_label[value.lower()]
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Pairs = Annotated[Mapping[str, str], NoDecode, BeforeValidator(_split_pairs)]
Level = Annotated[Assurance, BeforeValidator(_assurance)]


def shown(default: str) -> dict[str, Any]:
    """What the reference page shows as the default, where it is worked out at run time."""
    return {"shown_default": default}


def is_http_url(text: str) -> bool:
    """Whether a client can be sent there."""
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # brackets or a port that are none
        return False


def vault_url(text: str) -> str:
    """A Key Vault's URL as the vault itself writes it: in lower case, without a path."""
    url = urlsplit(text.strip().lower())
    if url.scheme != "https" or not is_http_url(text) or url.path.strip("/") or url.query:
        raise ValueError("must be a vault's URL, https://name.vault.azure.net")
    if url.username is not None or url.fragment:
        raise ValueError("must be a vault's URL and nothing else")
    return f"https://{url.netloc}"
