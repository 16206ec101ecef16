"""The dashboard can be drawn, whatever was measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.dashboard.drawing import HOURS, Recording, draw
from tests.dashboard.recording import metric_key
from tests.template import WATCH_PATH, WatchTemplate, load
from tests.watch_checks.alarms import dashboard

ROWS = metric_key("Pantok", "RowsWritten", "service", "pantok")


def test_every_widget_is_drawn_even_of_nothing(tmp_path: Path) -> None:
    template = WatchTemplate(load(WATCH_PATH))
    alarms = {template.name(each): False for each in template.of_type("AWS::CloudWatch::Alarm")}
    draw(dashboard(template), alarms, Recording(0, 60, {}, {}), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("statistic", "values"), [("Sum", 6), ("Maximum", 3), ("SampleCount", 3)])
def test_samples_are_gathered_by_period(statistic: str, values: float) -> None:
    run = Recording(0, HOURS, {ROWS: [(0, 1), (0.1, 2), (0.9, 3), (1.5, 7)]}, {})
    series = run.series(ROWS, statistic, 3600)
    assert len(series) == HOURS
    assert series[0] == values
    assert np.isnan(series[2])  # nothing is not 0
