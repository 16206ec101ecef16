"""Each metric that an alarm or the dashboard names is one that the code emits, as it is named."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from pipeline.errors import TransientError
from pipeline.handlers import api_edge, work_queue
from pipeline.handlers import watch as watch_handler
from pipeline.handlers.work_queue import WorkQueueConsumer
from pipeline.job import Worker
from pipeline.keys import FingerprintKey
from pipeline.readers import registry
from pipeline.readers.delimited import read_delimited
from pipeline.samples.cards import synthetic_pans
from pipeline.testing import MemoryLayouts, MemoryWorld, s3_event
from pipeline.watch import Findings
from tests.api import Api
from tests.component.test_bulk import PANS, Desk
from tests.component.test_worker import LAYOUT, SETTINGS, Context, Stage
from tests.template import WATCH_PATH, WatchTemplate, load
from tests.watch_checks.alarms import Metric, all_metrics

MAX_METRICS = 25  # custom metrics at 0.30 dollars a month each, CloudWatch's price list
UNKNOWN = ["tok_" + letter * 26 for letter in "abcdefghijklmnopqrst"]


def named() -> set[Metric]:
    return {
        metric
        for metric in all_metrics(WatchTemplate(load(WATCH_PATH)))
        if metric.namespace == "Pantok"
    }


def emitted(printed: str) -> set[Metric]:
    """The metrics of embedded-metric-format lines."""
    found = set()
    for line in printed.splitlines():
        document = json.loads(line)
        for directive in document.get("_aws", {}).get("CloudWatchMetrics", []):
            for dimensions in directive["Dimensions"]:
                pairs = tuple((name, document[name]) for name in dimensions)
                for metric in directive["Metrics"]:
                    found.add(Metric(directive["Namespace"], metric["Name"], pairs))
    return found


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    world = MemoryWorld(os.urandom, MemoryLayouts(LAYOUT))
    ports = world.ports()
    key = FingerprintKey(ports.key_service, ports.data_key_records, ports.clock)
    consumer = WorkQueueConsumer(SETTINGS, Worker(ports, key.fingerprinter, memory_gb=1.7))
    monkeypatch.setattr(work_queue, "consumer", lambda: consumer)
    return Stage(world)


def throttle(*_: object) -> Any:
    raise TransientError("throttled", "dynamodb:PartiQLInsert")


def work(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that goes through, one that is refused, one that is handed on, one that is tried
    again."""
    stage.deliver(s3_event(stage.upload()), "{")
    with monkeypatch.context() as patched:
        reader = partial(read_delimited, block_bytes=50)
        patched.setitem(registry.READERS, "delimited", reader)
        large = s3_event(stage.upload("\n".join(["card", *synthetic_pans(20, seed=1), ""])))
        stage.deliver(large, context=Context(milliseconds=1000))
    stage.world.vault.insert_if_absent = throttle  # type: ignore[method-assign]
    stage.deliver(s3_event(stage.upload(f"card\n{synthetic_pans(1, seed=2)[0]}\n")))


def call() -> Iterator[Api]:
    """Callers who get what they ask for, are refused, locked, and let down."""
    api = Api()
    desk = Desk(api, api.tokens_of(*PANS[:50]))
    desk.open(desk.approved(), 0)
    yield api
    api.detokenize(desk.tokens[:2], view="full")
    api.detokenize([*UNKNOWN], purpose="chargeback")
    api.audit.is_down = True
    api.detokenize(desk.tokens[2:3], view="full", purpose="fraud-review")
    api.tokenize(PANS[1])
    yield api


class FoundNothing:
    def look(self, *_: object) -> Findings:
        return Findings()


def test_alarms_and_dashboard_name_what_the_code_emits(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api_edge.metrics.clear_metrics()
    work(stage, monkeypatch)
    for _ in call():
        api_edge.metrics.flush_metrics()
    monkeypatch.setattr(watch_handler, "watch", FoundNothing)
    watch_handler.handler({}, Context())

    found = emitted(capsys.readouterr().out)

    assert len(named()) > 15
    assert named() - found == set()
    assert {metric.dimensions for metric in found} == {(("service", "pantok"),)}
    assert len({metric.name for metric in found}) <= MAX_METRICS
