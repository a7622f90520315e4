"""The outside anchors that the settings name."""

from __future__ import annotations

from importlib.util import find_spec

from audit_stream.anchors.anchoring import Anchoring
from audit_stream.anchors.http import Post, poster
from audit_stream.anchors.timestamps import TimestampAuthority
from audit_stream.anchors.witness import Witness
from audit_stream.app.trust import load_authorities
from audit_stream.errors import ConfigError
from audit_stream.evidence.note import NoteKey
from audit_stream.evidence.policy import any_of
from audit_stream.evidence.timestamp import PACKAGES, TrustedAuthorities
from audit_stream.evidence.vouching import Trust
from audit_stream.notary.log import ArchiveLog
from audit_stream.ports import Alerts, WormStore
from audit_stream.settings import Settings
from audit_stream.stores.clock import SystemClock
from audit_stream.telemetry.webhook import tls_context

_CERTIFICATES, _CA_FILE = "AUDIT_ANCHOR_TSA_CERTIFICATES", "AUDIT_ANCHOR_CA_FILE"


def anchoring_of(settings: Settings, store: WormStore, key: NoteKey, alarms: Alerts) -> Anchoring:
    """Whoever is to vouch for the log of `key`: with no settings for it, nobody.

    `ConfigError` when a file cannot be used or the extra is not installed.
    """
    post = poster(tls_context(settings.anchor_ca_file, _CA_FILE), settings.anchor_limit_seconds)
    return Anchoring(
        store, ArchiveLog(store, key), _authorities(settings, post),
        [Witness(vkey, url, post) for vkey, url in settings.witnesses()], alarms, SystemClock(),
        timestamp_seconds=settings.anchor_tsa_seconds,
        limit_seconds=settings.anchor_limit_seconds,
    )  # fmt: skip


def own_trust(settings: Settings, key: NoteKey) -> Trust:
    """What who runs the archive asks of its anchors: any witness or authority of the settings.

    An outsider brings a policy file of his own. `ConfigError` as `anchoring_of`.
    """
    path = settings.anchor_tsa_certificates
    trusted = TrustedAuthorities() if path is None else load_authorities(path, _CERTIFICATES)
    return Trust(any_of(key, [vkey for vkey, _ in settings.witnesses()]), trusted)


def _authorities(settings: Settings, post: Post) -> list[TimestampAuthority]:
    urls = settings.timestamp_authorities()
    if not urls:
        return []
    for package in PACKAGES:
        if find_spec(package) is None:
            raise ConfigError(
                f"timestamps need the package {package}",
                hint="pip install 'audit-stream[anchors]'",
            )
    assert settings.anchor_tsa_certificates is not None  # the settings see to it
    trusted = load_authorities(settings.anchor_tsa_certificates, _CERTIFICATES)
    return [TimestampAuthority(name, url, trusted, post) for name, url in urls.items()]
