"""The adapters of S3, SQS and KMS on moto, and of all services when calls go wrong."""

from __future__ import annotations

import io
import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from moto import mock_aws

from pipeline.aws import faults, pump, sqs_queue
from pipeline.aws.connection import Endpoint
from pipeline.aws.dynamodb_access import DynamoDBVaultReader
from pipeline.aws.dynamodb_calls import MAX_THROTTLED_TRIES, DynamoDBCalls
from pipeline.aws.dynamodb_ledger import DynamoDBLedger
from pipeline.aws.kms_keys import KMSKeys
from pipeline.aws.layout_catalogue import UriLayouts, built_in_names
from pipeline.aws.partiql import MAX_ROUNDS
from pipeline.aws.pump import Pump
from pipeline.aws.s3_objects import S3Quarantine, S3Tokenized
from pipeline.aws.session import CountedSession
from pipeline.aws.sqs_queue import SQSDeadLetterOffice, SQSDeadLetters, SQSWorkQueue
from pipeline.core.fingerprints import FINGERPRINT_BYTES
from pipeline.core.messages import Failure, dead_letter_of_upload
from pipeline.errors import LayoutError, PermanentError, TransientError
from pipeline.model import SealedPan, Upload, WrappedDataKey
from pipeline.testing import A_MOMENT, s3_event
from tests.vaults import Claim, fingerprints_in_dynamodb, vault_in_dynamodb

BUCKET = "bucket"
CONTEXT = {"purpose": "vault", "data_key_id": "dk_1", "job_id": "job_1", "scope": "default"}


@pytest.fixture
def session() -> Iterator[CountedSession]:
    with mock_aws():
        yield CountedSession()


@pytest.fixture
def s3(session: CountedSession) -> Any:
    client = session.client("s3")
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return client


@pytest.fixture
def keys(session: CountedSession) -> KMSKeys:
    kms = session.client("kms")
    return KMSKeys(kms, kms.create_key()["KeyMetadata"]["Arn"])


# KMS


def test_a_data_key_unwraps_under_its_own_context(keys: KMSKeys) -> None:
    data_key, wrapped = keys.generate_data_key("dk_1", CONTEXT, "now")
    assert len(data_key.plaintext) == 32
    assert keys.unwrap(wrapped) == data_key
    assert data_key.plaintext not in wrapped.wrapped_key


def _changed(record: WrappedDataKey, **changes: Any) -> WrappedDataKey:
    fields = {name: getattr(record, name) for name in record.__slots__}
    return WrappedDataKey(**(fields | changes))


@pytest.mark.parametrize("name", sorted(CONTEXT))
def test_a_data_key_does_not_unwrap_under_another_context(keys: KMSKeys, name: str) -> None:
    _, wrapped = keys.generate_data_key("dk_1", CONTEXT, "now")
    with pytest.raises(PermanentError, match="data_key_broken"):
        keys.unwrap(_changed(wrapped, encryption_context=CONTEXT | {name: "other"}))


def test_a_tampered_data_key_does_not_unwrap(keys: KMSKeys) -> None:
    _, wrapped = keys.generate_data_key("dk_1", CONTEXT, "now")
    flipped = wrapped.wrapped_key[:-1] + bytes([wrapped.wrapped_key[-1] ^ 1])
    with pytest.raises(PermanentError, match="data_key_broken"):
        keys.unwrap(_changed(wrapped, wrapped_key=flipped))


def test_a_plaintext_key_is_in_no_repr(keys: KMSKeys) -> None:
    data_key, wrapped = keys.generate_data_key("dk_1", CONTEXT, "now")
    assert str(data_key.plaintext) not in repr((data_key, wrapped))


# S3: quarantine


KEYS = ["incoming/x/a b.csv", "incoming/x/a+b.csv", "incoming/ü/é@?#%&.csv", "incoming/x/=;,.csv"]


