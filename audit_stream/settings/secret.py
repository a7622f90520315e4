"""Secrets of the settings: given themselves, or as a file that holds them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, SecretStr

from audit_stream.errors import ConfigError

PREFIX = "AUDIT_"
Secret = Callable[[], str]


def secret_of(settings: BaseModel, name: str) -> Secret | None:
    """The secret `name`, or what the file of the setting ``<name>_file`` holds at each call."""
    value: SecretStr | None = getattr(settings, name)
    if value is not None:
        return value.get_secret_value
    path: Path | None = getattr(settings, f"{name}_file")
    return None if path is None else lambda: _read(path, f"{PREFIX}{name.upper()}_FILE")


def _read(path: Path, setting: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip("\r\n")
    except OSError as error:
        raise ConfigError(
            f"{setting}: cannot read the file: {error.strerror}",
            hint="name a file this user may read",
        ) from None
