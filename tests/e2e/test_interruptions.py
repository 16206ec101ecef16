"""Workers that are killed, or whose time is up, in the middle of a file: nothing lost or doubled."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.uploads import put_files
from pipeline.local import LocalStack, down, up
from pipeline.local.processes import ProcessIdentity, group_members, send
from tests.e2e.operator import TIMEOUT_SECONDS, Operator

pytestmark = pytest.mark.e2e

ROWS, KILLS = 100_000, 5
MANY_CARDS = 20_000  # a worker needs seconds for those, and is never seen to do more than some
FEW_CARDS = 1_000  # so that a worker is through with some rows long before its time is up


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    """One of its own: these tests change its timeouts and kill its workers."""
    state_dir = tmp_path / "stack"
    yield up(state_dir, report=lambda _: None)
    down(state_dir, report=lambda _: None, keep_data=False)


def _settlement(folder: Path, cards: int) -> Path:
    file = folder / "settlement.csv"
    pantok = [sys.executable, "-c", "from pipeline.cli.main import main; main()"]
    size = ["--rows", str(ROWS), "--cards", str(cards), "--seed", "77"]
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


def _workers(operator: Operator) -> list[ProcessIdentity]:
    members = group_members(operator.stack.pid)
    return [each.identity for each in members if each.identity.pid != operator.stack.pid]


def _claims(operator: Operator) -> int:
    """How many there are; the local engine counts as it goes, so a look costs next to nothing."""
    table = operator.stack.outputs["FingerprintsTable"]
    count: int = operator.stack.client("dynamodb").describe_table(TableName=table)["Table"][
        "ItemCount"
    ]
    return count


def _killed_once_they_got_on(operator: Operator, before: int) -> bool:
    """Kills the workers if they claimed cards since."""
    if _claims(operator) <= before:
        return False
    for worker in _workers(operator):
        send(worker, signal.SIGKILL)
    return True


@dataclass
class Killer:
    """Kills workers that get on with a file, and has the file tried again."""

    operator: Operator
    kills: int = 0
    letters: list[str] = field(default_factory=list)

    def strike(self) -> None:
        """Once; where deliveries ran out first, since one took long, letters are replayed."""
        before = _claims(self.operator)

        def is_done() -> bool:
            has_killed = _killed_once_they_got_on(self.operator, before)
            self.kills += has_killed
            return has_killed or self.replayed()

        _until(is_done, "progress")

    def replayed(self) -> bool:
        """Whether there was a letter."""
        if not _waiting(self.operator, "DeadLetterQueueUrl"):
            return False
        found = self.operator.pantok_json("dlq", "replay", "--all")["replayed"]
        self.letters += [each["reason"] for each in found]
        return bool(found)


def _waiting(operator: Operator, queue: str) -> int:
    name = "ApproximateNumberOfMessages"
    answer = operator.stack.client("sqs").get_queue_attributes(
        QueueUrl=operator.stack.outputs[queue], AttributeNames=[name]
    )
    return int(answer["Attributes"][name])


def test_a_worker_killed_five_times_in_the_middle_of_a_file_loses_and_doubles_nothing(
    stack: LocalStack, tmp_path: Path
) -> None:
    settlement = _settlement(tmp_path, MANY_CARDS)
    operator = Operator(stack)
    killer = Killer(operator)
    sqs, queue = stack.client("sqs"), stack.outputs["WorkQueueUrl"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "3"})
    (upload,) = put_files(operator.target, [settlement], "card-present")
    while killer.kills < KILLS:
        killer.strike()
        assert operator.target.tokenized.get_receipt(upload.job_id) is None
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1080"})
    _until(lambda: killer.letters or killer.replayed(), "dead letter")

    receipt = operator.committed(upload.job_id)

    assert set(killer.letters) == {"worker_died"}
    _check(operator, settlement, receipt)
    assert receipt["tokens_new"] < receipt["pans_distinct"]  # the killed ones' work is kept
    assert operator.pantok_json("dlq", "list") == []


def test_a_worker_whose_time_is_up_again_and_again_hands_the_file_on(
    stack: LocalStack, tmp_path: Path
) -> None:
    settlement = _settlement(tmp_path, FEW_CARDS)
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