@pytest.mark.parametrize("key", KEYS)
def test_the_version_that_was_uploaded_is_read_even_when_a_newer_one_is_there(
    s3: Any, key: str
) -> None:
    old = s3.put_object(Bucket=BUCKET, Key=key, Body=b"old")["VersionId"]
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"newer")
    quarantine = S3Quarantine(s3, BUCKET)
    source = quarantine.find(key, old)
    with quarantine.open(source) as stream:
        assert stream.read() == b"old"
    assert source.size_bytes == 3


def test_a_source_that_was_deleted_is_missing(s3: Any) -> None:
    version = s3.put_object(Bucket=BUCKET, Key="incoming/a", Body=b"x")["VersionId"]
    quarantine = S3Quarantine(s3, BUCKET)
    source = quarantine.find("incoming/a", version)
    s3.delete_object(Bucket=BUCKET, Key="incoming/a", VersionId=version)
    with pytest.raises(PermanentError, match="source_missing"):
        quarantine.find("incoming/a", version)
    with pytest.raises(PermanentError, match="source_missing"), quarantine.open(source):
        pass
    quarantine.mark_tokenized("incoming/a", version)


def test_a_tokenized_source_is_tagged(s3: Any) -> None:
    version = s3.put_object(Bucket=BUCKET, Key="incoming/a", Body=b"x")["VersionId"]
    S3Quarantine(s3, BUCKET).mark_tokenized("incoming/a", version)
    tags = s3.get_object_tagging(Bucket=BUCKET, Key="incoming/a", VersionId=version)["TagSet"]
    assert tags == [{"Key": "pantok", "Value": "tokenized"}]


# S3: tokenized


def _keys(s3: Any) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


class CrashError(BaseException):
    """The end of a worker."""


@pytest.mark.parametrize("error", [ValueError, CrashError])
def test_a_part_that_was_not_finished_does_not_exist(s3: Any, error: type[BaseException]) -> None:
    def write_and_fail() -> None:
        with S3Tokenized(s3, BUCKET, BUCKET).stage("job", "attempt", 0) as sink:
            sink.write(b"some")
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert _keys(s3) == []
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)


def test_publishing_twice_is_harmless_even_after_the_staged_part_is_gone(s3: Any) -> None:
    tokenized = S3Tokenized(s3, BUCKET, BUCKET)
    with tokenized.stage("job", "attempt", 0) as sink:
        sink.write(b"part")
    staged, uri = tokenized.staged_uri("job", "attempt", 0), tokenized.part_uri("x", "d", "job", 0)
    tokenized.publish(staged, uri)
    tokenized.publish(staged, uri)
    tokenized.discard_staged([staged])
    tokenized.publish(staged, uri)
    tokenized.discard_staged([staged])
    assert _keys(s3) == ["data/layout=x/date=d/job/part-00000.parquet"]


def test_publishing_what_never_was_is_an_error(s3: Any) -> None:
    tokenized = S3Tokenized(s3, BUCKET, BUCKET)
    with pytest.raises(TransientError):
        tokenized.publish(tokenized.staged_uri("job", "a", 0), tokenized.part_uri("x", "d", "j", 0))


def _receipt(status: str, note: str = "") -> dict[str, Any]:
    return {"job_id": "job", "status": status, "note": note}


def test_a_committed_receipt_stays_and_a_failed_one_gives_way(s3: Any) -> None:
    tokenized = S3Tokenized(s3, BUCKET, BUCKET)
    assert tokenized.get_receipt("job") is None
    for status in ("failed", "failed", "committed", "failed"):
        tokenized.put_receipt(_receipt(status, status))
    tokenized.put_receipt(_receipt("committed", "again"))
    assert tokenized.get_receipt("job") == _receipt("committed", "committed")


def test_a_failure_that_comes_late_does_not_replace_a_committed_receipt(s3: Any) -> None:
    late, tokenized = S3Tokenized(s3, BUCKET, BUCKET), S3Tokenized(s3, BUCKET, BUCKET)
    read = late._read_receipt

    def read_and_be_overtaken(key: str) -> Any:
        found = read(key)
        tokenized.put_receipt(_receipt("committed"))
        return found

    late._read_receipt = read_and_be_overtaken  # type: ignore[method-assign]
    late.put_receipt(_receipt("failed"))
    assert tokenized.get_receipt("job") == _receipt("committed")


