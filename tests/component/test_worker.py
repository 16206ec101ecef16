"""The worker as Lambda calls it: messages in, partial batch responses, logs and metrics out."""

from __future__ import annotations

import io
import json
import logging
import os
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from pipeline.core.leaks import LeakScanner
from pipeline.errors import PermanentError, TransientError
from pipeline.handlers import work_queue
from pipeline.handlers.work_queue import POSTPONE_SECONDS, WorkQueueConsumer
from pipeline.job import Worker
from pipeline.keys import FingerprintKey
from pipeline.model import Upload
from pipeline.readers import registry
from pipeline.readers.delimited import read_delimited
from pipeline.samples.cards import synthetic_pans
from pipeline.settings import Settings
from pipeline.testing import MemoryLayouts, MemoryWorld, s3_event, sqs_event

PAN = "4111111111111111"
OTHER_PAN = "5555555555554444"
LAYOUT = 'name = "x"\n[columns.card]\nrole = "pan"\n'
SETTINGS = Settings(
    quarantine_bucket="quarantine",
    tokenized_bucket="tokenized",
    work_queue_url="work",
    dead_letter_queue_url="dead",
    vault_table="vault",
    fingerprints_table="fingerprints",
    data_keys_table="data-keys",
    jobs_table="jobs",
    vault_key_arn="arn:aws:kms:x",
    layouts_uri="s3://quarantine/layouts",
)


@dataclass
class Context:
    """What Lambda tells a function about its call."""

    function_name: str = "worker"
    memory_limit_in_mb: int = 1769
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:worker"
    aws_request_id: str = "request"
    milliseconds: int = 300_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@dataclass
class Stage:
    world: MemoryWorld

    @property
    def seconds_postponed(self) -> list[int]:
        return [seconds for _, seconds in self.world.work_queue.postponed]

    def sent(self) -> list[str]:
        """The messages that the worker sent, taken off the queue."""
        messages = [json.dumps(each) for each in self.world.work_queue.messages]
        self.world.work_queue.messages.clear()
        return messages

    def upload(self, body: str = f"card\n{PAN}\n", folder: str = "x") -> Upload:
        return self.world.quarantine.put(f"incoming/{folder}/a.csv", body.encode())

    def deliver(self, *bodies: str, receive_count: int = 1, context: Context | None = None) -> Any:
        event = sqs_event(*bodies, receive_count=receive_count)
        return work_queue.handler(event, context or Context())

    @property
    def reasons(self) -> list[str]:
        return [str(letter["reason"]) for letter in self.world.dead_letters.letters]

    @property
    def statuses(self) -> list[str]:
        return [str(receipt["status"]) for receipt in self.world.tokenized.receipts.values()]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    world = MemoryWorld(os.urandom, MemoryLayouts(LAYOUT))
    ports = world.ports()
    key = FingerprintKey(ports.key_service, ports.data_key_records, ports.clock)
    worker = Worker(ports, key.fingerprinter, memory_gb=1.7)
    consumer = WorkQueueConsumer(SETTINGS, worker)
    monkeypatch.setattr(work_queue, "consumer", lambda: consumer)
    return Stage(world)


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the worker's own log prints."""
    stream = io.StringIO()
    for log_handler in logging.getLogger(work_queue.SERVICE).handlers:
        monkeypatch.setattr(log_handler, "stream", stream)
    return stream


NOTHING_FAILED = {"batchItemFailures": []}


def test_an_upload_is_committed_and_its_message_acknowledged(stage: Stage) -> None:
    assert stage.deliver(s3_event(stage.upload())) == NOTHING_FAILED
    assert stage.statuses == ["committed"]
    assert len(stage.world.vault.rows) == 1


def test_a_duplicate_event_changes_nothing(stage: Stage) -> None:
    event = s3_event(stage.upload())
    stage.deliver(event, event)
    before = dict(stage.world.tokenized.objects)
    stage.deliver(event)
    assert stage.world.tokenized.objects == before
    assert len(before) == 1


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "quarantine"}),
        s3_event(Upload("quarantine", "incoming/x/a.csv", "v1"), "ObjectRemoved:Delete"),
        s3_event(Upload("quarantine", "rejects/job/a.jsonl.gz", "v1")),
        s3_event(Upload("quarantine", "incoming/x/", "v1")),
    ],
)
def test_an_event_that_asks_for_nothing_is_acknowledged(stage: Stage, body: str) -> None:
    assert stage.deliver(body, s3_event(stage.upload())) == NOTHING_FAILED
    assert stage.reasons == []
    assert stage.statuses == ["committed"]


