from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.blobs import BlobDouble
from tests.support.blobs.sdk import Clients


@pytest.fixture
async def double() -> AsyncIterator[BlobDouble]:
    async with BlobDouble() as double:
        double.service.add_container("plain")
        double.service.add_container("clw", "clw", days=2557)
        double.service.add_container("vlw", "vlw", days=2557)
        yield double


@pytest.fixture
async def clients(double: BlobDouble) -> AsyncIterator[Clients]:
    async with Clients(double) as clients:
        yield clients
