"""Service time of warm detokenize requests: the real handler, on the local stack.

What the engine takes to answer is measured apart and taken off: on AWS it is another figure, and
what is left is ours. `python -m benchmarks.api --calls 1000`.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

from botocore.httpsession import URLLib3Session

from pipeline.aws.connection import Connection
from pipeline.aws.dynamodb_access import DynamoDBGrants
from pipeline.local import LocalStack, down, up
from pipeline.samples.cards import synthetic_pans
from pipeline.testing import api_event

CALLER = "arn:aws:iam::000000000000:user/benchmark"
GRANTS = f"""
[[grants]]
name = "benchmark"
principals = ["{CALLER}"]
actions = ["tokenize", "detokenize"]
scopes = ["default"]
purposes = ["benchmark"]
view = "full"
per_minute = 10000000
per_day = 10000000
"""
WARM_UP_CALLS = 20
SIZES = (1, 10, 100)  # tokens of a request


@dataclass
class Context:
    function_name: str = "detokenize"
    memory_limit_in_mb: int = 1769
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:detokenize"
    aws_request_id: str = "8476a536-e9f4-41e8-9739-2dfe598c3fcd"


class Engine:
    """How long the engine took, and how often it was asked."""

    def __init__(self) -> None:
        self.seconds, self.requests = 0.0, 0
        self._send = URLLib3Session.send

    @contextmanager
    def timed(self) -> Iterator[None]:
        engine = self

        def send(session: URLLib3Session, request: Any) -> Any:
            started = time.perf_counter()
            try:
                return engine._send(session, request)
            finally:
                engine.seconds += time.perf_counter() - started
                engine.requests += 1

        def wait(selector: Any, timeout: float | None = None) -> Any:
            started = time.perf_counter()
            try:
                return select(selector, timeout)
            finally:
                engine.seconds += time.perf_counter() - started

        def begin(connection: Connection, request: bytes) -> None:
            engine.requests += 1
            begun(connection, request)

        select, begun = selectors.DefaultSelector.select, Connection.begin
        with (
            mock.patch.object(URLLib3Session, "send", send),
            mock.patch.object(selectors.DefaultSelector, "select", wait),
            mock.patch.object(Connection, "begin", begin),
        ):
            yield


def main() -> None:
    """Prints a table of service times in milliseconds."""
    parser = argparse.ArgumentParser(description="Service time of warm detokenize requests.")
    parser.add_argument("--calls", type=int, default=1000)
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as folder:
        stack = up(Path(folder), report=lambda _: None)
        try:
            measure(stack, calls)
        finally:
            down(Path(folder), report=lambda _: None, keep_data=False)


def measure(stack: LocalStack, calls: int) -> None:
    grants = DynamoDBGrants(stack.client("dynamodb"), stack.outputs["GrantsTable"])
    grants.write(GRANTS, "now")
    os.environ.update(environment(stack))
    from pipeline.handlers import api_detokenize, api_tokenize

    items = [{"pan": pan} for pan in synthetic_pans(max(SIZES), seed=3)]
    answer = call(api_tokenize.handler, "/tokenize", {"items": items})
    tokens = [each["token"] for each in answer["results"]]
    row = "{:>8} {:>8} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12} {:>10}\n".format
    head = ("tokens", "calls", "p50 ms", "p99 ms", "ours p50", "ours p99", "CPU p50", "CPU p99")
    sys.stdout.write(row(*head, "AWS calls"))
    for size in SIZES:
        document = {"tokens": tokens[:size], "purpose": "benchmark", "view": "full"}
        *kinds, requests = timings(api_detokenize.handler, document, calls)
        figures = [f"{each * 1000:.2f}" for kind in kinds for each in tails(kind)]
        sys.stdout.write(row(size, calls, *figures, f"{requests:.2f}"))


def timings(
    handler: Any, document: dict[str, Any], calls: int
) -> tuple[list[float], list[float], list[float], float]:
    """Seconds of each call, the same less the engine's, CPU seconds, the engine's requests a call.

    On a machine with other work to do, the CPU seconds are the steadier figure.
    """
    for _ in range(WARM_UP_CALLS):
        call(handler, "/detokenize", document)
    whole, ours, cpu, engine = [], [], [], Engine()
    with engine.timed():
        for _ in range(calls):
            before, started, cpu_started = engine.seconds, time.perf_counter(), time.thread_time()
            call(handler, "/detokenize", document)
            whole.append(time.perf_counter() - started)
            ours.append(whole[-1] - (engine.seconds - before))
            cpu.append(time.thread_time() - cpu_started)
    return whole, ours, cpu, engine.requests / calls


def tails(seconds: Sequence[float]) -> tuple[float, float]:
    return statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]


def call(handler: Any, path: str, document: dict[str, Any]) -> Any:
    event = api_event("POST", path, json.dumps(document), user_arn=CALLER)
    with redirect_stdout(StringIO()):  # metrics
        answer = handler(event, Context())
    assert answer["statusCode"] == 200, answer["statusCode"]
    return json.loads(answer["body"])


def environment(stack: LocalStack) -> dict[str, str]:
    outputs = stack.outputs
    return {
        "AWS_ENDPOINT_URL": stack.endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PANTOK_VAULT_TABLE": outputs["VaultTable"],
        "PANTOK_FINGERPRINTS_TABLE": outputs["FingerprintsTable"],
        "PANTOK_DATA_KEYS_TABLE": outputs["DataKeysTable"],
        "PANTOK_VAULT_KEY_ARN": outputs["VaultKeyArn"],
        "PANTOK_GRANTS_TABLE": outputs["GrantsTable"],
        "PANTOK_LIMITS_TABLE": outputs["LimitsTable"],
        "PANTOK_AUDIT_LOG_GROUP": outputs["AuditLogGroup"],
        "POWERTOOLS_TRACE_DISABLED": "true",
        "POWERTOOLS_SERVICE_NAME": "pantok",
    }


if __name__ == "__main__":
    main()