# Layouts


LAYOUT = b'name = "x"\n[columns.card]\nrole = "pan"\n'


def test_a_deployments_own_layout_goes_before_a_built_in_one(s3: Any) -> None:
    layouts = UriLayouts(f"s3://{BUCKET}/layouts", s3)
    assert layouts.get("card-present").description
    own = LAYOUT.replace(b'"x"', b'"card-present"')
    s3.put_object(Bucket=BUCKET, Key="layouts/card-present.toml", Body=own)
    assert layouts.get("card-present").description == ""


def test_every_built_in_layout_is_valid(s3: Any) -> None:
    layouts = UriLayouts(f"s3://{BUCKET}/layouts", s3)
    assert [layouts.get(name).name for name in built_in_names()] == built_in_names()


def test_layouts_can_live_in_a_folder(s3: Any, tmp_path: Any) -> None:
    (tmp_path / "x.toml").write_bytes(LAYOUT)
    assert UriLayouts(str(tmp_path), s3).get("x").pan_columns == ("card",)


@pytest.mark.parametrize("name", ["y", "../x", "", "X", "x/y", "x" * 80, "é"])
def test_a_layout_that_is_not_there_is_unknown(s3: Any, name: str) -> None:
    with pytest.raises(PermanentError, match="unknown_layout"):
        UriLayouts(f"s3://{BUCKET}/layouts", s3).get(name)


def test_a_layout_of_another_name_than_its_file_is_refused(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="layouts/y.toml", Body=LAYOUT)
    with pytest.raises(LayoutError, match="file name"):
        UriLayouts(f"s3://{BUCKET}/layouts", s3).get("y")


# The ledger


@pytest.fixture
def ledger(session: CountedSession) -> tuple[Any, DynamoDBLedger]:
    dynamodb = session.client("dynamodb")
    dynamodb.create_table(
        TableName="jobs",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "job_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "job_id", "AttributeType": "S"}],
    )
    return dynamodb, DynamoDBLedger(dynamodb, "jobs")


def test_many_jobs_are_asked_for_in_few_calls_and_unknown_ones_are_left_out(
    session: CountedSession, ledger: tuple[Any, DynamoDBLedger]
) -> None:
    jobs = [f"job_{number}" for number in range(150)]
    for job_id in jobs[::2]:
        ledger[1].start(job_id, {"uri": "s3://q/a", "layout": "x"}, A_MOMENT)
    found = list(ledger[1].get_all(jobs))
    assert {item["job_id"] for item in found} == set(jobs[::2])
    assert {(item["status"], item["attempts"]) for item in found} == {("running", 1)}
    assert session.snapshot()["dynamodb"]["BatchGetItem"] == 2


def test_jobs_that_dynamodb_left_out_are_asked_for_again(no_pause: None) -> None:
    def answer(body: Any) -> tuple[int, dict[str, Any]]:
        keys = body["RequestItems"]["jobs"]["Keys"]
        rest = {"jobs": {"Keys": keys[1:]}} if keys[1:] else {}
        return 200, {"Responses": {"jobs": keys[:1]}, "UnprocessedKeys": rest}

    client, script = _scripted(answer, answer, answer)
    found = [item["job_id"] for item in DynamoDBLedger(client, "jobs").get_all(["a", "b", "c"])]
    assert found == ["a", "b", "c"]
    asked = [len(request["RequestItems"]["jobs"]["Keys"]) for request in script.requests]
    assert asked == [3, 2, 1]


# SQS


@pytest.fixture
def queues(session: CountedSession) -> tuple[Any, str, str]:
    sqs = session.client("sqs")
    work = sqs.create_queue(QueueName="work")["QueueUrl"]
    return sqs, work, sqs.create_queue(QueueName="dead")["QueueUrl"]


