"""The watch on AWS's own interfaces: what it finds in a deployment, and what it tells of it."""

from __future__ import annotations

import io
import json
import logging
from datetime import timedelta

import pytest

from pipeline.aws.dynamodb_ledger import DynamoDBLedger
from pipeline.aws.intake import S3Intake
from pipeline.aws.s3_objects import S3Tokenized
from pipeline.aws.session import CountedSession, utc_now
from pipeline.handlers import watch as watch_handler
from pipeline.local import LocalStack
from pipeline.model import Decision, Upload
from pipeline.settings import WatchSettings
from pipeline.watch import Deadlines, Watch
from tests.component.test_worker import Context
from tests.contract.test_store_contract import KEYS, Bucket

PAN = "4111111111111111"
NO_TIME = timedelta(seconds=-60)  # what has just arrived is overdue
FACTS = {"uri": "s3://x/incoming/a", "layout": "x"}


@pytest.fixture
def bucket(local_stack: LocalStack) -> Bucket:
    return Bucket(local_stack.client("s3"))


@pytest.fixture
def ledger(local_stack: LocalStack) -> DynamoDBLedger:
    return DynamoDBLedger(local_stack.client("dynamodb"), local_stack.outputs["JobsTable"])


@pytest.fixture
def watch(bucket: Bucket, ledger: DynamoDBLedger) -> Watch:
    return Watch(
        S3Intake(bucket.client, bucket.name),
        ledger,
        S3Tokenized(bucket.client, bucket.name, bucket.name),
        Deadlines(NO_TIME, timedelta(hours=1)),
    )


def commit(ledger: DynamoDBLedger, bucket: Bucket, upload: Upload, rows_written: int = 1) -> None:
    """What a worker does, in its order; `rows_written` is right when it is 1."""
    receipt = {
        "job_id": upload.job_id,
        "status": "committed",
        "rows_read": 1,
        "rows_written": rows_written,
        "rows_rejected": 0,
        "rejects_by_reason": {},
        "outputs": [{"rows": 1}],
    }
    ledger.start(upload.job_id, FACTS, utc_now())
    ledger.decide(upload.job_id, Decision("attempt", receipt, ()))
    S3Tokenized(bucket.client, bucket.name, bucket.name).put_receipt(receipt)
    ledger.commit(upload.job_id)


@pytest.mark.e2e
def test_each_version_of_each_upload_is_a_job_whatever_its_key(bucket: Bucket) -> None:
    uploads = [bucket.put(key, b"x") for key in KEYS]
    again = bucket.put(KEYS[0], b"y")
    bucket.put("incoming/x/", b"")
    bucket.put("rejects/x", b"")
    bucket.client.delete_object(Bucket=bucket.name, Key=KEYS[1])

    arrivals = list(S3Intake(bucket.client, bucket.name).arrivals())

    assert {each.upload.job_id for each in arrivals} == {each.job_id for each in (*uploads, again)}
    assert all(abs(each.at - utc_now()) < timedelta(minutes=5) for each in arrivals)


@pytest.mark.e2e
def test_it_finds_the_upload_without_a_receipt_and_the_receipt_that_does_not_add_up(
    bucket: Bucket, ledger: DynamoDBLedger, watch: Watch
) -> None:
    sound, wrong, lost, stuck = (bucket.put(f"incoming/x/{at}.csv", b"x") for at in range(4))
    commit(ledger, bucket, sound)
    commit(ledger, bucket, wrong, rows_written=2)
    ledger.start(stuck.job_id, FACTS, utc_now())

    findings = watch.look(utc_now(), lambda: True)

    assert (findings.uploads, findings.receipts) == (4, 2)
    assert findings.jobs_not_adding_up == [wrong.job_id]
    assert set(findings.overdue_jobs) == {lost.job_id, stuck.job_id}


@pytest.mark.e2e
def test_a_receipt_is_one_line_as_query_engines_read_json(
    bucket: Bucket, ledger: DynamoDBLedger
) -> None:
    upload = bucket.put("incoming/x/a.csv", b"x")
    commit(ledger, bucket, upload)
    body = bucket.content(f"s3://{bucket.name}/receipts/{upload.job_id}.json")
    assert body is not None
    assert body.count(b"\n") == 1
    assert json.loads(body)["job_id"] == upload.job_id


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    for log_handler in logging.getLogger(watch_handler.SERVICE).handlers:
        monkeypatch.setattr(log_handler, "stream", stream)
    return stream


@pytest.mark.e2e
def test_the_function_tells_jobs_and_counts_and_no_key(
    bucket: Bucket,
    watch: Watch,
    printed: io.StringIO,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = bucket.put(f"incoming/{PAN}.csv", b"x")
    monkeypatch.setattr(watch_handler, "watch", lambda: watch)

    watch_handler.handler({}, Context())

    (metric,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (metric["UploadsOverdue"], metric["UploadsInQuarantine"]) == ([1.0], [1.0])
    assert metric["ReceiptsNotAddingUp"] == [0.0]
    assert lost.job_id in printed.getvalue()
    assert PAN not in printed.getvalue() + json.dumps(metric)


def test_the_functions_settings_are_those_of_its_environment() -> None:
    environment = {
        "PANTOK_QUARANTINE_BUCKET": "q",
        "PANTOK_TOKENIZED_BUCKET": "t",
        "PANTOK_JOBS_TABLE": "j",
        "PANTOK_RECEIPT_DUE_MINUTES": "60",
    }
    settings = WatchSettings.from_environment(environment)
    assert settings == WatchSettings("q", "t", "j", "60")
    assert watch_handler.watch_of(settings, CountedSession())
