"""The picture of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt


def draw(cards_per_second: Mapping[str, float], file: Path) -> None:
    """Cards a second by contender, on a logarithmic scale."""
    names = list(reversed(cards_per_second))
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(names) + 1.2))
    bars = axes.barh(names, [cards_per_second[name] for name in names], color="#2a6f97")
    axes.bar_label(bars, fmt="{:,.0f}", padding=4)
    axes.set_xscale("log")
    axes.set_xlabel("cards a second, one core (more is better)")
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)
