"""Settings: the one place that reads the environment, frozen, and redacted when printed.

A value comes from, strongest first: a flag, ``AUDIT_<NAME>`` in the environment, the TOML file
(``--config`` or ``AUDIT_CONFIG``; flat keys with the same names in lower case), the default.
"""

from __future__ import annotations

import difflib
import os
import socket
import tomllib
from collections.abc import Mapping
from contextvars import ContextVar
from enum import Enum
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from audit_stream.errors import ConfigError
from audit_stream.posture import Assurance
from audit_stream.settings.alerting import AlertSettings
from audit_stream.settings.anchoring import AnchorSettings
from audit_stream.settings.azure import AzureSettings
from audit_stream.settings.delivery import DeliverySettings
from audit_stream.settings.erasure import ErasureSettings
from audit_stream.settings.gateway import GatewaySettings
from audit_stream.settings.groups import (
    DEFAULT_TAG,
    ArchiveSettings,
    ProcessSettings,
    SegmentSettings,
)
from audit_stream.settings.index import IndexSettings
from audit_stream.settings.kafka import KafkaSettings
from audit_stream.settings.notary import NotarySettings
from audit_stream.settings.probing import ProbingSettings
from audit_stream.settings.retention import RetentionSettings
from audit_stream.settings.s3 import S3Settings
from audit_stream.settings.second import SecondStoreSettings
from audit_stream.settings.secret import PREFIX
from audit_stream.stores.access import Role, StoreAccess
from audit_stream.stores.open import Place, place_of
from audit_stream.stores.target import Turn, at_once

_REDACTED = "********"
_config_file: ContextVar[Path | None] = ContextVar("_config_file", default=None)


class Settings(
    KafkaSettings,
    ArchiveSettings,
    RetentionSettings,
    SecondStoreSettings,
    AzureSettings,
    S3Settings,
    SegmentSettings,
    NotarySettings,
    AnchorSettings,
    IndexSettings,
    GatewaySettings,
    DeliverySettings,
    ProbingSettings,
    ErasureSettings,
    ProcessSettings,
    AlertSettings,
    BaseSettings,
):
    """Every setting of every command. Build it with `Settings.load`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True
    )

    @classmethod
    def groups(cls) -> tuple[type[BaseModel], ...]:
        """The groups of settings, in the order of their page."""
        bases = (base for base in Settings.__bases__ if issubclass(base, BaseModel))
        return tuple(base for base in bases if base is not BaseSettings)

    @classmethod
    def load(cls, config: Path | None = None, **flags: object) -> Self:
        """Read all sources. `flags` that are None were not given.

        Raises `ConfigError`, which names the setting as ``AUDIT_<NAME>`` and says what to do.
        """
        path = config or _config_from_environment()
        toml = _read_toml(path) if path else {}
        given = {name: value for name, value in flags.items() if value is not None}
        if "archive" in given:  # another archive has no containers of the live one's classes
            given.setdefault("archives", {})
            given.setdefault("archive_secondary", None)
        token = _config_file.set(path)
        try:
            return cls(**given)  # type: ignore[arg-type]  # checked by the model itself
        except ValidationError as error:
            raise _explain(error.errors(include_input=False), given, toml, path) from None
        finally:
            _config_file.reset(token)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, TOML file: no `.env`, no secrets folder."""
        toml = TomlConfigSettingsSource(settings_cls, toml_file=_config_file.get())
        return init_settings, env_settings, toml

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        sasl = self.kafka_security.startswith("SASL_")
        if strangers := set(self.rekey_topics) - set(self.topics):
            raise ValueError(f"rekey_topics: {', '.join(sorted(strangers))} is not in topics")
        if strangers := set(self.regulatory_tags) - set(self.topics):
            raise ValueError(f"regulatory_tags: {', '.join(sorted(strangers))} is not in topics")
        if sasl and not (self.kafka_sasl_mechanism and self.kafka_sasl_username):
            raise ValueError("kafka_security: SASL needs a mechanism, a username and a password")
        if sasl and not (self.kafka_sasl_password or self.kafka_sasl_password_file):
            raise ValueError("kafka_sasl_password: SASL needs a password or a password file")
        if self.kafka_sasl_mechanism and not sasl:
            raise ValueError("kafka_sasl_mechanism: needs SASL_PLAINTEXT or SASL_SSL")
        if self._tls_files() and "SSL" not in self.kafka_security:
            raise ValueError("kafka_security: TLS files are given; use SSL or SASL_SSL")
        if self.kafka_tls_key and not self.kafka_tls_cert:
            raise ValueError("kafka_tls_cert: a private key is given without its certificate")
        if _within(self.subjects_place, self.archive_place):
            raise ValueError("subjects: must lie outside the archive, which is never rewritten")
        for place in map(place_of, self.archives.values()):
            if _within(place, self.archive_place) or _within(self.archive_place, place):
                raise ValueError("archives: a class's container must not be the archive's")
            if _within(self.subjects_place, place):
                raise ValueError("subjects: must lie outside the archive, which is never rewritten")
        if self.delivery_positions and _within(place_of(self.positions_url), self.archive_place):
            raise ValueError("delivery_positions: must lie outside the archive")
        if self.archive_secondary is not None:
            second = place_of(self.archive_secondary)
            taken = [self.archive_place, *map(place_of, self.archives.values())]
            if any(_within(second, each) or _within(each, second) for each in taken):
                raise ValueError("archive_secondary: must not lie where the archive does")
            if _within(self.subjects_place, second):
                raise ValueError("subjects: must lie outside the archive, which is never rewritten")
        if strangers := {*self.retention, *self.archives} - set(self.classes):
            what = "retention" if strangers & set(self.retention) else "archives"
            raise ValueError(f"{what}: {', '.join(sorted(strangers))} is no topic's class")
        return self

    def class_of(self, topic: str) -> str:
        """Retention class of a topic that is archived: of a rekeyed one its raw topic's."""
        from audit_stream.seal.judge import REKEYED

        raw = topic.removesuffix(REKEYED)
        return self.regulatory_tag(raw if raw in self.rekey_topics else topic)

    @property
    def classes(self) -> tuple[str, ...]:
        """Every retention class there is, the default one included."""
        return tuple(sorted({DEFAULT_TAG, *self.regulatory_tags.values()}))

    def policy_days(self, tag: str | None = None) -> int:
        """How long the policy of a class's container must be; None: the main one, which holds
        every class without its own."""
        if tag is not None:
            return self.class_days(tag)
        mine = [self.class_days(each) for each in self.classes if each not in self.archives]
        return max(self.retention_days, *mine, 0)

    def store_access(
        self, role: Role = "archive", tag: str | None = None, turn: Turn = at_once
    ) -> StoreAccess:
        """How the stores of a role are reached; `tag`: of a class with a store of its own.

        `ConfigError` when credentials cannot be read or used.
        """
        days = self.policy_days(tag)
        if role == "secondary":  # one store for every class
            days = max(days, *map(self.class_days, self.classes))
        return StoreAccess(
            azure=self.azure_access(role), s3=self.s3_access(role), turn=turn, retention_days=days
        )

    @property
    def positions_url(self) -> str:
        """Where a deliverer keeps its positions."""
        return self.delivery_positions or (self.state_dir.absolute() / "delivery").as_uri()

    def _tls_files(self) -> bool:
        return bool(self.kafka_tls_ca or self.kafka_tls_cert or self.kafka_tls_key)

    @property
    def static_member(self) -> str | None:
        """`instance_id`, by default host name and web port; None is dynamic membership."""
        if self.instance_id or not self.web_port:
            return self.instance_id
        return f"{socket.gethostname()}-{self.web_port}"

    def as_table(self) -> dict[str, str]:
        """Setting (as ``AUDIT_<NAME>``) to its value as text; secrets are starred out."""
        names = (name for group in self.groups() for name in group.model_fields)
        return {env_name(name): _text(getattr(self, name)) for name in names}


