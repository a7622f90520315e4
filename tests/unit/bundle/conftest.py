"""One small archive, sealed, stored and logged by the real parts, for all tests of bundles."""

from __future__ import annotations

import asyncio

import pytest

from audit_stream.bundle.facts import BundleFacts
from tests.support import bundles


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bundles.Archive:
    return asyncio.run(bundles.make(tmp_path_factory.mktemp("archive")))


@pytest.fixture(scope="session")
def facts(archive: bundles.Archive) -> BundleFacts:
    return asyncio.run(bundles.facts(archive))


@pytest.fixture(scope="session")
def path(archive: bundles.Archive) -> list[bytes]:
    """The proof that the log at its first head is a prefix of that at its last."""
    old, head = archive.heads[0], archive.heads[-1]
    return asyncio.run(archive.log.consistency(old.size, old.root, head))