FROM_ELSEWHERE = {
    "eventSource": "aws:ses",
    "eventName": "x",
    "s3": {"bucket": {"name": "quarantine"}, "object": {"key": "incoming/x/a.csv"}},
}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "malformed_message"),
        ("{", "malformed_message"),
        ("[]", "malformed_message"),
        ("{}", "malformed_message"),
        ('{"Records": [7]}', "malformed_message"),
        ('{"Records": [{"eventSource": "aws:s3"}]}', "malformed_message"),
        (s3_event(Upload("elsewhere", "incoming/x/a.csv", "v1")), "foreign_bucket"),
        (
            s3_event(Upload("quarantine", "incoming/x/a", "v")).replace("aws:s3", "x"),
            "unknown_sender",
        ),
        (s3_event(Upload("quarantine", "incoming/x/a.csv", "gone")), "source_missing"),
        (s3_event(Upload("quarantine", f"incoming/x/{PAN}", "v1")), "pan_in_object_key"),
    ],
)
def test_what_cannot_be_worked_off_is_a_dead_letter_at_once(
    stage: Stage, body: str, reason: str
) -> None:
    assert stage.deliver(body, s3_event(stage.upload())) == NOTHING_FAILED
    assert stage.reasons == [reason]
    assert "committed" in stage.statuses


def test_a_pan_in_a_message_is_in_no_dead_letter(stage: Stage) -> None:
    stage.deliver(f"not json, but {PAN}", s3_event(Upload("quarantine", f"incoming/{PAN}", "v")))
    assert PAN not in json.dumps(stage.world.dead_letters.letters)
    assert [letter["message"] for letter in stage.world.dead_letters.letters] == [None, None]


def test_a_refused_file_is_a_dead_letter_that_can_be_replayed(stage: Stage) -> None:
    upload = stage.upload(folder="y")
    stage.deliver(s3_event(upload))
    assert stage.reasons == ["unknown_layout"]
    letter = stage.world.dead_letters.letters[0]
    stage.world.layouts.layouts["y"] = stage.world.layouts.layouts["x"]
    stage.deliver(json.dumps(letter["message"]))
    assert stage.statuses == ["committed"]


def test_only_the_message_in_trouble_is_delivered_again(stage: Stage) -> None:
    good, bad = stage.upload(), stage.upload()

    class Throttled(type(stage.world.quarantine)):  # type: ignore[misc]
        def find(self, key: str, version_id: str) -> Any:
            if version_id == bad.version_id:
                raise TransientError("throttled", "s3:HeadObject")
            return super().find(key, version_id)

    stage.world.quarantine.__class__ = Throttled
    answer = stage.deliver(s3_event(good), s3_event(bad), "{")
    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}
    assert stage.reasons == ["malformed_message"]
    assert stage.statuses == ["committed"]
    assert len(stage.seconds_postponed) == 1


def _throttle(*_: object) -> Any:
    raise TransientError("throttled", "dynamodb:PartiQLInsert")


def _deny(*_: object) -> Any:
    raise TransientError("access_denied", "dynamodb:PartiQLInsert")


def test_a_table_that_throttles_for_long_is_waited_for_for_longer(stage: Stage) -> None:
    stage.world.vault.insert_if_absent = _throttle  # type: ignore[method-assign]
    assert stage.deliver(s3_event(stage.upload()), receive_count=5) == NOTHING_FAILED
    (message,) = stage.sent()
    assert json.loads(message)["attempts"] == 5
    assert (stage.reasons, stage.statuses) == ([], [])
    for _ in range(work_queue.MAX_THROTTLED_ATTEMPTS):
        stage.deliver(message, receive_count=5)
        (message,) = stage.sent() or [""]
        if not message:
            break
    assert stage.reasons == ["throttled"]


def test_the_last_delivery_ends_in_a_dead_letter_with_the_reason(stage: Stage) -> None:
    stage.world.vault.insert_if_absent = _deny  # type: ignore[method-assign]
    event = s3_event(stage.upload())
    assert stage.deliver(event)["batchItemFailures"]
    assert stage.deliver(event, receive_count=5) == NOTHING_FAILED
    assert stage.reasons == ["access_denied"]
    assert stage.world.dead_letters.letters[0]["attempts"] == 5
    assert stage.statuses == ["failed"]


