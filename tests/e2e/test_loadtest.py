"""A small load test against the local stack, as an operator runs it."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.aws.sqs_queue import SQSDeadLetters
from pipeline.cli.load_driver import LoadDriver
from pipeline.cli.load_evidence import attempts_of, letters_of, receipts_of
from pipeline.cli.load_run import LoadTest
from pipeline.core.leaks import LeakScanner
from pipeline.core.messages import Failure, dead_letter_of_upload
from pipeline.loadtest.plan import Load
from pipeline.loadtest.reconcile import Finding
from pipeline.loadtest.tracking import Sample
from pipeline.local import LocalStack
from pipeline.model import Upload
from pipeline.samples.cards import synthetic_pans
from pipeline.testing import A_MOMENT
from tests.e2e.operator import Operator

pytestmark = pytest.mark.e2e

SEED, CARDS = secrets.randbelow(2**31), 80  # cards that no other suite of the stack has
SMALL = (
    *("--files", "6", "--rows", "200", "--cards", str(CARDS), "--reject-rate", "0.05"),
    *("--poison", "1", "--duplicate-events", "4", "--seed", str(SEED), "--settle", "1"),
)


@pytest.fixture(scope="module")
def operator(local_stack: LocalStack) -> Operator:
    return Operator(local_stack)


def _leaks(*contents: str) -> Sequence[object]:
    known = [pan.encode() for pan in synthetic_pans(CARDS, SEED)]
    scanner = LeakScanner(known, card_like=False)
    return [leak for content in contents for leak in scanner.leaks_in(content.encode())]


def test_a_small_load_adds_up_and_is_reported_without_a_card_number(
    operator: Operator, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    done = operator.pantok("loadtest", *SMALL, "--report", str(report), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert document["adds_up"]
    assert document["findings"] == []
    figures = document["figures"]
    assert (figures["files_committed"], figures["files_failed"]) == (6, 1)
    assert figures["rows_read"] == 1200 == figures["rows_written"] + figures["rows_rejected"]
    assert figures["dead_letters_by_reason"] == {"unknown_layout": 1}
    assert figures["estimated_usd_per_million_rows"] > 0
    assert {"dynamodb", "kms", "s3"} <= figures["aws_calls"].keys()
    html = report.read_text(encoding="utf-8")
    assert "Everything adds up" in html
    assert _leaks(html, done.stdout, done.stderr) == []


def test_a_person_sees_tables_and_no_card_number(operator: Operator) -> None:
    done = operator.pantok("loadtest", *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reconciliation" in done.stdout
    assert "rows in Parquet" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert _leaks(done.stdout, done.stderr) == []


def test_the_same_cards_again_cost_no_new_token(operator: Operator) -> None:
    seed = str(secrets.randbelow(2**31))
    tiny = ("--files", "2", "--rows", "20", "--cards", "5", "--seed", seed, "--settle", "0.5")
    assert operator.pantok_json("loadtest", *tiny)["figures"]["tokens_new"] == 5
    document = operator.pantok_json("loadtest", *tiny)
    assert document["adds_up"]
    assert document["figures"]["tokens_new"] == 0


def test_a_report_that_cannot_be_written_is_wrong_usage_before_anything_is_uploaded(
    operator: Operator, tmp_path: Path
) -> None:
    before = len(operator.objects("QuarantineBucket", "incoming/"))
    done = operator.pantok("loadtest", *SMALL, "--report", str(tmp_path / "none" / "a.html"))
    assert done.returncode == 2
    assert len(operator.objects("QuarantineBucket", "incoming/")) == before


def test_a_load_that_is_not_done_in_time_ends_with_1_and_says_so(operator: Operator) -> None:
    done = operator.pantok("loadtest", *SMALL, "--timeout", "0", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert not document["adds_up"]
    assert {"where": "uploads", "what": "7 files were not uploaded in time"} in document["findings"]


def test_what_others_left_in_the_dead_letter_queue_is_neither_counted_nor_taken(
    operator: Operator, tmp_path: Path
) -> None:
    file = tmp_path / "theirs.csv"
    file.write_text("card\n", encoding="utf-8")
    theirs = operator.tokenize(file, "of-somebody-else")
    tiny = ("--files", "1", "--rows", "5", "--poison", "1", "--settle", "0.5")
    document = operator.pantok_json("loadtest", *tiny)
    assert document["adds_up"]
    assert operator.letter_of(theirs["job_id"])["reason"] == "unknown_layout"


def test_evidence_tells_what_is_there_and_what_is_not(
    operator: Operator, sample_data: Path
) -> None:
    receipt = operator.tokenize(sample_data / "unnamed_columns.csv", None)
    jobs = [receipt["job_id"], "job_of_nobody"]
    assert receipts_of(operator.target, jobs, 2) == {jobs[0]: receipt, jobs[1]: None}
    assert attempts_of(operator.target, jobs) == {jobs[0]: 1}
    assert letters_of(operator.target, jobs, expected=0) == {}


def _lose_a_row(operator: Operator, job_id: str) -> None:
    receipt = operator.target.tokenized.get_receipt(job_id)
    assert receipt is not None
    uri = receipt["outputs"][0]["uri"]
    rows = pq.read_table(io.BytesIO(operator.read(uri)))
    sink = io.BytesIO()
    pq.write_table(pa.concat_tables([rows.slice(0, 4), rows.slice(5)]), sink)
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    operator.stack.client("s3").put_object(Bucket=bucket, Key=key, Body=sink.getvalue())


def _bury(operator: Operator, upload: Upload) -> None:
    failure = Failure("worker_died", "", 1, A_MOMENT)
    url = operator.stack.outputs["DeadLetterQueueUrl"]
    letters = SQSDeadLetters(operator.stack.client("sqs"), url)
    letters.send(dead_letter_of_upload(upload, failure))


def test_a_lost_row_and_a_letter_too_many_are_found_on_a_real_stack(operator: Operator) -> None:
    load = Load("spoilt", 2, 50, 20, 0.0, 0, duplicate_events=2, seed=31)
    spoilt: list[Upload] = []

    def spoil(sample: Sample) -> None:
        if sample.files_ended == load.files and not spoilt:
            first, second = (each.upload for each in driver.tracker.courses.values())
            _lose_a_row(operator, first.job_id)
            _bury(operator, second)
            spoilt.extend((first, second))

    target = operator.target
    driver = LoadDriver(target, load, settle_seconds=1.0, timeout_seconds=90.0, show=spoil)
    outcome = LoadTest(target, load, driver, concurrency=2).outcome()
    assert not outcome.adds_up
    first, second = (each.key.rsplit("/", 1)[1] for each in spoilt)
    assert set(outcome.findings) == {
        Finding(first, "1 rows missing: 5"),
        Finding(first, "49 rows in Parquet, 50 in receipt"),
        Finding(second, "dead letters: worker_died, expected none"),
    }
    wrong = {line.what for line in outcome.lines if not line.is_right}
    assert wrong == {"rows in Parquet", "dead letters"}
