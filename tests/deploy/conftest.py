"""The image, rehearsed once a session."""

from __future__ import annotations

import pytest

from tests.support.image import Image, build


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """What the Dockerfile's own steps build."""
    return build(tmp_path_factory.mktemp("image"))