def test_a_file_that_needs_longer_is_handed_on_until_it_is_done(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = partial(read_delimited, block_bytes=50)
    monkeypatch.setitem(registry.READERS, "delimited", reader)
    pans = synthetic_pans(20, seed=41)
    messages = [s3_event(stage.upload("\n".join(["card", *pans, ""])))]
    while messages:
        assert stage.deliver(*messages, context=Context(milliseconds=1000)) == NOTHING_FAILED
        messages = stage.sent()
    (receipt,) = stage.world.tokenized.receipts.values()
    assert (receipt["status"], receipt["rows_written"]) == ("committed", 20)
    assert len(receipt["outputs"]) > 5


def test_messages_wait_longer_each_time_and_never_too_long(stage: Stage) -> None:
    stage.world.vault.insert_if_absent = _throttle  # type: ignore[method-assign]
    event = s3_event(stage.upload())
    for count in range(1, 5):
        stage.deliver(event, receive_count=count)
    assert len(stage.seconds_postponed) == 4
    for seconds, longest in zip(stage.seconds_postponed, POSTPONE_SECONDS, strict=True):
        assert longest / 2 <= seconds <= longest


class SpillingError(Exception):
    """An error of somebody else's code, with a card number in its text."""


def _spill(*_: object) -> Any:
    raise SpillingError(f"invalid value {PAN}")


def test_an_unexpected_error_shows_its_kind_and_place_and_nothing_it_says(
    stage: Stage, printed: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stage.world.vault.insert_if_absent = _spill  # type: ignore[method-assign]
    answer = stage.deliver(s3_event(stage.upload()))
    assert answer["batchItemFailures"]
    assert PAN not in printed.getvalue() + caplog.text
    assert "SpillingError at pipeline.minting:" in printed.getvalue()


def test_an_unexpected_error_ends_in_a_dead_letter_on_its_last_delivery(stage: Stage) -> None:
    stage.world.vault.insert_if_absent = _spill  # type: ignore[method-assign]
    assert stage.deliver(s3_event(stage.upload()), receive_count=5) == NOTHING_FAILED
    assert stage.reasons == ["unexpected"]
    assert PAN not in json.dumps(stage.world.dead_letters.letters)


def _throttled(*_: object) -> Any:
    raise TransientError("throttled", "sqs:SendMessage")


@pytest.mark.parametrize("fail", [_throttled, _spill])
@pytest.mark.parametrize("receive_count", [1, 5])
def test_a_message_whose_dead_letter_cannot_be_sent_is_delivered_again(
    stage: Stage, printed: io.StringIO, fail: Any, receive_count: int
) -> None:
    stage.world.dead_letters.send = fail  # type: ignore[method-assign]
    bodies = ("{", s3_event(stage.upload(folder="y")), s3_event(stage.upload()))
    answer = stage.deliver(*bodies, receive_count=receive_count)
    failed = [each["itemIdentifier"] for each in answer["batchItemFailures"]]
    assert failed == ["message-0", "message-1"]
    assert "committed" in stage.statuses
    assert len(stage.seconds_postponed) == 2
    assert PAN not in printed.getvalue()


@pytest.mark.parametrize("fail", [_deny, _spill])
def test_a_last_delivery_ends_in_its_dead_letter_even_when_the_ledger_is_what_fails(
    stage: Stage, printed: io.StringIO, fail: Any
) -> None:
    stage.world.ledger.start = fail  # type: ignore[method-assign]
    stage.world.ledger.fail = fail  # type: ignore[method-assign]
    assert stage.deliver(s3_event(stage.upload()), receive_count=5) == NOTHING_FAILED
    assert stage.reasons == ["access_denied" if fail is _deny else "unexpected"]
    assert PAN not in printed.getvalue() + json.dumps(stage.world.dead_letters.letters)


def test_a_job_that_was_decided_before_its_last_delivery_failed_is_carried_out(
    stage: Stage,
) -> None:
    event, publish = s3_event(stage.upload()), stage.world.tokenized.publish
    stage.world.tokenized.publish = _deny  # type: ignore[method-assign]
    for count in range(1, 5):
        assert stage.deliver(event, receive_count=count)["batchItemFailures"]
    assert stage.deliver(event, receive_count=5) == NOTHING_FAILED
    assert (stage.reasons, stage.statuses) == (["access_denied"], [])
    stage.world.tokenized.publish = publish  # type: ignore[method-assign]
    stage.deliver(json.dumps(stage.world.dead_letters.letters[0]["message"]))
    assert stage.statuses == ["committed"]
    assert len(stage.world.vault.rows) == 1


def test_each_log_line_names_its_own_job_or_none(stage: Stage, printed: io.StringIO) -> None:
    first, second = stage.upload(), stage.upload(folder="y")
    stage.deliver("{", s3_event(first), "[]", s3_event(second), "{}")
    logs = [json.loads(line) for line in printed.getvalue().splitlines()]
    assert [line.get("job_id") for line in logs] == [None, first.job_id, None, second.job_id, None]


def test_one_message_can_ask_for_several_uploads(stage: Stage) -> None:
    good, bad, other = stage.upload(), stage.upload(folder="y"), stage.upload()
    records = [json.loads(s3_event(each))["Records"][0] for each in (bad, good, other)]
    elsewhere = json.loads(s3_event(Upload("elsewhere", "incoming/x/a", "v")))["Records"][0]
    body = json.dumps({"Records": [elsewhere, *records]})
    assert stage.deliver(body) == NOTHING_FAILED
    assert sorted(stage.statuses) == ["committed", "committed", "failed"]
    assert sorted(stage.reasons) == ["foreign_bucket", "unknown_layout"]


def test_nothing_of_a_file_is_printed_anywhere_even_when_everything_logs_and_errors_spill(
    stage: Stage,
    printed: io.StringIO,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    scanner = LeakScanner([PAN.encode(), OTHER_PAN.encode()], card_like=False)
    rows = f"card\n{PAN}\n{OTHER_PAN}\n{OTHER_PAN[:-1]}x\n4.11111E+15\n"
    spilling = [
        (stage.world.ledger, "start"),
        (stage.world.quarantine, "find"),
        (stage.world.data_keys, "get"),
        (stage.world.fingerprints, "look_up"),
        (stage.world.data_keys, "insert_if_absent"),
        (stage.world.vault, "insert_if_absent"),
        (stage.world.fingerprints, "claim"),
        (stage.world.tokenized, "publish"),
        (stage.world.tokenized, "put_receipt"),
        (stage.world.quarantine, "mark_tokenized"),
        (stage.world.dead_letters, "send"),
    ]
    for port, method in spilling:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(port, method, _spill)
            stage.deliver(s3_event(stage.upload(rows)), s3_event(stage.upload(folder="y")), PAN)
    stage.deliver(s3_event(stage.upload(rows)), receive_count=5)
    out, error = capfd.readouterr()
    shown = "\n".join([printed.getvalue(), caplog.text, out, error])
    assert "SpillingError" in shown
    assert scanner.leaks_in(shown.encode()) == []
    assert scanner.leaks_in(json.dumps(stage.world.dead_letters.letters).encode()) == []


NOT_SQS: list[Any] = [
    {"Records": ["x"]},
    {"Records": [{}]},
    {"Records": [json.loads(s3_event(Upload("quarantine", "incoming/x/a", "v")))["Records"][0]]},
    {"Records": [*sqs_event("{}")["Records"], {"eventSource": "aws:sns"}]},
    {"Records": {}},
]


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"Records": "x"}, [], None, "x", *NOT_SQS])
def test_what_is_no_sqs_event_is_refused(stage: Stage, event: Any) -> None:
    with pytest.raises(PermanentError, match="malformed_event"):
        work_queue.handler(event, Context())