def _letter(reason: str = "unknown_layout") -> Any:
    upload = Upload("quarantine", "incoming/x/a b.csv", "v1")
    return dead_letter_of_upload(upload, Failure(reason, "", 1, A_MOMENT))


def _bodies(sqs: Any, url: str) -> list[str]:
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["Body"] for message in found.get("Messages", [])]


def test_a_letter_is_replayed_as_the_message_that_it_holds(queues: tuple[Any, str, str]) -> None:
    sqs, work, dead = queues
    SQSDeadLetters(sqs, dead).send(_letter())
    office = SQSDeadLetterOffice(sqs, dead, work)
    with office.letters() as held:
        office.replay(held[0])
    replayed = [json.loads(body) for body in _bodies(sqs, work)]
    assert replayed == [_letter()["message"] | {"attempts": 1}]
    assert _bodies(sqs, dead) == []


def test_letters_that_were_looked_at_are_there_at_once_again(
    queues: tuple[Any, str, str],
) -> None:
    sqs, work, dead = queues
    for _ in range(12):
        SQSDeadLetters(sqs, dead).send(_letter())
    office = SQSDeadLetterOffice(sqs, dead, work)
    for _ in range(2):
        with office.letters() as held:
            assert len(held) == 12


def test_hundreds_of_letters_are_each_listed_once(queues: tuple[Any, str, str]) -> None:
    sqs, work, dead = queues
    for _ in range(250):
        SQSDeadLetters(sqs, dead).send(_letter())
    with SQSDeadLetterOffice(sqs, dead, work).letters() as held:
        assert len({each.message_id for each in held}) == len(held) == 250


