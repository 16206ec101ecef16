"""A picture of a dashboard's definition, laid out as CloudWatch does."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

import numpy as np
from matplotlib import dates
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.dashboard.recording import metric_key

COLUMNS = 24
CELL_INCHES = 0.75
HOURS = 12
GREEN, RED, TEXT, GRID = "#1d8102", "#d13212", "#16191f", "#e9ebed"
NO_DATA = np.nan
STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "SampleCount": len,
    "p50": lambda values: float(np.percentile(values, 50)),
    "p99": lambda values: float(np.percentile(values, 99)),
}


@dataclass
class Recording:
    """Samples of a run; its minutes are drawn as `HOURS` hours, so that periods are periods."""

    start: float
    end: float
    samples: Mapping[str, Sequence[tuple[float, float]]]
    lines: Mapping[str, Sequence[Mapping[str, Any]]]

    def hours(self, at: float) -> float:
        return (at - self.start) / (self.end - self.start) * HOURS

    def series(self, key: str, statistic: str, period_seconds: int) -> np.ndarray:
        """The statistic in each period of the time shown."""
        bins: list[list[float]] = [[] for _ in range(HOURS * 3600 // period_seconds)]
        for at, value in self.samples.get(key, ()):
            place = int(self.hours(at) * 3600 // period_seconds)
            bins[min(max(place, 0), len(bins) - 1)].append(value)
        return np.array([STATISTICS[statistic](each) if each else NO_DATA for each in bins])

    def total(self, key: str, statistic: str) -> float:
        values = [value for _, value in self.samples.get(key, ())]
        return STATISTICS[statistic](values) if values else 0.0


def draw(body: Mapping[str, Any], alarms: Mapping[str, bool], run: Recording, file: Path) -> None:
    """`alarms`: name → whether it rings."""
    rows = max(widget["y"] + widget["height"] for widget in body["widgets"])
    figure = plt.figure(figsize=(COLUMNS * CELL_INCHES, rows * CELL_INCHES), facecolor="#f2f3f3")
    for widget in body["widgets"]:
        panel = _panel(figure, widget, rows)
        properties = widget["properties"]
        match widget["type"], properties.get("view"):
            case "text", _:
                _text(panel, properties["markdown"])
            case "alarm", _:
                _alarms(panel, properties, alarms)
            case "log", _:
                _table(panel, properties, run)
            case _, "singleValue":
                _numbers(panel, properties, run)
            case _:
                _lines(panel, figure, properties, run)
    figure.savefig(file, dpi=60)
    plt.close(figure)


def _panel(figure: Figure, widget: Mapping[str, Any], rows: int) -> Axes:
    gap = 0.08
    axes = figure.add_axes(
        (
            (widget["x"] + gap) / COLUMNS,
            1 - (widget["y"] + widget["height"] - gap) / rows,
            (widget["width"] - 2 * gap) / COLUMNS,
            (widget["height"] - 2 * gap) / rows,
        )
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#d5dbdb")
    title = widget["properties"].get("title", "")
    inches = (widget["height"] - 2 * gap) * CELL_INCHES
    axes.text(0.015, 1 - 0.12 / inches, title, va="top", fontsize=12, weight="bold", color=TEXT)
    return axes


def _text(panel: Axes, markdown: str) -> None:
    heading, _, rest = markdown.partition("\n")
    size = 17 if rest else 13
    panel.text(0.01, 0.86, heading.strip("# "), va="top", fontsize=size, weight="bold", color=TEXT)
    plain = re.sub(r"\*\*|\[([^\]]+)\]\([^)]+\)", r"\1", rest)
    panel.text(0.01, 0.4, textwrap.fill(plain, 230), va="top", fontsize=11, color=TEXT)


def _alarms(panel: Axes, properties: Mapping[str, Any], alarms: Mapping[str, bool]) -> None:
    names = [arn.rpartition(":")[2] for arn in properties["alarms"]]
    names.sort(key=lambda name: not alarms[name])
    across = 5 if len(names) > 10 else 4
    down = -(-len(names) // across)
    for at, name in enumerate(names):
        x, y = at % across / across, 0.86 - 0.84 * (at // across + 1) / down
        colour = RED if alarms[name] else GREEN
        tile = plt.Rectangle(
            (x + 0.012, y + 0.02), 1 / across - 0.018, 0.84 / down - 0.04, fc=colour, ec="none"
        )
        panel.add_patch(tile)
        label = "\n".join(textwrap.wrap(name.removeprefix("pantok-local-").replace("-", " "), 17))
        panel.text(
            x + 0.5 / across,
            y + 0.42 / down,
            label,
            color="white",
            ha="center",
            va="center",
            fontsize=10,
        )


def _numbers(panel: Axes, properties: Mapping[str, Any], run: Recording) -> None:
    entries = properties["metrics"]
    for at, (key, options) in enumerate(map(_metric, entries)):
        statistic = options.get("stat", properties["stat"])
        if properties.get("setPeriodToTimeRange"):
            value = run.total(key, statistic)
        else:
            shown = run.series(key, statistic, options.get("period", properties["period"]))
            known = shown[~np.isnan(shown)]
            value = known[-1] if len(known) else NO_DATA
        x = (at + 0.5) / len(entries)
        colour = options.get("color", TEXT)
        panel.text(x, 0.47, _short(value), ha="center", va="center", fontsize=24, color=colour)
        panel.text(x, 0.17, options["label"], ha="center", va="center", fontsize=10, color=TEXT)


def _short(value: float) -> str:
    if np.isnan(value):
        return "--"
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= 10 * size:
            return f"{value / size:.3g}{unit}"
    return f"{value:,.0f}"


def _table(panel: Axes, properties: Mapping[str, Any], run: Recording) -> None:
    source = re.search(r"SOURCE '([^']+)'", properties["query"])
    assert source
    lines = run.lines.get(source[1], [])
    rows = _refused(lines) if "stats" in properties["query"] else _letters(lines)
    for at, row in enumerate(rows[:9]):
        weight = "bold" if at == 0 else "normal"
        for x, cell in zip((0.015, 0.3, 0.6, 0.75), row, strict=False):
            panel.text(x, 0.83 - 0.09 * at, cell, va="top", fontsize=10, weight=weight, color=TEXT)


def _letters(lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    letters = [each for each in lines if each.get("message") == "dead letter"]
    letters.sort(key=lambda each: str(each["timestamp"]), reverse=True)
    found = [(each["timestamp"][:19], each["reason"], str(each.get("job_id"))) for each in letters]
    return [("@timestamp", "reason", "job_id"), *found]


def _refused(lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    counts: dict[tuple[str, str], list[str]] = {}
    for each in lines:
        if each.get("outcome") == "refused":
            counts.setdefault((each["principal"][-26:], each["reason"]), []).append(each["at"])
    rows = sorted(counts.items(), key=lambda item: -len(item[1]))
    shown = [(who, why, str(len(at)), max(at)[:19]) for (who, why), at in rows]
    return [("principal", "reason", "times", "latest"), *shown]


def _metric(entry: Sequence[Any]) -> tuple[str, Mapping[str, Any]]:
    words = [word for word in entry if isinstance(word, str)]
    options = entry[-1] if isinstance(entry[-1], dict) else {}
    return (metric_key(*words) if words else ""), options


def _lines(panel: Axes, figure: Figure, properties: Mapping[str, Any], run: Recording) -> None:
    left, right = _axes_in(panel, figure, properties)
    curves = _curves(properties, run)
    stack = np.zeros(HOURS * 3600 // properties["period"])
    for options, values in curves:
        axes = right if options.get("yAxis") == "right" and right else left
        moments = _moments(len(values))
        if properties["stacked"]:
            filled = np.nan_to_num(values)
            axes.fill_between(
                moments, stack, stack + filled, color=options["color"], label=options["label"]
            )
            stack = stack + filled
        else:
            axes.plot(
                moments,
                values,
                color=options["color"],
                label=options["label"],
                marker="." if np.isnan(values).any() else None,
                linewidth=1.6,
            )
    for note in properties.get("annotations", {}).get("horizontal", []):
        axes = right if note.get("yAxis") == "right" and right else left
        axes.axhline(note["value"], color=note["color"], linestyle="--", linewidth=1.2)
        axes.text(
            _moments(2)[0], note["value"], f" {note['label']}", color=RED, fontsize=9, va="bottom"
        )
    for axes in (left, right):
        if axes is not None:
            axes.set_ylim(bottom=0, top=None if np.isfinite(axes.dataLim.y1) else 1)
            axes.margins(y=0.15)
    handles = [
        (h, n)
        for axes in (left, right)
        if axes
        for h, n in zip(*axes.get_legend_handles_labels(), strict=True)
    ]
    left.legend(
        *zip(*handles, strict=True),
        loc="upper center",
        bbox_to_anchor=(0.5, -0.12),
        ncols=_legend_columns(len(handles)),
        frameon=False,
        fontsize=9,
        handlelength=1,
        columnspacing=1,
    )


def _legend_columns(entries: int) -> int:
    return entries if entries <= 3 else 5 if entries > 6 else 3


def _axes_in(
    panel: Axes, figure: Figure, properties: Mapping[str, Any]
) -> tuple[Axes, Axes | None]:
    box = panel.get_position()
    has_right = any(
        options.get("yAxis") == "right" for _, options in map(_metric, properties["metrics"])
    )
    left = figure.add_axes(
        (
            box.x0 + box.width * 0.09,
            box.y0 + box.height * 0.23,
            box.width * (0.82 if has_right else 0.88),
            box.height * 0.6,
        )
    )
    labels = properties.get("yAxis", {})
    left.set_ylabel(labels.get("left", {}).get("label", ""), fontsize=9, color=TEXT)
    left.grid(color=GRID)
    left.set_xlim(*_moments(2))
    left.xaxis.set_major_locator(dates.HourLocator(interval=2))
    left.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    left.tick_params(labelsize=8, colors=TEXT, length=0)
    left.spines[["top", "right", "left"]].set_visible(False)
    if not has_right:
        return left, None
    right = left.twinx()
    right.set_ylabel(labels.get("right", {}).get("label", ""), fontsize=9, color=TEXT)
    right.tick_params(labelsize=8, colors=TEXT, length=0)
    right.spines[["top", "right", "left"]].set_visible(False)
    return left, right


def _curves(
    properties: Mapping[str, Any], run: Recording
) -> list[tuple[Mapping[str, Any], np.ndarray]]:
    entries = [_metric(entry) for entry in properties["metrics"]]
    named: dict[str, np.ndarray] = {}
    for key, options in entries:
        if key:
            statistic = options.get("stat", properties["stat"])
            period_seconds = options.get("period", properties["period"])
            named[options.get("id", key)] = run.series(key, statistic, period_seconds)
    return [
        (
            options,
            named[options.get("id", key)] if key else _calculated(options["expression"], named),
        )
        for key, options in entries
        if options.get("visible", True)
    ]


def _calculated(expression: str, named: Mapping[str, np.ndarray]) -> np.ndarray:
    """Metric math, as much of it as our dashboard uses; the expressions are our own."""

    def fill(values: np.ndarray, instead: float) -> np.ndarray:
        return np.nan_to_num(values, nan=instead)

    result: np.ndarray = eval(expression, {"__builtins__": {}, "FILL": fill, **named})  # noqa: S307
    return result


def _moments(count: int) -> np.ndarray:
    start = dates.date2num(datetime(2026, 11, 23, 6, tzinfo=UTC))
    return start + np.linspace(0, HOURS / 24, count)