ALLOWED_LOG_FIELDS = {
    "level",
    "location",
    "message",
    "timestamp",
    "service",
    "cold_start",
    "function_name",
    "function_memory_size",
    "function_arn",
    "function_request_id",
    "job_id",
    "reason",
    "detail",
    "rows_read",
    "rows_written",
    "rows_rejected",
    "xray_trace_id",
}


def test_logs_and_metrics_hold_ids_codes_and_counts_only(
    stage: Stage, printed: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    body = f"card\n{PAN}\n{PAN[:-1]}x\n"
    stage.deliver(s3_event(stage.upload(body)), s3_event(stage.upload(folder="y")), f"{{{PAN}")
    logs = [json.loads(line) for line in printed.getvalue().splitlines()]
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {field for line in logs for field in line} <= ALLOWED_LOG_FIELDS
    assert {line["message"] for line in logs} == {"committed", "dead letter"}
    (metric,) = metrics
    values = {name: value for name, value in metric.items() if name not in ("_aws", "service")}
    assert all(isinstance(each, float) for value in values.values() for each in value)
    assert (metric["RowsRead"], metric["DeadLetters"]) == ([2.0], [1.0, 1.0])
    assert PAN not in json.dumps(logs + metrics)


def test_settings_that_are_missing_are_named() -> None:
    with pytest.raises(PermanentError, match="PANTOK_VAULT_TABLE"):
        Settings.from_environment({"PANTOK_JOBS_TABLE": "jobs"})