def test_letters_that_do_not_stay_hidden_do_not_keep_the_list_going(
    queues: tuple[Any, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sqs, work, dead = queues
    SQSDeadLetters(sqs, dead).send(_letter())
    monkeypatch.setattr(sqs_queue, "HELD_SECONDS", 0)
    with SQSDeadLetterOffice(sqs, dead, work).letters() as held:
        assert len(held) == 1


def test_a_replay_that_is_cut_off_leaves_the_letter(queues: tuple[Any, str, str]) -> None:
    sqs, work, dead = queues
    SQSDeadLetters(sqs, dead).send(_letter())
    office = SQSDeadLetterOffice(sqs, dead, work)

    def cut_off(**_: object) -> None:
        raise CrashError

    sqs.meta.events.register("before-call.sqs.DeleteMessage", cut_off)
    with pytest.raises(CrashError), office.letters() as held:
        office.replay(held[0])
    sqs.meta.events.unregister("before-call.sqs.DeleteMessage", cut_off)
    with office.letters() as held:
        assert [each.letter["reason"] for each in held] == ["unknown_layout"]


def test_a_message_that_sqs_moved_by_itself_says_that_its_worker_died(
    queues: tuple[Any, str, str],
) -> None:
    sqs, work, dead = queues
    upload = Upload("quarantine", "incoming/x/a.csv", "v1")
    sqs.send_message(QueueUrl=dead, MessageBody=s3_event(upload))
    office = SQSDeadLetterOffice(sqs, dead, work)
    with office.letters() as held:
        (letter,) = held
        assert (letter.letter["reason"], letter.letter["job_id"]) == ("worker_died", upload.job_id)
        office.replay(letter)
    assert len(_bodies(sqs, work)) == 1


def test_a_letter_without_its_message_cannot_be_replayed(queues: tuple[Any, str, str]) -> None:
    sqs, work, dead = queues
    sqs.send_message(QueueUrl=dead, MessageBody="not json")
    office = SQSDeadLetterOffice(sqs, dead, work)
    with office.letters() as held, pytest.raises(PermanentError, match="not_replayable"):
        office.replay(held[0])
    assert _bodies(sqs, dead) == ["not json"]


def test_a_postponed_message_stays_hidden(queues: tuple[Any, str, str]) -> None:
    sqs, work, _ = queues
    sqs.send_message(QueueUrl=work, MessageBody="x")
    message = sqs.receive_message(QueueUrl=work, VisibilityTimeout=30)["Messages"][0]
    SQSWorkQueue(sqs, work).postpone(message["ReceiptHandle"], 300)
    assert _bodies(sqs, work) == []


def test_the_depth_of_a_queue_counts_waiting_and_delayed_ones_apart_from_those_in_flight(
    queues: tuple[Any, str, str],
) -> None:
    sqs, work, _ = queues
    assert SQSWorkQueue(sqs, work).depth() == (0, 0)
    for delay_seconds in (0, 0, 0, 60):
        sqs.send_message(QueueUrl=work, MessageBody="x", DelaySeconds=delay_seconds)
    sqs.receive_message(QueueUrl=work, VisibilityTimeout=30)
    assert SQSWorkQueue(sqs, work).depth() == (3, 1)


def test_messages_of_any_number_are_all_in_the_queue(queues: tuple[Any, str, str]) -> None:
    sqs, work, _ = queues
    SQSWorkQueue(sqs, work).send_all([{"chunk": at} for at in range(21)])
    received: list[int] = []
    while found := sqs.receive_message(QueueUrl=work, MaxNumberOfMessages=10).get("Messages"):
        received += [json.loads(message["Body"])["chunk"] for message in found]
    assert sorted(received) == list(range(21))


def test_a_message_that_sqs_does_not_take_is_not_passed_over(
    queues: tuple[Any, str, str],
) -> None:
    sqs, work, _ = queues

    def refuse_one(parsed: dict[str, Any], **_: object) -> None:
        refused = parsed["Successful"].pop()["Id"]
        said = {"Id": refused, "SenderFault": False, "Code": "InternalError", "Message": "secret"}
        parsed["Failed"] = [said]

    sqs.meta.events.register("after-call.sqs.SendMessageBatch", refuse_one)
    with pytest.raises(TransientError) as raised:
        SQSWorkQueue(sqs, work).send_all([{"chunk": 0}, {"chunk": 1}])
    assert raised.value.code == "aws_error"
    assert "secret" not in str(raised.value)


# Calls that go wrong, below the SDK's own retries


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults.time, "sleep", lambda _: None)
    monkeypatch.setattr(pump, "sleep", lambda _: None)
    monkeypatch.setattr(faults.pauses, "__defaults__", (lambda _: None,))


class Script:
    """Answers DynamoDB's calls by a list of functions instead of a service."""

    def __init__(self, *answers: Callable[[Any], Any]) -> None:
        self.requests: list[Any] = []
        self._answers = list(answers)

    def __call__(self, request: Any, **_: object) -> Any:
        body = json.loads(request.body)
        self.requests.append(body)
        answer = self._answers.pop(0)(body)
        if isinstance(answer, Exception):
            raise answer
        status, document = answer
        sent = document if isinstance(document, bytes) else json.dumps(document).encode()
        raw = io.BytesIO(sent)
        raw.stream = lambda **_: iter([raw.getvalue()])  # type: ignore[attr-defined]
        return AWSResponse("http://scripted", status, {}, raw)


def _scripted(*answers: Callable[[Any], Any]) -> tuple[Any, Script]:
    client, script = CountedSession().client("dynamodb"), Script(*answers)
    client.meta.events.register("before-send.dynamodb", script)
    return client, script


def _codes(*codes: str) -> Callable[[Any], Any]:
    errors = [{"Error": {"Code": code, "Message": "secret"}} if code else {} for code in codes]
    return lambda _: (200, {"Responses": errors})


def _refusal(code: str, status: int = 400) -> Callable[[Any], Any]:
    return lambda _: (status, {"__type": f"com.amazonaws#{code}", "message": "secret"})


def _row(token: str) -> SealedPan:
    return SealedPan(token, b"sealed", "dk", "now", {"last4": "1111"})


def test_only_the_statements_that_failed_are_sent_again(no_pause: None) -> None:
    client, script = _scripted(
        _codes("", "ThrottlingError", "DuplicateItem", "InternalServerError"),
        _codes("", ""),
    )
    vault_in_dynamodb(client, "vault").insert_if_absent([_row(name) for name in "abcd"])
    again = [each["Parameters"][0]["S"] for each in script.requests[1]["Statements"]]
    assert again == ["b", "d"]


def test_statements_that_stay_throttled_are_an_error_in_the_end(no_pause: None) -> None:
    client, script = _scripted(*[_codes("ThrottlingError")] * MAX_ROUNDS)
    with pytest.raises(TransientError, match="throttled: dynamodb:PartiQLInsert"):
        vault_in_dynamodb(client, "vault").insert_if_absent([_row("a")])
    assert len(script.requests) == MAX_ROUNDS


def test_a_statement_that_is_refused_is_an_error_at_once(no_pause: None) -> None:
    client, script = _scripted(_codes("", "AccessDenied"))
    with pytest.raises(TransientError, match="access_denied"):
        vault_in_dynamodb(client, "vault").insert_if_absent([_row("a"), _row("b")])
    assert len(script.requests) == 1


def test_a_call_whose_reply_is_lost_ends_with_our_own_rows(no_pause: None) -> None:
    lost = ReadTimeoutError(endpoint_url="http://scripted")
    client, script = _scripted(lambda _: lost, _codes("DuplicateItem"))
    vault_in_dynamodb(client, "vault").insert_if_absent([_row("a")])
    assert script.requests[0] == script.requests[1]


def test_keys_that_were_not_read_are_asked_for_again(no_pause: None) -> None:
    def partly(body: Any) -> Any:
        keys = body["RequestItems"]["fp"]["Keys"]
        items = [{"fingerprint": keys[0]["fingerprint"], "token": {"S": "tok_1"}}]
        return 200, {"Responses": {"fp": items}, "UnprocessedKeys": {"fp": {"Keys": keys[1:]}}}

    client, script = _scripted(partly, partly)
    one, two = (bytes([at]) * FINGERPRINT_BYTES for at in (1, 2))
    found = fingerprints_in_dynamodb(client, "fp").look_up([one, two])
    assert found == {one: "tok_1", two: "tok_1"}
    assert len(script.requests) == 2


def test_sealed_pans_that_were_not_read_are_asked_for_again(no_pause: None) -> None:
    def partly(body: Any) -> Any:
        keys = body["RequestItems"]["vault"]["Keys"]
        items = [_wired(keys[0]["token"]["S"])]
        return 200, {
            "Responses": {"vault": items},
            "UnprocessedKeys": {"vault": {"Keys": keys[1:]}},
        }

    client, script = _scripted(partly, partly)
    rows = _vault_reader(client).get(["a", "b"])
    assert {token: row.ciphertext for token, row in rows.items()} == {
        "a": b"sealed",
        "b": b"sealed",
    }
    assert [len(each["RequestItems"]["vault"]["Keys"]) for each in script.requests] == [2, 1]


def test_a_caller_does_not_wait_for_sealed_pans_that_never_come(
    no_pause: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(body: Any) -> Any:
        return 200, {"Responses": {}, "UnprocessedKeys": body["RequestItems"]}

    monkeypatch.setattr("pipeline.aws.dynamodb_access.MAX_WAIT_SECONDS", 0.0)
    client, script = _scripted(nothing)
    with pytest.raises(TransientError, match="throttled"):
        _vault_reader(client).get(["a"])
    assert len(script.requests) == 1


def _vault_reader(client: Any) -> DynamoDBVaultReader:
    calls = DynamoDBCalls(client, CountedSession().credentials)
    return DynamoDBVaultReader(calls, Pump(calls.connect), "vault")


def _wired(token: str) -> Any:
    """An item as DynamoDB sends it."""
    return {
        "token": {"S": token},
        "ciphertext": {"B": b64encode(b"sealed").decode()},
        "data_key_id": {"S": "dk"},
        "created_at": {"S": "now"},
        "metadata": {"M": {"last4": {"S": "1111"}}},
    }


DYNAMODB_HOST = "dynamodb.us-east-1.amazonaws.com"


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@127.0.0.1:9")


def _connects(
    monkeypatch: pytest.MonkeyPatch, config: Config | None = None
) -> list[tuple[str, int]]:
    """Whom bulk calls connect to."""
    reached: list[tuple[str, int]] = []
    monkeypatch.setattr(Endpoint, "connect", lambda to: reached.append((to.host, to.port)))
    client = boto3.Session().client("dynamodb", region_name="us-east-1", config=config)
    DynamoDBCalls(client, CountedSession().credentials).connect()
    return reached


def test_bulk_calls_do_not_go_past_a_proxy(monkeypatch: pytest.MonkeyPatch, proxied: None) -> None:
    with pytest.raises(TransientError) as raised:
        _connects(monkeypatch)
    assert raised.value.code == "proxy_not_supported"
    assert DYNAMODB_HOST in raised.value.detail
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("excepted", [DYNAMODB_HOST, ".amazonaws.com", "*"])
def test_bulk_calls_connect_where_the_proxy_is_not_meant(
    excepted: str, monkeypatch: pytest.MonkeyPatch, proxied: None
) -> None:
    monkeypatch.setenv("NO_PROXY", excepted)
    assert _connects(monkeypatch) == [(DYNAMODB_HOST, 443)]


def test_what_a_client_is_told_of_proxies_counts_for_its_bulk_calls(
    monkeypatch: pytest.MonkeyPatch, proxied: None
) -> None:
    assert _connects(monkeypatch, Config(proxies={})) == [(DYNAMODB_HOST, 443)]
    monkeypatch.delenv("HTTPS_PROXY")
    with pytest.raises(TransientError, match="proxy_not_supported"):
        _connects(monkeypatch, Config(proxies={"https": "http://127.0.0.1:9"}))
    assert _connects(monkeypatch) == [(DYNAMODB_HOST, 443)]


@pytest.mark.parametrize("results", [[], [{}], [{}, {}, {}]])
def test_statements_without_a_result_each_are_not_taken_for_done(
    results: list[Any], no_pause: None
) -> None:
    client, _ = _scripted(lambda _: (200, {"Responses": results}))
    with pytest.raises(TransientError, match="aws_error"):
        vault_in_dynamodb(client, "vault").insert_if_absent([_row("a"), _row("b")])


@pytest.mark.parametrize("document", [None, [], "<html>", {"__type": "InternalServerError"}])
def test_a_success_without_its_content_is_tried_again(document: Any, no_pause: None) -> None:
    client, script = _scripted(lambda _: (200, document), _codes(""))
    vault_in_dynamodb(client, "vault").insert_if_absent([_row("a")])
    assert len(script.requests) == 2


def test_a_success_that_is_cut_off_is_no_success(no_pause: None) -> None:
    client, script = _scripted(lambda _: (200, b'{"Responses":[{'), _codes(""))
    vault_in_dynamodb(client, "vault").insert_if_absent([_row("a")])
    assert len(script.requests) == 2


def test_whoever_loses_a_claim_reads_the_winner_consistently(no_pause: None) -> None:
    def winner(body: Any) -> Any:
        key = body["RequestItems"]["fp"]["Keys"][0]["fingerprint"]
        return 200, {"Responses": {"fp": [{"fingerprint": key, "token": {"S": "tok_winner"}}]}}

    client, script = _scripted(_codes("DuplicateItem"), winner)
    held = fingerprints_in_dynamodb(client, "fp").claim([Claim(b"one", "tok_loser")])
    assert held == {b"one": "tok_winner"}
    assert script.requests[1]["RequestItems"]["fp"]["ConsistentRead"] is True


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (_refusal("ProvisionedThroughputExceededException"), "throttled"),
        (_refusal("AccessDeniedException"), "access_denied"),
        (_refusal("ValidationException"), "aws_error"),
        (_refusal("InternalServerError", 500), "aws_error"),
        (lambda _: ConnectTimeoutError(endpoint_url="http://secret"), "aws_unreachable"),
    ],
)
def test_what_aws_says_stays_out_of_our_errors(
    no_pause: None, answer: Callable[[Any], Any], code: str
) -> None:
    client, _ = _scripted(*[answer] * MAX_THROTTLED_TRIES)
    with pytest.raises(TransientError) as raised:
        vault_in_dynamodb(client, "vault").insert_if_absent([_row("a")])
    assert raised.value.code == code
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or raised.value.__suppress_context__


