"""The golden archive to erase from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.erasing import Erasing


@pytest.fixture
def erasing(tmp_path: Path) -> Erasing:
    return Erasing(tmp_path)
