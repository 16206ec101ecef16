"""After a run, no PAN of the input is anywhere but in quarantine and, sealed, in the vault."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.leaks import LeakScanner
from pipeline.local import LocalStack, function_logs
from tests.e2e.operator import Operator
from tests.leaks import binary_forms, planted_forms

pytestmark = pytest.mark.e2e

Run = tuple[Operator, set[str], dict[str, bytes]]


def _pans(file: Path, column: str) -> set[str]:
    with file.open(encoding="utf-8", errors="replace", newline="") as stream:
        cells = ["".join(filter(str.isdigit, row[column] or "")) for row in csv.DictReader(stream)]
    return {cell for cell in cells if 12 <= len(cell) <= 19}


@pytest.fixture(scope="module")
def run(
    local_stack: LocalStack, sample_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """Good files, bad rows and refused files, uploaded by hand; all that they left behind."""
    operator = Operator(local_stack)
    folder = tmp_path_factory.mktemp("canaries")
    pan = "6011000990139424"
    refused = folder / "no_such_column.csv"
    refused.write_text(f"id,other\n1,{pan}\n")
    header = folder / "header.csv"
    header.write_text(f"{pan},card_number\n1,{pan}\n")
    hostile = folder / "hostile.csv"
    hostile.write_bytes(f'card\n"{pan}\n{pan},{pan}\n\xff{pan}\n'.encode("latin-1"))
    uploads = [
        (sample_data / "card_present.csv", "card-present"),
        (sample_data / "every_reject.csv", "every-reject"),
        (sample_data / "acquirer_pipe_wrong_trailer.txt", "acquirer-pipe"),
        (refused, "card-present"),
        (header, "card-present"),
        (hostile, ""),
    ]
    terminal = b""
    for file, layout in uploads:
        options = ["--layout", layout] if layout else []
        done = operator.pantok("upload", str(file), *options, "--wait")
        terminal += (done.stdout + done.stderr).encode()
    for command in (["jobs"], ["dlq", "list"], ["query", "SELECT * FROM tokenized"]):
        done = operator.pantok(*command)
        terminal += (done.stdout + done.stderr).encode()
    pans = {pan} | _pans(sample_data / "card_present.csv", "card_number")
    pans |= _pans(sample_data / "every_reject.csv", "card_number")
    return operator, pans, dict(_left_behind(operator, terminal))


def _left_behind(operator: Operator, terminal: bytes) -> Iterator[tuple[str, bytes]]:
    stack = operator.stack
    yield "terminal", terminal
    yield "engine log", stack.log_path.read_bytes()
    yield "function log", "\n".join(function_logs(stack, stack.outputs["WorkerLogGroup"])).encode()
    for key, body in operator.objects("TokenizedBucket").items():
        yield f"tokenized bucket {key}", body
    keys = [*operator.objects("TokenizedBucket"), *operator.objects("QuarantineBucket")]
    yield "object keys", "\n".join(keys).encode()
    for table in ("JobsTable", "FingerprintsTable", "DataKeysTable", "VaultTable"):
        yield table, _raw(operator.items(table))
    for queue in ("WorkQueueUrl", "DeadLetterQueueUrl"):
        yield queue, _raw(_messages(operator, queue))
    events = stack.client("cloudtrail").lookup_events(MaxResults=50)["Events"]
    yield "CloudTrail", "\n".join(event["CloudTrailEvent"] for event in events).encode()


def _raw(document: Any) -> bytes:
    return json.dumps(document, default=lambda value: bytes(value).decode("latin-1")).encode()


def _messages(operator: Operator, queue: str) -> list[str]:
    found = operator.stack.client("sqs").receive_message(
        QueueUrl=operator.stack.outputs[queue], MaxNumberOfMessages=10, VisibilityTimeout=0
    )
    return [message["Body"] for message in found.get("Messages", [])]


def _scanner(pans: set[str]) -> LeakScanner:
    return LeakScanner([pan.encode() for pan in pans], card_like=False)


def test_no_pan_of_the_input_is_left_anywhere(
    run: Run,
) -> None:
    _, pans, surfaces = run
    scanner = _scanner(pans)

    leaks = {name: found for name, body in surfaces.items() if (found := scanner.leaks_in(body))}

    assert leaks == {}
    assert len(pans) > 250


def test_the_run_left_something_on_every_surface(run: Run) -> None:
    _, _, surfaces = run

    silent = [name for name, body in surfaces.items() if len(body) < 3]
    assert set(silent) <= {"WorkQueueUrl", "engine log"}  # all worked off, nothing went wrong
    assert b"CloudWatchMetrics" in surfaces["function log"]
    assert any(name.endswith(".parquet") for name in surfaces)
    assert any("receipts/" in name for name in surfaces)


def test_the_same_scan_finds_a_pan_that_is_planted_on_any_surface(run: Run) -> None:
    _, pans, surfaces = run
    scanner, pan = _scanner(pans), sorted(pans)[0]
    planted = planted_forms(pan)["grouped"]

    missed = [name for name, body in surfaces.items() if not scanner.leaks_in(body + planted)]

    assert missed == []


def test_the_same_scan_finds_a_pan_in_any_form(run: Run) -> None:
    _, pans, surfaces = run
    scanner, pan = _scanner(pans), next(pan for pan in sorted(pans) if len(pan) == 16)
    around = surfaces["function log"][:10_000] + b"\n"

    missed = [
        form
        for form, planted in (planted_forms(pan) | binary_forms(pan)).items()
        if not scanner.leaks_in(planted if form == "parquet" else around + planted)
    ]

    assert missed == []


def test_rejected_rows_are_in_quarantine_with_their_reasons(
    run: Run,
) -> None:
    operator, _, _ = run

    rejects = [
        json.loads(line)
        for body in operator.objects("QuarantineBucket", "rejects/").values()
        for line in gzip.decompress(body).splitlines()[1:]
    ]

    reasons = {each["reason"] for each in rejects}
    assert {"pan_masked", "guard_hit", "invalid_encoding", "unbalanced_quote"} <= reasons
    assert all("row" in each and ("record" in each or "record_base64" in each) for each in rejects)
