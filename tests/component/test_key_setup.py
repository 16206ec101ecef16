"""The fingerprint key's custom resource: KMS on moto, the answer over a real socket."""

import http.server
import json
import threading
import urllib.error
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from pipeline.errors import PermanentError
from pipeline.handlers import key_setup

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
CONTEXT = {"purpose": "fingerprint", "data_key_id": "fingerprint-1"}
NO_SUCH_KEY = "aws_error: kms:GenerateDataKeyWithoutPlaintext: NotFoundException"
ALTERED_CONTEXTS = [
    {**CONTEXT, "purpose": "vault"},
    {**CONTEXT, "data_key_id": "fingerprint-2"},
    {"purpose": "fingerprint"},
]


class DataKeysTable:
    """Stands in for DynamoDB: PartiQL INSERT as AWS does it, which moto does not."""

    def __init__(self, name: str = "data-keys") -> None:
        self.name = name
        self.rows: dict[str, dict[str, Any]] = {}
        self.refuses_with = ""

    def batch_execute_statement(self, *, Statements: list[Any]) -> dict[str, Any]:  # noqa: N803
        return {"Responses": [self.insert(**statement) for statement in Statements]}

    def insert(self, *, Statement: str, Parameters: list[Any]) -> dict[str, Any]:  # noqa: N803
        head, _, fields = Statement.partition(" VALUE ")
        assert head == f'INSERT INTO "{self.name}"'
        names = [field.split(":")[0].strip(" {}'") for field in fields.split(",")]
        assert fields.count("?") == len(Parameters) == len(names)
        row = dict(zip(names, Parameters, strict=True))
        if self.refuses_with:
            return {"Error": {"Code": self.refuses_with, "Message": self.name}}
        if row["data_key_id"]["S"] in self.rows:
            return {"Error": {"Code": "DuplicateItem", "Message": self.name}}
        self.rows[row["data_key_id"]["S"]] = row
        return {"TableName": self.name}


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield boto3.client("kms")


@pytest.fixture
def key_arn(kms: Any) -> str:
    arn: str = kms.create_key()["KeyMetadata"]["Arn"]
    return arn


@pytest.fixture
def table() -> DataKeysTable:
    return DataKeysTable()


class Inbox(http.server.BaseHTTPRequestHandler):
    """What CloudFormation's signed address takes: one PUT without a content type."""

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Inbox)
        self.received: list[tuple[str, str, dict[str, str]]] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/answer?signature=s"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def event(key_arn: str, request_type: str = "Create", **changes: Any) -> dict[str, Any]:
    return {
        "RequestType": request_type,
        "ResponseURL": "https://127.0.0.1/unused",
        "StackId": "stack-1",
        "RequestId": "request-1",
        "ResourceType": "Custom::FingerprintDataKey",
        "LogicalResourceId": "FingerprintDataKey",
        "ResourceProperties": {
            "ServiceToken": "token",
            "DataKeyId": "fingerprint-1",
            "DataKeysTable": "data-keys",
            "KeyArn": key_arn,
        },
        **changes,
    }


def test_creation_stores_one_active_fingerprint_key(
    kms: Any, key_arn: str, table: DataKeysTable
) -> None:
    answer = key_setup.answer_to(event(key_arn), kms, table, NOW)
    assert answer == {
        "Status": "SUCCESS",
        "PhysicalResourceId": "FingerprintDataKey",
        "StackId": "stack-1",
        "RequestId": "request-1",
        "LogicalResourceId": "FingerprintDataKey",
    }
    row = table.rows["fingerprint-1"]
    wrapped_data_key = row.pop("wrapped_key")
    assert wrapped_data_key.keys() == {"B"}
    assert row == {
        "data_key_id": {"S": "fingerprint-1"},
        "key_arn": {"S": key_arn},
        "purpose": {"S": "fingerprint"},
        "encryption_context": {"M": {name: {"S": value} for name, value in CONTEXT.items()}},
        "created_at": {"S": "2026-11-23T12:30:00.000Z"},
        "status": {"S": "active"},
    }


def test_the_key_has_32_bytes_and_opens_in_its_context_alone(
    kms: Any, key_arn: str, table: DataKeysTable
) -> None:
    key_setup.answer_to(event(key_arn), kms, table, NOW)
    wrapped = table.rows["fingerprint-1"]["wrapped_key"]["B"]
    plaintext = kms.decrypt(CiphertextBlob=wrapped, EncryptionContext=CONTEXT)["Plaintext"]
    assert len(plaintext) == 32
    assert plaintext not in wrapped
    for context in ALTERED_CONTEXTS:
        with pytest.raises(ClientError, match="InvalidCiphertextException"):
            kms.decrypt(CiphertextBlob=wrapped, EncryptionContext=context)


