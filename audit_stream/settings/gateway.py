"""The settings of the gateway."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field


class GatewaySettings(BaseModel):
    """Gateway"""

    gateway_host: str = Field(
        "127.0.0.1",
        description="Address that serves the retrieval API and the pages; all need a token.",
    )
    gateway_port: int = Field(8443, ge=0, le=65_535, description="Its port; 0 takes any free one.")
    gateway_tls_cert: Path | None = Field(
        None, description="PEM file of its certificate and chain; without it, put TLS before it."
    )
    gateway_tls_key: Path | None = Field(None, description="PEM file of the certificate's key.")
    gateway_tokens: Path = Field(
        Path("var/gateway/tokens.json"),
        description="Service tokens, hashed: `audit-stream tokens create`.",
    )
    gateway_jwks: str | None = Field(
        None,
        description="File or https URL of a JSON Web Key Set whose JWTs are tokens, too (claims "
        "`sub`, an id and no name or address; `scope`; `tenants`).",
    )
    gateway_issuer: str | None = Field(None, description="The `iss` such a JWT must have.")
    gateway_audience: str | None = Field(None, description="The `aud` such a JWT must have.")
    gateway_rate: float = Field(
        50.0, gt=0, description="Requests a second and token; twice as many at once."
    )
    gateway_refresh_seconds: float = Field(
        5.0, gt=0, description="How often it looks for what was archived and logged since."
    )
    gateway_segments_bytes: int = Field(
        64 << 20,
        ge=1 << 20,
        description="Memory for what it remembers of segments it has checked as a whole, about "
        "50 kB for each of ten thousand records; one that it has forgotten is checked again.",
    )
    gateway_quarantine_seconds: float = Field(
        0.0,
        ge=0,
        description="How often the page on quarantine counts the reasons in `audit-quarantine`, "
        "whose copies hold personal data (only their headers are looked at); it needs READ there. "
        "0: never, the page says where they stand.",
    )
    answer_keys: Path = Field(
        Path("var/gateway/keys"),
        description="Folder of the keys that sign answers; made, and a new one every 90 days. Keep "
        "the old ones: their public halves verify old answers.",
    )
    journal_dir: Path = Field(
        Path("var/gateway/journal"),
        description="Folder of the access journal: each read, on disk before its answer leaves. It "
        "is this gateway's own; parts in it wait to be sealed into the archive.",
    )
    journal_seal_seconds: float = Field(
        60.0, gt=0, description="How often what was read is sealed into the archive."
    )
