"""The short form of ``python -m tests.campaigns.tampering``."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.campaigns.tampering import (
    MUTATIONS,
    campaign,
    is_found,
    kept,
    logged,
    truncate_tail,
)
from tests.support.resealed import OBJECTS


@pytest.mark.slow
def test_every_mutation_is_found_and_nothing_in_clean_archives() -> None:
    result = campaign(mutations=300, clean=100, seed=2)
    assert dict(result.missed) == {}
    assert result.false_alarms == 0
    assert result.tried.keys() == {mutate.__name__ for mutate in MUTATIONS}


def test_a_cut_end_needs_the_checkpoint_that_was_kept() -> None:
    """What only a checkpoint from outside can show: else the campaign would prove too much."""
    objects = asyncio.run(logged(OBJECTS))
    changed = truncate_tail(objects, random.Random(1))
    assert not is_found(changed, kept(changed))
    assert is_found(changed, kept(objects))
