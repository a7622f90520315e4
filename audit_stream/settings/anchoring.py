"""The settings of the outside anchors: who is asked to vouch for the log's checkpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from audit_stream.errors import ConfigError, FormatError
from audit_stream.evidence.note import COSIGNATURE, NoteKey, parse_vkey
from audit_stream.settings.fields import Names, is_http_url
from audit_stream.settings.secret import PREFIX, Secret, secret_of

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_WITNESS = re.compile(r"(?P<vkey>[^+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+)@(?P<url>.+)").fullmatch
_AUTHORITIES = "write it as name=URL, name=URL; names of letters, digits, - and _, each once"
_WITNESSES = "write it as vkey@URL, vkey@URL; each key once, of the type cosignature/v1"


class AnchorSettings(BaseModel):
    """Outside anchors"""

    anchor_tsa_urls: SecretStr | None = Field(
        None,
        description="Timestamp authorities (RFC 3161) as `name=URL, name=URL`; they are stored and "
        "shown by name, the URLs, which may hold a login, are kept secret. HTTPS_PROXY and "
        "NO_PROXY hold for them.",
    )
    anchor_tsa_urls_file: Path | None = Field(None, description="File that holds the same.")
    anchor_tsa_certificates: Path | None = Field(
        None,
        description="PEM file of the authorities' root certificates: a reply that does not hold "
        "under one of them is no anchor. Needed with authorities.",
    )
    anchor_tsa_seconds: float = Field(
        600.0,
        gt=0,
        description="Each authority is asked so often, about the newest checkpoint.",
    )
    anchor_witnesses: Names = Field(
        (),
        description="Witnesses (C2SP tlog-witness) as `vkey@URL`, after commas; each is asked to "
        "cosign every checkpoint. The URL is the witness's submission prefix.",
    )
    anchor_ca_file: Path | None = Field(
        None,
        description="PEM file of the authorities that sign the certificates of these https:// "
        "URLs, or that of an inspecting proxy.",
        json_schema_extra={"shown_default": "the system's"},
    )
    anchor_limit_seconds: float = Field(
        30.0, gt=0, le=600, description="An authority or witness that takes longer has failed."
    )

    @field_validator("anchor_tsa_urls")
    @classmethod
    def _check_urls(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and _authorities(value.get_secret_value()) is None:
            raise ValueError(_AUTHORITIES)
        return value

    @field_validator("anchor_witnesses")
    @classmethod
    def _check_witnesses(cls, value: Sequence[str]) -> Sequence[str]:
        keys = [key.public for key, _ in map(_witness, value)]
        if len(set(keys)) != len(keys):
            raise ValueError(_WITNESSES)
        return value

    @model_validator(mode="after")
    def _check_anchors(self) -> Self:
        if secret_of(self, "anchor_tsa_urls") and self.anchor_tsa_certificates is None:
            raise ValueError(
                "anchor_tsa_certificates: needed with authorities, whose replies are checked"
            )
        return self

    def timestamp_authorities(self) -> Mapping[str, Secret]:
        """A URL by name for each authority; the file is read again at each call of one.

        `ConfigError` when the file cannot be used.
        """
        text = secret_of(self, "anchor_tsa_urls")
        if text is None:
            return {}
        return {name: partial(_url, text, name) for name in _given(text())}

    def witnesses(self) -> Sequence[tuple[NoteKey, str]]:
        """The key and the URL of each witness."""
        return [_witness(each) for each in self.anchor_witnesses]


def _url(text: Secret, name: str) -> str:
    url = _given(text()).get(name)
    if url is None:
        raise ConfigError(
            f"{PREFIX}ANCHOR_TSA_URLS_FILE: {name} is gone", hint="start the notary again"
        )
    return url


def _given(text: str) -> Mapping[str, str]:
    found = _authorities(text)
    if found is None:
        raise ConfigError(
            f"{PREFIX}ANCHOR_TSA_URLS_FILE: {_AUTHORITIES}", hint="it holds that and nothing else"
        )
    return found


def _authorities(text: str) -> Mapping[str, str] | None:
    """URLs by name, or None."""
    pairs = [part.strip().partition("=") for part in re.split(r"[,\n]", text) if part.strip()]
    found = {name: url for name, _, url in pairs if _NAME(name) and is_http_url(url)}
    return found if found and len(found) == len(pairs) else None


def _witness(text: str) -> tuple[NoteKey, str]:
    match = _WITNESS(text)
    if match is None or not is_http_url(match["url"]):
        raise ValueError(_WITNESSES)
    try:
        key = parse_vkey(match["vkey"])
    except FormatError as error:
        raise ValueError(error.message) from None
    if key.kind != COSIGNATURE:
        raise ValueError(_WITNESSES)
    return key, match["url"]
