"""What CloudWatch would have of a load test, gathered from the local stack.

Our own metrics are in the functions' logs, as CloudWatch reads them there; those of Lambda come of
the logs' reports, those of SQS of asking the queues; DynamoDB's are reckoned from the cards of each job.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.aws.api_client import ApiClient
from pipeline.errors import PantokError
from pipeline.local import LocalStack
from pipeline.samples.cards import synthetic_pans

SECONDS_BETWEEN_SAMPLES = 0.5
# (files, rows of each, different cards, files that are refused, events sent twice)
WAVES = ((12, 800, 2000, 0, 1), (30, 1500, 9000, 2, 3), (8, 500, 600, 0, 0), (16, 1200, 3000, 1, 2))
GRANTS = """
[[grants]]
name = "desk"
principals = ["arn:aws:iam::000000000000:root"]
actions = ["tokenize", "detokenize", "describe"]
scopes = ["default"]
purposes = ["chargeback"]
view = "full"
per_minute = 100000
per_day = 1000000
"""
REPORT = re.compile(r"REPORT .*?\tDuration: ([\d.]+) ms")

Samples = dict[str, list[tuple[float, float]]]


def metric_key(namespace: str, name: str, *dimensions: str) -> str:
    return "|".join((namespace, name, *dimensions))


class Recorder:
    """Runs the load and keeps what can be seen of it: samples by metric, lines of logs."""

    def __init__(self, stack: LocalStack, state_dir: Path) -> None:
        self._stack = stack
        self._environment = {**os.environ, "PANTOK_LOCAL_DIR": str(state_dir)}
        self.samples: Samples = defaultdict(list)
        self.lines: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def run(self) -> dict[str, Any]:
        start = time.time()
        with self._queues_watched():
            for wave in WAVES:
                self._load(*wave)
                self._call()
                self._stack.client("lambda").invoke(FunctionName=self._function("watch"))
        self._read_logs()
        self._count_units()
        return {
            "start": start,
            "end": time.time(),
            "samples": self.samples,
            "lines": self.lines,
        }

    def _function(self, name: str) -> str:
        return f"pantok-local-{name}"

    def _load(self, files: int, rows: int, cards: int, poison: int, duplicates: int) -> None:
        sizes = ["--files", files, "--rows", rows, "--cards", cards, "--reject-rate", 0.02]
        faults = ["--poison", poison, "--duplicate-events", duplicates]
        program = [sys.executable, "-c", "from pipeline.cli.main import main; main()"]
        command = [*program, "loadtest", *sizes, *faults, "--json"]
        subprocess.run(
            list(map(str, command)), env=self._environment, check=False, capture_output=True
        )

    def _call(self) -> None:
        """Callers: some tokens opened, a stranger's purpose, a list of another environment."""
        api = ApiClient(self._stack.session(), self._stack.outputs["ApiUrl"])
        pans = synthetic_pans(60, seed=len(self.lines) + 7)
        items = [{"pan": pan} for pan in pans]
        results = api.call("POST", "/tokenize", {"items": items})["results"]
        tokens = [each["token"] for each in results]
        for at in range(0, len(tokens), 6):
            api.detokenize(tokens[at : at + 6], "chargeback", "full")
        with suppress(PantokError):
            api.detokenize(tokens[:1], "curiosity")
        with suppress(PantokError):
            api.detokenize(["tok_" + letter * 26 for letter in "abcdef"], "chargeback")

    @contextmanager
    def _queues_watched(self) -> Iterator[None]:
        over = threading.Event()
        watcher = threading.Thread(target=self._watch_queues, args=(over,), daemon=True)
        watcher.start()
        yield
        over.set()
        watcher.join()

    def _watch_queues(self, over: threading.Event) -> None:
        sqs = self._stack.client("sqs")
        waiting_since = None
        urls = {"work": "WorkQueueUrl", "dead-letters": "DeadLetterQueueUrl"}
        while not over.wait(SECONDS_BETWEEN_SAMPLES):
            now = time.time()
            for queue, output in urls.items():
                found = sqs.get_queue_attributes(
                    QueueUrl=self._stack.outputs[output], AttributeNames=["All"]
                )["Attributes"]
                visible = float(found["ApproximateNumberOfMessages"])
                hidden = float(found["ApproximateNumberOfMessagesNotVisible"])
                self._sample("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue, now, visible)
                self._sample("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", queue, now, hidden)
                if queue == "work":
                    waiting_since = (waiting_since or now) if visible + hidden else None
                    age = now - waiting_since if waiting_since else 0.0
                    self._sample("AWS/SQS", "ApproximateAgeOfOldestMessage", queue, now, age)

    def _sample(self, namespace: str, name: str, of: str, at: float, value: float) -> None:
        dimension = {"AWS/SQS": "QueueName", "AWS/Lambda": "FunctionName"}[namespace]
        key = metric_key(namespace, name, dimension, f"pantok-local-{of}")
        self.samples[key].append((at, value))

    def _read_logs(self) -> None:
        logs = self._stack.client("logs")
        for group in logs.describe_log_groups()["logGroups"]:
            name = group["logGroupName"]
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=name)
            for page in pages:
                for event in page["events"]:
                    self._read(name, event["timestamp"] / 1000, event["message"])

    def _read(self, group: str, at: float, message: str) -> None:
        function = group.rpartition("pantok-local-")[2]
        if report := REPORT.match(message):
            self._sample("AWS/Lambda", "Invocations", function, at, 1)
            self._sample("AWS/Lambda", "Duration", function, at, float(report[1]))
        if not message.startswith("{"):
            return
        document = json.loads(message)
        for directive in document.get("_aws", {}).get("CloudWatchMetrics", []):
            at = document["_aws"]["Timestamp"] / 1000
            for metric in directive["Metrics"]:
                key = metric_key(directive["Namespace"], metric["Name"], "service", "pantok")
                values = document[metric["Name"]]
                self.samples[key] += [(at, each) for each in values]
        if "_aws" not in document:
            self.lines[group].append(document)

    def _count_units(self) -> None:
        """A unit written into the vault for each new card, half a unit read to look one up."""
        for metric, units, of in (
            ("ConsumedWriteCapacityUnits", 1.0, ("vault", "TokensNew")),
            ("ConsumedReadCapacityUnits", 0.5, ("fingerprints", "TokensNew", "TokensReused")),
        ):
            table, *counts = of
            key = metric_key("AWS/DynamoDB", metric, "TableName", f"pantok-local-{table}")
            for count in counts:
                seen = self.samples[metric_key("Pantok", count, "service", "pantok")]
                self.samples[key] += [(at, value * units) for at, value in seen]
