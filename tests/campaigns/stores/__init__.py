"""The stores that the campaign of faults can be run on."""

from __future__ import annotations

from tests.campaigns.stores.azure import AZURE
from tests.campaigns.stores.base import Store
from tests.campaigns.stores.s3 import S3

STORES: dict[str, Store] = {store.name: store for store in (AZURE, S3)}
