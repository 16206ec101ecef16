"""A line chart as SVG, to stand in an HTML page whose style sheet gives it its colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 720, 250
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 14, 40
TICKS = 5

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line; with `is_filled` the area below it is tinted."""

    name: str
    points: Points
    is_filled: bool = False


def line_chart(title: str, unit: str, curves: Sequence[Curve]) -> str:
    """A figure with title, unit, axes, grid and legend; x is seconds since the start."""
    plotted = [curve for curve in curves if curve.points]
    if not plotted:
        return _figure(title, unit, '<p class="none">Nothing was measured.</p>')
    right = max(x for curve in plotted for x, _ in curve.points) or 1.0
    top = _ticks(max(y for curve in plotted for _, y in curve.points))[-1]
    scale = _Scale(right, top)
    drawn = "".join(_curve(curve, number, scale) for number, curve in enumerate(plotted))
    body = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{_grid(scale)}{drawn}</svg>{_legend(plotted)}"
    )
    return _figure(title, unit, body)


@dataclass(frozen=True, slots=True)
class _Scale:
    right: float
    top: float

    def x(self, value: float) -> float:
        return LEFT + value / self.right * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)


def _ticks(highest: float) -> list[float]:
    """Round numbers from 0 to just above the highest value."""
    rough = max(highest, 1e-9) / TICKS
    magnitude = 10.0 ** floor(log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * 0.999)
    return [at * step for at in range(ceil(highest / step * 0.999) + 1)] or [0.0, 1.0]


def _grid(scale: _Scale) -> str:
    lines = []
    for value in _ticks(scale.top):
        y = scale.y(value)
        lines.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        lines.append(
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>'
        )
    for value in _ticks(scale.right):
        if value <= scale.right:
            x = scale.x(value)
            lines.append(
                f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
                f"{_number(value)}</text>"
            )
    middle = (LEFT + WIDTH - RIGHT) / 2
    lines.append(
        f'<text class="axis" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">'
        "seconds since the start</text>"
    )
    return "".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:g}"


def _curve(curve: Curve, number: int, scale: _Scale) -> str:
    points = " ".join(f"{scale.x(x):.1f},{scale.y(y):.1f}" for x, y in curve.points)
    line = f'<polyline class="line c{number}" points="{points}"/>'
    if not curve.is_filled:
        return line
    first, last = scale.x(curve.points[0][0]), scale.x(curve.points[-1][0])
    floor_y = scale.y(0)
    area = f"{first:.1f},{floor_y:.1f} {points} {last:.1f},{floor_y:.1f}"
    return f'<polygon class="area c{number}" points="{area}"/>{line}'


def _legend(curves: Sequence[Curve]) -> str:
    if len(curves) < 2:
        return ""
    entries = "".join(
        f'<span><i class="swatch c{number}"></i>{escape(curve.name)}</span>'
        for number, curve in enumerate(curves)
    )
    return f'<div class="legend">{entries}</div>'


def _figure(title: str, unit: str, body: str) -> str:
    caption = f'<figcaption>{escape(title)} <span class="unit">{escape(unit)}</span></figcaption>'
    return f"<figure>{caption}{body}</figure>"
