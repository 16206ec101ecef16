"""A line chart as SVG, to stand in an HTML page whose style sheet gives it its colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

HEIGHT = 230
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 10, 42
VALUE_TICKS, SECOND_TICKS = 4, 8

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn: counts or rates over seconds; `width` is in the units of the drawing."""

    title: str
    unit: str
    points: Points
    width: int = 540
    seconds: str = "seconds since the start"

    def svg(self) -> str:
        """A figure with title, unit, axes and grid."""
        if not self.points:
            return self._figure('<p class="quiet">Nothing was measured.</p>')
        label = escape(f"{self.title}, {self.unit}")
        return self._figure(
            f'<svg viewBox="0 0 {self.width} {HEIGHT}" role="img" aria-label="{label}">'
            f"{self._grid()}{self._curve()}</svg>"
        )

    @property
    def _values(self) -> list[float]:
        return ticks(max(y for _, y in self.points), VALUE_TICKS, least_step=1.0)

    def _x(self, seconds: float) -> float:
        right = max(x for x, _ in self.points) or 1.0
        return LEFT + seconds / right * (self.width - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self._values[-1] * (HEIGHT - TOP - BOTTOM)

    def _grid(self) -> str:
        right, last = self.width - RIGHT, max(x for x, _ in self.points)
        parts = []
        for value in self._values:
            y = self._y(value)
            parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(_text(LEFT - 8, y + 4, "end", number(value)))
        for seconds in ticks(last, SECOND_TICKS):
            if seconds <= last:
                parts.append(_text(self._x(seconds), HEIGHT - 24, "middle", number(seconds)))
        parts.append(_text((LEFT + right) / 2, HEIGHT - 5, "middle", self.seconds))
        return "".join(parts)

    def _curve(self) -> str:
        points = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in self.points)
        first, last = self._x(self.points[0][0]), self._x(self.points[-1][0])
        floor_y = self._y(0)
        area = f"{first:.1f},{floor_y:.1f} {points} {last:.1f},{floor_y:.1f}"
        return f'<polygon points="{area}"/><polyline points="{points}"/>'

    def _figure(self, body: str) -> str:
        caption = f'{escape(self.title)} <span class="quiet">{escape(self.unit)}</span>'
        return f"<figure><figcaption>{caption}</figcaption>{body}</figure>"


def ticks(highest: float, wanted: int, least_step: float = 0.0) -> list[float]:
    """Round numbers from 0 to the highest value or just above it, about as many as wanted."""
    rough = max(highest / wanted, least_step, 1e-9)
    magnitude = 10.0 ** floor(log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * 0.999)
    return [at * step for at in range(max(1, ceil(highest / step * 0.999)) + 1)]


def number(value: float) -> str:
    """A number as it stands beside an axis."""
    return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}"


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
