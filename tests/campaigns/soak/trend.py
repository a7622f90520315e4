"""Whether a series rises: the median of the slopes between all pairs of its points. Pure.

Theil (1950) and Sen (1968). A median is not moved by the odd peak; the interval comes from the
normal approximation of Kendall's score and takes the points for independent of each other, so a
series is first brought to medians of blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, groupby
from math import sqrt
from statistics import NormalDist, median
from typing import NamedTuple

Point = tuple[float, float]  # seconds, value
_HOUR = 3600.0


class Trend(NamedTuple):
    """A slope and its interval, each in units an hour."""

    slope: float
    low: float
    high: float


def blocks(points: Sequence[Point], seconds: float) -> list[Point]:
    """The median of each block of so many seconds, at the block's begin."""
    return [
        (number * seconds, median(value for _, value in block))
        for number, block in groupby(points, lambda point: int(point[0] // seconds))
    ]


def trend(points: Sequence[Point], confidence: float = 0.95) -> Trend:
    """Of at least three points at different times. `ValueError` with fewer."""
    if len(points) < 3:
        raise ValueError(f"no trend from {len(points)} points")
    slopes = sorted(_slopes(points))
    count = len(points)
    spread = sqrt(count * (count - 1) * (2 * count + 5) / 18)
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * spread
    low = max(0, round((len(slopes) - reach) / 2))
    high = min(len(slopes) - 1, round((len(slopes) + reach) / 2))
    return Trend(*(each * _HOUR for each in (median(slopes), slopes[low], slopes[high])))


def _slopes(points: Sequence[Point]) -> Iterator[float]:
    for (before, lower), (after, higher) in combinations(points, 2):
        yield (higher - lower) / (after - before)
