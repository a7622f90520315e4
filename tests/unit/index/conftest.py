"""The golden archive to be indexed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_stream.stores.file import FileStore
from tests.support import golden
from tests.support.indexing import Indexing, golden_archive, golden_subjects


@pytest.fixture
def indexing(tmp_path: Path) -> Iterator[Indexing]:
    made = Indexing(golden_archive(FileStore(golden.ARCHIVE, True), golden_subjects()), tmp_path)
    yield made
    made.index.close()
