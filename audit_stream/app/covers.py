"""The keyring as the settings name it: where it lies, and what its cover is wrapped by."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from audit_stream.errors import ConfigError
from audit_stream.keys.file import LoadedKeyring, load_cover, load_keyring
from audit_stream.keys.wrapping import LOCAL, CoverWrapper
from audit_stream.privacy.keyring import Tree
from audit_stream.settings import Settings


def cover_wrapper(settings: Settings) -> CoverWrapper:
    """What stands between covers and their files. `ConfigError` without the SDK for a vault."""
    if settings.keyring_vault is None:
        return LOCAL
    try:
        from audit_stream.keys.vault import VaultCovers
        from audit_stream.keys.vault_client import VaultAccess
    except ModuleNotFoundError:
        raise ConfigError(
            "AUDIT_KEYRING_VAULT needs packages that are not installed",
            hint="pip install 'audit-stream[vault]'",
        ) from None

    return VaultCovers(settings.archive_name, VaultAccess(
        url=settings.keyring_vault, client_id=settings.azure_client_id,
        cli_login=settings.azure_cli_login, require_tls13=settings.azure_tls13,
        ca_file=None if settings.azure_ca_file is None else str(settings.azure_ca_file),
    ))  # fmt: skip


def open_keyring(settings: Settings) -> LoadedKeyring:
    """The keyring with its cover, for who opens persons. `KeyringError`; `VaultAway` where the same
    may go through later."""
    return load_keyring(settings.keyring, cover_wrapper(settings))


def cover_opener(settings: Settings) -> Callable[[Tree], memoryview]:
    """The covers of the keyring's trees, each read, and a vault asked for it, once."""
    return cache(partial(load_cover, settings.keyring, covers=cover_wrapper(settings)))