def test_writers_that_race_for_a_receipt_leave_one_committed_one(s3: Any) -> None:
    notes = [str(at) for at in range(6)]
    writers = [
        threading.Thread(
            target=S3Tokenized(s3, BUCKET, BUCKET).put_receipt, args=[_receipt("committed", note)]
        )
        for note in notes
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    receipt = S3Tokenized(s3, BUCKET, BUCKET).get_receipt("job")
    assert receipt is not None
    assert receipt["note"] in notes
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix="receipts/")["Versions"]
    assert len(versions) == 1


FOLDERS = b'"incoming/partner-x/" = "x"\n'
KEY = "incoming/partner-x/a.csv"


def test_a_layout_and_the_rules_for_folders_hold_for_the_next_file(s3: Any) -> None:
    layouts = UriLayouts(f"s3://{BUCKET}/layouts", s3)
    assert layouts.name_for(KEY) == "partner-x"
    s3.put_object(Bucket=BUCKET, Key="layouts/folders.toml", Body=FOLDERS)
    s3.put_object(Bucket=BUCKET, Key="layouts/x.toml", Body=LAYOUT)
    assert layouts.name_for(KEY) == "x"
    assert layouts.get("x").version == ""
    s3.put_object(Bucket=BUCKET, Key="layouts/x.toml", Body=b"version = 2\n" + LAYOUT)
    assert layouts.get("x").version == "2"
    s3.delete_object(Bucket=BUCKET, Key="layouts/folders.toml")
    assert layouts.name_for(KEY) == "partner-x"
    s3.put_object(Bucket=BUCKET, Key="layouts/folders.toml", Body=b"broken")
    with pytest.raises(LayoutError):
        layouts.name_for(KEY)