def test_kms_is_never_asked_for_the_plaintext(kms: Any, key_arn: str, table: DataKeysTable) -> None:
    asked: list[str] = []
    kms.meta.events.register("before-call.kms", lambda model, **_: asked.append(model.name))
    key_setup.answer_to(event(key_arn), kms, table, NOW)
    assert asked == ["GenerateDataKeyWithoutPlaintext"]


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_a_key_that_exists_is_kept(
    request_type: str, kms: Any, key_arn: str, table: DataKeysTable
) -> None:
    key_setup.answer_to(event(key_arn), kms, table, NOW)
    before = dict(table.rows)
    answer = key_setup.answer_to(event(key_arn, request_type), kms, table, NOW)
    assert answer["Status"] == "SUCCESS"
    assert table.rows == before


def test_an_update_replaces_no_resource(kms: Any, key_arn: str, table: DataKeysTable) -> None:
    update = event(key_arn, "Update", PhysicalResourceId="FingerprintDataKey")
    key_setup.answer_to(event(key_arn), kms, table, NOW)
    answer = key_setup.answer_to(update, kms, table, NOW)
    assert answer["PhysicalResourceId"] == "FingerprintDataKey"
    assert table.rows.keys() == {"fingerprint-1"}


def test_deletion_keeps_the_key_and_calls_nobody(key_arn: str, table: DataKeysTable) -> None:
    table.rows["fingerprint-1"] = {"status": {"S": "active"}}
    delete = event(key_arn, "Delete", PhysicalResourceId="FingerprintDataKey")
    assert key_setup.answer_to(delete, None, None, NOW)["Status"] == "SUCCESS"
    assert table.rows.keys() == {"fingerprint-1"}


def test_a_refusal_is_answered_with_its_code_alone(
    kms: Any, key_arn: str, table: DataKeysTable
) -> None:
    table.refuses_with = "AccessDenied"
    answer = key_setup.answer_to(event(key_arn), kms, table, NOW)
    assert answer["Status"] == "FAILED"
    assert answer["Reason"] == "access_denied: dynamodb:PartiQLInsert"


def test_a_missing_key_is_answered_with_its_code_alone(kms: Any, table: DataKeysTable) -> None:
    absent = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    answer = key_setup.answer_to(event(absent), kms, table, NOW)
    assert answer["Status"] == "FAILED"
    assert answer["Reason"] == NO_SUCH_KEY
    assert table.rows == {}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermanentError("a_code", "a place"), "a_code: a place"),
        (EndpointConnectionError(endpoint_url="https://secret"), "EndpointConnectionError"),
        (KeyError("4111111111111111"), "KeyError"),
    ],
)
def test_a_reason_carries_no_text_of_others(error: Exception, code: str) -> None:
    assert key_setup.failure_code(error) == code


def test_properties_left_out_are_answered_too(kms: Any, key_arn: str, table: DataKeysTable) -> None:
    answer = key_setup.answer_to(event(key_arn, ResourceProperties={}), kms, table, NOW)
    assert (answer["Status"], answer["Reason"]) == ("FAILED", "KeyError")


def test_the_answer_is_put_without_a_content_type(server: Server) -> None:
    key_setup.deliver(server.url, {"Status": "SUCCESS"})
    assert server.received == [("/answer?signature=s", "", {"Status": "SUCCESS"})]


def test_an_answer_that_is_not_taken_is_an_error(server: Server) -> None:
    server.status = 403
    with pytest.raises(urllib.error.HTTPError):
        key_setup.deliver(server.url, {"Status": "SUCCESS"})


@pytest.mark.parametrize(
    "url",
    [
        "http://cloudformation.example/answer",
        "http://127.0.0.1.example/answer",
        "ftp://127.0.0.1/answer",
        "file:///etc/hosts",
    ],
)
def test_no_answer_leaves_without_tls(url: str) -> None:
    with pytest.raises(PermanentError, match="response_url_without_tls"):
        key_setup.deliver(url, {"Status": "SUCCESS"})


def test_the_handler_answers_a_deletion(kms: Any, key_arn: str, server: Server) -> None:
    key_setup.handler(event(key_arn, "Delete", ResponseURL=server.url), None)
    [(_, _, answer)] = server.received
    assert answer["Status"] == "SUCCESS"


def test_the_handler_answers_a_failure(kms: Any, key_arn: str, server: Server) -> None:
    unknown = event(key_arn, ResponseURL=server.url)
    unknown["ResourceProperties"]["KeyArn"] = "alias/none"
    key_setup.handler(unknown, None)
    [(_, _, answer)] = server.received
    assert answer["Status"] == "FAILED"
    assert answer["Reason"] == NO_SUCH_KEY
