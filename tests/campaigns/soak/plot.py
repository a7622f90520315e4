"""Two plots, one over the other, as SVG: memory of the processes, and the lag. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10

from tests.campaigns.soak.judge import MEGABYTE
from tests.campaigns.soak.series import Recorded
from tests.campaigns.soak.trend import Point

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT = 860, 230, 70, 30, 110
_COLOURS = ("#0b6e4f", "#3b7dd8", "#b5651d", "#7b3fa0", "#777777")
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
    'font-family="sans-serif" font-size="12" fill="#333">'
    '<rect width="100%" height="100%" fill="#fff"/>'
)


def svg(run: Recorded) -> str:
    """The picture."""
    memory = {
        name: [(at / 60, value / MEGABYTE) for at, value in run.used(name, "pss")]
        for name in run.processes
    }
    lag = [(at / 60, value) for at, value in run.summed("audit_stream_unarchived_offsets")]
    height = 2 * (_HEIGHT + 2 * _TOP)
    parts = [
        _HEAD.format(width=_LEFT + _WIDTH + _RIGHT, height=height),
        *_plot("memory (PSS), MB, by minutes", memory, _TOP),
        *_plot("lag, offsets, by minutes", {"lag": lag}, 3 * _TOP + _HEIGHT), "</svg>", "",
    ]  # fmt: skip
    return "\n".join(parts)


def _plot(title: str, series: Mapping[str, Sequence[Point]], top: int) -> list[str]:
    """One, its upper edge at `top`; the axes begin at 0."""
    most_x = max(x for points in series.values() for x, _ in points)
    step = _step(max(y for points in series.values() for _, y in points))
    most_y = step * max(1, ceil(max(y for points in series.values() for _, y in points) / step))
    bottom = top + _HEIGHT

    def at(point: Point) -> str:
        x, y = point
        return f"{_LEFT + x / most_x * _WIDTH:.1f},{bottom - y / most_y * _HEIGHT:.1f}"

    parts = [f'<text x="{_LEFT}" y="{top - 10}" font-weight="bold">{title}</text>']
    for number in range(round(most_y / step) + 1):
        y = bottom - number * step / most_y * _HEIGHT
        parts.append(f'<path d="M{_LEFT} {y:.1f}h{_WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
                     f"{number * step:,.0f}</text>")  # fmt: skip
    minutes = _step(most_x)
    for number in range(floor(most_x / minutes) + 1):
        x = _LEFT + number * minutes / most_x * _WIDTH
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">'
                     f"{number * minutes:g}</text>")  # fmt: skip
    for index, (name, points) in enumerate(series.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        line = " ".join(map(at, points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        parts.append(f'<text x="{_LEFT + _WIDTH + 8}" y="{top + 14 + 16 * index}" '
                     f'fill="{colour}">{name}</text>')  # fmt: skip
    return parts


def _step(most: float) -> float:
    """A round number of which four to ten reach `most`."""
    rough = max(most, 1e-9) / 5
    unit = 10 ** floor(log10(rough))
    return float(unit * next(each for each in (1, 2, 5, 10) if each * unit >= rough))