def _within(inner: Place, outer: Place) -> bool:
    if isinstance(inner, Path) and isinstance(outer, Path):
        return inner.is_relative_to(outer)
    return inner == outer


def env_name(field: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + field.upper()


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case SecretStr():
            return _REDACTED
        case Assurance():
            return value.label
        case Enum():
            return str(value.value)
        case tuple():
            return ", ".join(map(str, value))
        case Mapping():
            return ", ".join(f"{name}={item}" for name, item in value.items())
        case _:
            return str(value)


def _config_from_environment() -> Path | None:
    named = os.environ.get(f"{PREFIX}CONFIG")
    return Path(named) if named else None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the settings file {path}: {error.strerror}",
            hint=f"check --config or {PREFIX}CONFIG",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the settings file {path} is not TOML: {error}",
            hint="one `name = value` a line, strings in quotes",
        ) from None


def _explain(
    errors: list[ErrorDetails],
    flags: Mapping[str, object],
    toml: Mapping[str, Any],
    path: Path | None,
) -> ConfigError:
    """The first thing wrong as one sentence: which setting, from where, what it must be."""
    first = errors[0]
    message = first["msg"].removeprefix("Value error, ")
    field = str(first["loc"][0]) if first["loc"] else message.partition(":")[0]
    if not first["loc"]:
        message = message.partition(": ")[2]
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(field, Settings.model_fields, n=1)
        source = f"the settings file {path}" if field in toml else "the flags"
        return ConfigError(
            f"{source} sets {field!r}, which is not a setting",
            hint=f"did you mean {near[0]}?" if near else "see docs/reference/settings.md",
        )
    return ConfigError(
        f"{env_name(field)}{_origin(field, flags, toml, path)}: {message}",
        hint=Settings.model_fields[field].description or "",
    )


def _origin(
    field: str, flags: Mapping[str, object], toml: Mapping[str, Any], path: Path | None
) -> str:
    if field in flags:
        return f" (--{field.replace('_', '-')})"
    if field in toml and not os.environ.get(env_name(field)):
        return f" ({field} in {path})"
    return ""