def test_a_document_that_has_not_changed_is_not_sent_again(s3: Any) -> None:
    layouts = UriLayouts(f"s3://{BUCKET}/layouts", s3)
    s3.put_object(Bucket=BUCKET, Key="layouts/x.toml", Body=LAYOUT)
    first = layouts.get("x")
    answers: list[int] = []
    s3.meta.events.register(
        "before-parse.s3.GetObject",
        lambda response_dict, **_: answers.append(response_dict["status_code"]),
    )
    assert layouts.get("x") is first
    assert answers == [304]


def test_repairs_and_reserved_names_are_not_looked_up(session: CountedSession, s3: Any) -> None:
    layouts = UriLayouts(f"s3://{BUCKET}/layouts", s3)
    before = dict(session.snapshot()["s3"])
    assert layouts.name_for(f"incoming/x/repairs-of/job_{'a' * 26}/r.jsonl") == "x"
    for name in ("folders", "auto", "../x"):
        with pytest.raises(PermanentError, match="unknown_layout"):
            layouts.get(name)
    with pytest.raises(PermanentError, match="pan_in_object_key"):
        layouts.name_for("incoming/4111111111111111/a.csv")
    assert session.snapshot()["s3"] == before


def test_rules_for_folders_can_live_in_a_folder(s3: Any, tmp_path: Any) -> None:
    layouts = UriLayouts(str(tmp_path), s3)
    assert layouts.name_for(KEY) == "partner-x"
    (tmp_path / "folders.toml").write_bytes(FOLDERS)
    assert layouts.name_for(KEY) == "x"
