"""`python -m tests.dashboard [FILE]`: a load test on a local stack of its own, and the picture.

What the load test gave is kept in `build/`; `--again` draws from it without another one.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.aws.dynamodb_access import DynamoDBGrants
from pipeline.local import down, up
from pipeline.local.deployment import STACK_NAME
from tests.dashboard.drawing import Recording, draw
from tests.dashboard.recording import GRANTS, Recorder, metric_key
from tests.template import PSEUDO_PARAMETERS, WATCH_PATH, Template, WatchTemplate, load
from tests.watch_checks.alarms import ALARMED_BY_SILENCE, dashboard

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "dashboard-recording.json"


def record() -> None:
    with tempfile.TemporaryDirectory() as folder:
        state_dir = Path(folder)
        stack = up(state_dir, report=sys.stderr.write)
        try:
            grants = DynamoDBGrants(stack.client("dynamodb"), stack.outputs["GrantsTable"])
            grants.write(GRANTS, "2026-11-23T00:00:00.000Z")
            run = Recorder(stack, state_dir).run()
        finally:
            down(state_dir, report=sys.stderr.write, keep_data=False)
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(run))


def of_the_local_stack(document: Any) -> Any:
    """What names the stack of the template's tests names the local one."""
    there = PSEUDO_PARAMETERS["AWS::StackName"]
    return json.loads(json.dumps(document).replace(there, STACK_NAME))


def ringing(template: Template, run: Recording) -> dict[str, bool]:
    """Alarm → whether it rang; those of several metrics and of silence are taken as quiet."""
    found = {}
    for name, properties in of_the_local_stack(template.of_type("AWS::CloudWatch::Alarm")).items():
        is_simple = "MetricName" in properties and name not in ALARMED_BY_SILENCE
        found[properties["AlarmName"]] = is_simple and _is_exceeded(properties, run)
    return found


def _is_exceeded(properties: Mapping[str, Any], run: Recording) -> bool:
    dimensions = [
        word for each in properties.get("Dimensions", []) for word in (each["Name"], each["Value"])
    ]
    key = metric_key(properties["Namespace"], properties["MetricName"], *dimensions)
    values = run.series(key, properties["Statistic"], properties["Period"])
    return bool((values > properties["Threshold"]).any())


def main() -> None:
    arguments = [each for each in sys.argv[1:] if each != "--again"]
    if "--again" not in sys.argv:
        record()
    run = Recording(**json.loads(KEPT.read_text()))
    template = WatchTemplate(load(WATCH_PATH))
    file = Path(arguments[0]) if arguments else ROOT / "docs" / "dashboard.png"
    draw(of_the_local_stack(dashboard(template)), ringing(template, run), run, file)


main()
