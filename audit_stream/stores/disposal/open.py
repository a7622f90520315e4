"""From a store's URL to who may remove from it."""

from __future__ import annotations

from audit_stream.ports import Disposer
from audit_stream.stores.access import StoreAccess
from audit_stream.stores.azure_target import AzureTarget
from audit_stream.stores.disposal.file import FileDisposer
from audit_stream.stores.open import azure_target, place_of
from audit_stream.stores.s3_target import S3Target


def open_disposer(url: str, access: StoreAccess) -> Disposer:
    """The disposer of the archive at `url`; `ConfigError` for a URL it cannot serve."""
    place = place_of(url, access)
    if isinstance(place, AzureTarget):
        from audit_stream.stores.disposal.azure import AzureDisposer

        return AzureDisposer(azure_target(url, access))
    if isinstance(place, S3Target):
        from audit_stream.stores.disposal.s3 import S3Disposer

        return S3Disposer(place)
    return FileDisposer(place)
