"""Workers that are killed, or whose time is up, in the middle of a file: nothing lost or doubled."""

from __future__ import annotations

import csv
import gzip
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

from pipeline.bench import MIN_SECONDS_LEFT
from pipeline.cli.uploads import put_files
from pipeline.local import LocalStack, down, up
from pipeline.local.processes import ProcessIdentity, group_members, send
from tests.e2e.operator import TIMEOUT_SECONDS, Operator
from tests.e2e.wire import Wire

pytestmark = pytest.mark.e2e

ROWS, KILLS = 100_000, 5
MANY_CARDS = 6_000
INSERTS_BEFORE_A_KILL = 20  # of 480 that the file takes: no worker can be done before it is killed
MANY_ROWS = 400_000  # a worker needs more seconds for those than it has, whatever the machine
FEW_CARDS = 1_000


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    """One of its own: these tests change its timeouts and kill its workers."""
    state_dir = tmp_path / "stack"
    yield up(state_dir, report=lambda _: None)
    down(state_dir, report=lambda _: None, keep_data=False)


def _settlement(folder: Path, rows: int, cards: int) -> Path:
    file = folder / "settlement.csv"
    pantok = [sys.executable, "-c", "from pipeline.cli.main import main; main()"]
    size = ["--rows", str(rows), "--cards", str(cards), "--seed", "77"]
    subprocess.run([*pantok, "generate", *size, "-o", str(file)], check=True, capture_output=True)
    return file


def _until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"no {what} in time")


def _check(operator: Operator, settlement: Path, receipt: Mapping[str, Any]) -> None:
    """One token per card, every row once, in order, and the receipt adds up."""
    with settlement.open(encoding="utf-8", newline="") as stream:
        pans = [row["card_number"] for row in csv.DictReader(stream)]
    rejected = {row for rows in receipt["rejected_rows"].values() for row in rows}
    kept = [pan for at, pan in enumerate(pans, start=1) if at not in rejected]
    tokens = operator.output(receipt)["card_number_token"].to_pylist()

    assert receipt["rows_read"] == len(pans)
    assert receipt["rows_written"] + receipt["rows_rejected"] == len(pans)
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


@dataclass
class Killer:
    """Kills workers in the middle of a file, and has the file tried again."""

    operator: Operator
    wire: Wire
    kills: int = 0
    letters: list[str] = field(default_factory=list)

    def strike(self) -> None:
        """Once; where deliveries ran out first, since one took long, letters are replayed."""
        _until(lambda: self.wire.is_held.is_set() or self.replayed(), "progress")
        if self.wire.is_held.is_set():
            for worker in _workers(self.operator):
                send(worker, signal.SIGKILL)
            self.kills += 1
            self.wire.free()

    def replayed(self) -> bool:
        """Whether there was a letter."""
        if not _waiting(self.operator, "DeadLetterQueueUrl"):
            return False
        found = self.operator.pantok_json("dlq", "replay", "--all")["replayed"]
        self.letters += [each["reason"] for each in found]
        return bool(found)

    def committed(self, job_id: str) -> Mapping[str, Any] | None:
        """The job's receipt, once it is committed; letters are replayed until then."""
        self.replayed()
        receipt = self.operator.target.tokenized.get_receipt(job_id)
        return receipt if receipt and receipt["status"] == "committed" else None


def _waiting(operator: Operator, queue: str) -> int:
    name = "ApproximateNumberOfMessages"
    answer = operator.stack.client("sqs").get_queue_attributes(
        QueueUrl=operator.stack.outputs[queue], AttributeNames=[name]
    )
    return int(answer["Attributes"][name])


def test_a_worker_killed_five_times_in_the_middle_of_a_file_loses_and_doubles_nothing(
    stack: LocalStack, tmp_path: Path
) -> None:
    settlement = _settlement(tmp_path, ROWS, MANY_CARDS)
    operator = Operator(stack)
    sqs, queue = stack.client("sqs"), stack.outputs["WorkQueueUrl"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "3"})
    with Wire(stack, INSERTS_BEFORE_A_KILL) as wire:
        _configure(stack, Environment=_with(stack, AWS_ENDPOINT_URL_DYNAMODB=wire.url))
        killer = Killer(operator, wire)
        (upload,) = put_files(operator.target, [settlement], "card-present")
        while killer.kills < KILLS:
            killer.strike()
            assert operator.target.tokenized.get_receipt(upload.job_id) is None
        wire.open()
        # Longer than the file takes, but not by much: the engine may give the message to a worker
        # that it has not noticed to be dead.
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "30"})
        receipt = _until(lambda: killer.committed(upload.job_id), "commit")

    assert set(killer.letters) == {"worker_died"}
    _check(operator, settlement, receipt)
    assert receipt["tokens_new"] < receipt["pans_distinct"]  # the killed ones' work is kept
    assert operator.pantok_json("dlq", "list") == []


def test_a_worker_whose_time_is_up_again_and_again_hands_the_file_on(
    stack: LocalStack, tmp_path: Path
) -> None:
    settlement = _settlement(tmp_path, MANY_ROWS, FEW_CARDS)
    packed = tmp_path / "settlement.csv.gz"  # its checksum, the last step, takes no time
    packed.write_bytes(gzip.compress(settlement.read_bytes(), compresslevel=1))
    operator = Operator(stack)
    _configure(stack, Timeout=int(MIN_SECONDS_LEFT) + 1)
    (upload,) = put_files(operator.target, [packed], "card-present")

    receipt = operator.committed(upload.job_id)

    _check(operator, settlement, receipt)
    assert len(receipt["outputs"]) > 1
    (job,) = operator.target.ledger.jobs()
    assert job["attempts"] >= len(receipt["outputs"])
    assert operator.pantok_json("dlq", "list") == []


def _configure(stack: LocalStack, **settings: Any) -> None:
    """Changes the worker's function."""
    name = stack.outputs["WorkerFunction"]
    stack.client("lambda").update_function_configuration(FunctionName=name, **settings)


def _with(stack: LocalStack, **variables: str) -> dict[str, dict[str, str]]:
    """The environment of the worker's function, and some more variables."""
    name = stack.outputs["WorkerFunction"]
    found = stack.client("lambda").get_function_configuration(FunctionName=name)
    return {"Variables": {**found["Environment"]["Variables"], **variables}}
