"""Charts: curves over one axis, as SVG inside a figure of the HTML page (`html.py` holds their style)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """Curves over one x axis: the (x, y) points of every series; those that are not finite are left out.

    With `log_x` the x axis is logarithmic and labelled at the points; x must be positive.
    """

    title: str
    series: Mapping[str, Points]
    x_label: str = "step"
    log_x: bool = False


_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 380, 220, 46, 34, 8, 12
_MOST_POINTS = 200  # a curve; more cannot be told apart at this width


def chart_figure(chart: Chart) -> str:
    """The `<figure>` of a chart; nothing where no point is finite."""
    series = {name: _thinned(points) for name, points in chart.series.items()}
    series = {name: points for name, points in series.items() if len(points)}
    if not series:
        return ""
    everything = np.concatenate(list(series.values()))
    x_ticks, y_ticks = (_ticks(everything[:, axis].min(), everything[:, axis].max()) for axis in (0, 1))
    if chart.log_x:
        x_ticks = np.unique(everything[:, 0])
        y_ticks = _ticks(0, everything[:, 1].max())
    low, high = np.array([x_ticks[0], y_ticks[0]]), np.array([x_ticks[-1], y_ticks[-1]])
    if len(np.unique(everything[:, 0])) > 1:  # the curves fill the width
        low[0], high[0] = everything[:, 0].min(), everything[:, 0].max()

    def place(points: np.ndarray) -> np.ndarray:
        share = (points - low) / (high - low)
        if chart.log_x:
            share[:, 0] = np.log(points[:, 0] / low[0]) / np.log(high[0] / low[0])
        right, up = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return np.stack([_LEFT + share[:, 0] * right, _HEIGHT - _BOTTOM - share[:, 1] * up], axis=1)

    marks = []
    for y in y_ticks:
        (_, at), *_rest = place(np.array([[low[0], y]]))
        marks.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        marks.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{y:g}</text>')
    for x in x_ticks[(x_ticks >= low[0]) & (x_ticks <= high[0])]:
        (at, _), *_rest = place(np.array([[x, low[1]]]))
        marks.append(f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="middle">{x:g}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    marks.append(f'<text x="{middle}" y="{_HEIGHT - 3}" text-anchor="middle">{escape(chart.x_label)}</text>')
    for number, points in enumerate(series.values()):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in place(points))
        marks.append(f'<polyline class="s{number % 6}" points="{path}"/>')
    keys = "".join(
        f'<li><svg width="26" height="10"><line class="s{number % 6}" x1="0" x2="26" y1="5" y2="5"/></svg>'
        f"{escape(name)}</li>"
        for number, name in enumerate(series)
    )
    return (
        f'<figure class="chart"><figcaption>{escape(chart.title)}</figcaption><svg role="img" '
        f'aria-label="{escape(chart.title)}" viewBox="0 0 {_WIDTH} {_HEIGHT}">{"".join(marks)}</svg>'
        f'<ul class="keys">{keys}</ul></figure>'
    )


def _thinned(points: Points) -> np.ndarray:
    """float[N, 2]: the finite points in the order of x; long curves as the means of equal runs."""
    array = np.asarray(list(points), np.float64).reshape(-1, 2)
    array = array[np.isfinite(array).all(axis=1)]
    array = array[np.argsort(array[:, 0], kind="stable")]
    if len(array) <= _MOST_POINTS:
        return array
    return np.array([run.mean(axis=0) for run in np.array_split(array, _MOST_POINTS)])


def _ticks(low: float, high: float) -> np.ndarray:
    """Two to seven round numbers at one distance whose range holds low and high."""
    scale = max(abs(low), abs(high)) or 1.0
    span = high - low if high - low > 1e-6 * scale else scale
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if span / (power * factor) <= 5)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    return np.round(np.arange(first, last + 1) * step, 12)
