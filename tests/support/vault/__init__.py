"""A double of Azure Key Vault over HTTPS on the loopback address, that keeps Key Vault's rules: who
may do what, soft delete, names that are taken until they are purged, RSA keys that never leave it.

    with VaultDouble(tmp_path) as double:
        covers = VaultCovers("acme", double.access("keeper"))
        double.vault.clock += 8 * DAY          # what is due is purged
        double.vault.purge_protection = True   # nobody may purge

Modules: `model` what is stored and what is refused, `service` requests, challenges and tokens,
`server` the server. Texts and codes of refusals are those that Azure's own recorded tests have.
"""

from __future__ import annotations

from tests.support.vault.model import DAY, Refused, Vault
from tests.support.vault.server import VaultDouble

__all__ = ["DAY", "Refused", "Vault", "VaultDouble"]
