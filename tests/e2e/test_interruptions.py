"""Workers that are killed, or whose time is up, in the middle of a file: nothing lost or doubled."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.uploads import put_files
from pipeline.local import LocalStack, down, up
from pipeline.local.processes import group_members
from tests.e2e.operator import TIMEOUT_SECONDS, Operator

pytestmark = pytest.mark.e2e

ROWS, CARDS, KILLS = 100_000, 20_000, 5


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    """One of its own: these tests change its timeouts and kill its workers."""
    state_dir = tmp_path / "stack"
    yield up(state_dir, report=lambda _: None)
    down(state_dir, report=lambda _: None, keep_data=False)


@pytest.fixture
def settlement(tmp_path: Path) -> Path:
    file = tmp_path / "settlement.csv"
    pantok = [sys.executable, "-c", "from pipeline.cli.main import main; main()"]
    size = ["--rows", str(ROWS), "--cards", str(CARDS), "--seed", "77"]
    subprocess.run([*pantok, "generate", *size, "-o", str(file)], check=True, capture_output=True)
    return file


def _until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"no {what} in time")


def _check(operator: Operator, settlement: Path, receipt: Mapping[str, Any]) -> None:
    """One token per card, every row once, in order, and the receipt adds up."""
    with settlement.open(encoding="utf-8", newline="") as stream:
        pans = [row["card_number"] for row in csv.DictReader(stream)]
    rejected = {row for rows in receipt["rejected_rows"].values() for row in rows}
    kept = [pan for at, pan in enumerate(pans, start=1) if at not in rejected]
    tokens = operator.output(receipt)["card_number_token"].to_pylist()

    assert receipt["rows_read"] == ROWS
    assert receipt["rows_written"] + receipt["rows_rejected"] == ROWS
    assert len(rejected) == receipt["rows_rejected"]
    assert len(tokens) == len(kept) == receipt["rows_written"]
    tokens_of: dict[str, set[str]] = defaultdict(set)
    for pan, token in zip(kept, tokens, strict=True):
        tokens_of[pan].add(token)
    assert all(len(each) == 1 for each in tokens_of.values())
    assert len(tokens_of) == receipt["pans_distinct"] == len(operator.items("FingerprintsTable"))
    distinct = sorted(tokens_of)
    assert operator.open([next(iter(tokens_of[pan])) for pan in distinct]) == distinct
    assert len(operator.objects("TokenizedBucket", "receipts/")) == 1
    assert len(operator.objects("TokenizedBucket", "data/")) == len(receipt["outputs"])


def _workers(operator: Operator) -> list[int]:
    members = group_members(operator.stack.pid)
    return [each.identity.pid for each in members if each.identity.pid != operator.stack.pid]


def _claims(operator: Operator) -> int:
    pages = operator.stack.client("dynamodb").get_paginator("scan")
    table = operator.stack.outputs["FingerprintsTable"]
    return sum(page["Count"] for page in pages.paginate(TableName=table, Select="COUNT"))


def test_a_worker_killed_five_times_in_the_middle_of_a_file_loses_and_doubles_nothing(
    stack: LocalStack, settlement: Path
) -> None:
    operator = Operator(stack)
    sqs, queue = stack.client("sqs"), stack.outputs["WorkQueueUrl"]
    soon = {"VisibilityTimeout": "3"}
    sqs.set_queue_attributes(QueueUrl=queue, Attributes=soon)
    (upload,) = put_files(operator.target, [settlement], "card-present")
    for _ in range(KILLS):
        before = _claims(operator)
        _until(lambda before=before: _claims(operator) > before, "progress")
        killed = _workers(operator)
        assert killed
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert operator.target.tokenized.get_receipt(upload.job_id) is None
    _until(lambda: operator.pantok_json("dlq", "list"), "dead letter")
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1080"})
    (letter,) = operator.pantok_json("dlq", "list")
    assert letter["reason"] == "worker_died"

    operator.pantok_json("dlq", "replay", "--all")

    receipt = operator.committed(upload.job_id)
    _check(operator, settlement, receipt)
    assert 0 < receipt["tokens_new"] < receipt["pans_distinct"]  # the killed ones' work is kept
    assert operator.pantok_json("dlq", "list") == []


def test_a_worker_whose_time_is_up_again_and_again_hands_the_file_on(
    stack: LocalStack, settlement: Path
) -> None:
    operator = Operator(stack)
    stack.client("lambda").update_function_configuration(
        FunctionName=stack.outputs["WorkerFunction"], Timeout=21
    )
    (upload,) = put_files(operator.target, [settlement], "card-present")

    receipt = operator.committed(upload.job_id)

    _check(operator, settlement, receipt)
    assert len(receipt["outputs"]) > 2
    (job,) = operator.target.ledger.jobs()
    assert job["attempts"] >= len(receipt["outputs"])
    assert operator.pantok_json("dlq", "list") == []
