"""What a reader trusts, from his own files."""

from __future__ import annotations

from pathlib import Path

from audit_stream.errors import ConfigError, FormatError
from audit_stream.evidence.policy import parse_policy
from audit_stream.evidence.timestamp import TrustedAuthorities, parse_authorities
from audit_stream.evidence.vouching import Trust

ROOTS = ".tsa.pem"  # behind the name of the policy file


def load_trust(policy: Path) -> Trust:
    """A policy file and the roots beside it, `FILE` and `FILE.tsa.pem`. `ConfigError`."""
    roots = policy.with_name(policy.name + ROOTS)
    try:
        trusted = load_authorities(roots) if roots.exists() else TrustedAuthorities()
        return Trust(parse_policy(read_given(policy), str(policy)), trusted)
    except FormatError as error:
        raise ConfigError(error.message, hint="see docs/spec/log.md, trust policy") from error


def load_authorities(path: Path, what: str = "") -> TrustedAuthorities:
    """Root certificates of timestamp authorities. `ConfigError` says it of `what`, or the path."""
    what = what or str(path)
    try:
        return parse_authorities(read_given(path, what), what)
    except FormatError as error:
        hint = "it must be a PEM file with the authorities' roots"
        raise ConfigError(error.message, hint=hint) from error


def read_given(path: Path, what: str = "") -> bytes:
    """A file that someone names. `ConfigError` says of `what`, or the path, that it cannot be."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{what or path}: cannot read the file: {error.strerror}",
            hint="name a file this user may read",
        ) from None
