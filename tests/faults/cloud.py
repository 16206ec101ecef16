"""AWS in this process, reached through boto3 and its retries, with a place to put faults.

S3, SQS, KMS and DynamoDB are moto's. PartiQL inserts, which moto cannot do with parameters, are
conditional puts into moto's tables here; the vault's contract tests hold on them too.
"""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from unittest import mock

import boto3
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from botocore.awsrequest import AWSResponse
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.models import botocore_stubber
from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.utilities import dynamo_to_dict

from pipeline.aws import faults as aws_faults
from pipeline.aws import pump
from pipeline.aws.session import CLIENT_CONFIG
from pipeline.errors import TransientError
from pipeline.handlers import work_queue
from pipeline.handlers.work_queue import WorkQueueConsumer
from pipeline.job import Worker
from pipeline.keys import FINGERPRINT_KEY_VERSION, FingerprintKey, fingerprint_data_key_id
from pipeline.model import Upload
from pipeline.settings import Settings
from pipeline.testing import s3_event
from pipeline.wiring import ports_of

REGION = "us-east-1"
QUARANTINE, TOKENIZED = "quarantine", "tokenized"
TABLES = {"vault": "token", "fingerprints": "fingerprint", "data-keys": "data_key_id", "jobs": "job_id"}  # fmt: skip
MAX_RECEIVES = 5
_INSERT = re.compile(r'INSERT INTO "(?P<table>[^"]+)" VALUE \{(?P<fields>.*)\}')
_FIELD = re.compile(r"'([^']+)': \?")

Apply = Callable[[Any], AWSResponse]


class KilledError(BaseException):
    """The worker's process is gone: nothing after this runs."""


def applied(event_name: str, request: Any) -> AWSResponse:
    """What AWS does and answers."""
    if event_name.endswith(".BatchExecuteStatement"):
        return _inserted(request)
    response = BotocoreStubber.__call__(botocore_stubber, event_name, request)
    assert response is not None
    return response


def _inserted(request: Any) -> AWSResponse:
    statements = json.loads(request.body)["Statements"]
    assert len(statements) <= 25
    return json_response(request, {"Responses": [_insert(each) for each in statements]})


def _insert(statement: Mapping[str, Any]) -> dict[str, Any]:
    match = _INSERT.fullmatch(statement["Statement"])
    assert match, "only inserts are granted"
    table = match["table"]
    values = map(_with_bytes, statement["Parameters"])
    item = dict(zip(_FIELD.findall(match["fields"]), values, strict=True))
    try:
        dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].put_item(
            table,
            item,
            condition_expression="attribute_not_exists(#key)",
            expression_attribute_names={"#key": TABLES[table]},
        )
    except ConditionalCheckFailed:
        return {"Error": {"Code": "DuplicateItem", "Message": "Duplicate primary key exists"}}
    return {"TableName": table}


def _with_bytes(value: Mapping[str, Any]) -> dict[str, Any]:
    """As moto takes it: binary values are bytes."""
    return {kind: base64.b64decode(text) if kind == "B" else text for kind, text in value.items()}


def json_response(request: Any, document: Any, status: int = 200) -> AWSResponse:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    raw = io.BytesIO(content)
    raw.stream = lambda **_: iter([content])  # type: ignore[attr-defined]
    return AWSResponse(request.url, status, {}, raw)


def _is_granted(operation: str, body: bytes) -> bool:
    return operation == "dynamodb.BatchExecuteStatement" or b'"vault"' not in body


class Wire:
    """Between the clients of one worker and AWS; `meddle` decides what becomes of each request."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.beyond_its_rights: list[str] = []
        self.meddle: Callable[[int, str, Any, Apply], AWSResponse] | None = None

    def attach(self, client: Any) -> None:
        client.meta.events.unregister("before-send", botocore_stubber)
        client.meta.events.register("before-send", self._send)

    def _send(self, event_name: str, request: Any, **_: object) -> AWSResponse:
        operation = event_name.split(".", 1)[1]
        self.requests.append(operation)
        if operation.startswith("dynamodb.") and not _is_granted(operation, bytes(request.body)):
            self.beyond_its_rights.append(f"{operation} on the vault")

        def apply(request: Any) -> AWSResponse:
            return applied(event_name, request)

        if self.meddle is None:
            return apply(request)
        return self.meddle(len(self.requests), operation, request, apply)


@dataclass
class WiredSession:
    """A `CountedSession` whose clients all go over one wire."""

    session: boto3.session.Session
    wire: Wire

    def client(self, service: str) -> Any:
        client = self.session.client(service, config=CLIENT_CONFIG)  # type: ignore[call-overload]
        self.wire.attach(client)
        return client

    def credentials(self) -> Any:
        return self.session.get_credentials().get_frozen_credentials()

    def snapshot(self) -> Mapping[str, Mapping[str, int]]:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for request in self.wire.requests:
            service, operation = request.split(".")
            counts[service][operation] += 1
        return counts


@dataclass
class CloudWorker:
    """One execution environment of the worker function."""

    consumer: WorkQueueConsumer
    wire: Wire
    seconds_left: Callable[[], Callable[[], float]]
    is_alive: bool = True


@dataclass
class Delivery:
    """A message in the hands of a worker."""

    body: str
    receipt_handle: str
    receives: int


@dataclass
class Cloud:
    """A deployment without its function: buckets, queues, tables and keys."""

    session: boto3.session.Session
    settings: Settings
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = self.session.client(service, region_name=REGION)  # type: ignore[call-overload]
        return self.clients[service]

    def upload(self, key: str, body: bytes) -> Upload:
        put = self.client("s3").put_object(Bucket=QUARANTINE, Key=key, Body=body)
        return Upload(QUARANTINE, key, put["VersionId"])

    def announce(self, upload: Upload) -> None:
        self.send(s3_event(upload))

    def send(self, body: str) -> None:
        self.client("sqs").send_message(QueueUrl=self.settings.work_queue_url, MessageBody=body)

    def worker(self, seconds_left: Callable[[], Callable[[], float]]) -> CloudWorker:
        wire = Wire()
        session = WiredSession(self.session, wire)
        ports = ports_of(self.settings, session)  # type: ignore[arg-type]
        key = FingerprintKey(ports.key_service, ports.data_key_records, ports.clock)
        worker = Worker(ports, key.fingerprinter, memory_gb=1.7)
        return CloudWorker(WorkQueueConsumer(self.settings, worker), wire, seconds_left)

    def receive(self) -> Delivery | None:
        """As Lambda's poller does; SQS itself moves what was received too often."""
        response = self.client("sqs").receive_message(
            QueueUrl=self.settings.work_queue_url,
            MaxNumberOfMessages=1,
            VisibilityTimeout=1800,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        for message in response.get("Messages", []):
            receives = int(message["Attributes"]["ApproximateReceiveCount"])
            return Delivery(message["Body"], message["ReceiptHandle"], receives)
        return None

    def deliver(self, delivery: Delivery, worker: CloudWorker) -> None:
        """Hands a message to a worker; acknowledges it, or has it delivered again."""
        record = {
            "messageId": delivery.receipt_handle,
            "receiptHandle": delivery.receipt_handle,
            "body": delivery.body,
            "attributes": {"ApproximateReceiveCount": str(delivery.receives)},
        }
        try:
            worker.consumer.consume(SQSRecord(record), worker.seconds_left())
        except KilledError:
            worker.is_alive = False
            self.give_back(delivery)
        except TransientError:
            self.give_back(delivery)
        else:
            self.client("sqs").delete_message(
                QueueUrl=self.settings.work_queue_url, ReceiptHandle=delivery.receipt_handle
            )

    def give_back(self, delivery: Delivery) -> None:
        self.client("sqs").change_message_visibility(
            QueueUrl=self.settings.work_queue_url,
            ReceiptHandle=delivery.receipt_handle,
            VisibilityTimeout=0,
        )

    # What there is to be seen

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        s3 = self.client("s3")
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {
            item["Key"]: s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            for item in listed
        }

    def object(self, bucket: str, key: str) -> bytes | None:
        """None if it is not there."""
        return self.objects(bucket, key).get(key)

    def items(self, table: str) -> list[dict[str, Any]]:
        """As moto holds them: a scan through boto3 takes longer than all that is tested."""
        held = dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].get_table(table).all_items()
        return [dynamo_to_dict(item.attrs) for item in held]

    def dead_letters(self) -> list[str]:
        found: list[str] = []
        while (
            messages := self.client("sqs")
            .receive_message(
                QueueUrl=self.settings.dead_letter_queue_url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=600,
            )
            .get("Messages")
        ):
            found += [message["Body"] for message in messages]
        return found


@contextmanager
def cloud() -> Iterator[Cloud]:
    """A fresh deployment, in which nobody waits."""
    with (
        mock_aws(),
        mock.patch.object(time, "sleep", return_value=None),
        mock.patch.object(pump, "sleep", return_value=None),
        mock.patch.object(aws_faults.pauses, "__defaults__", (lambda _: None,)),
    ):
        yield _deployed()
        work_queue.metrics.clear_metrics()


_SESSION = boto3.session.Session(region_name=REGION)  # it parses every service's model once


@cache
def _client(service: str) -> Any:
    """One that no fault is put into: workers have clients, and retries, of their own."""
    return _SESSION.client(service)  # type: ignore[call-overload]


def _deployed() -> Cloud:
    session = _SESSION
    s3, dynamodb, kms, sqs = map(_client, ("s3", "dynamodb", "kms", "sqs"))
    for bucket in (QUARANTINE, TOKENIZED):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for table, key in TABLES.items():
        kind = "B" if key == "fingerprint" else "S"
        dynamodb.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind}],
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        )
    dead = sqs.create_queue(QueueName="dead-letters")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    redrive = {
        "deadLetterTargetArn": arn["Attributes"]["QueueArn"],
        "maxReceiveCount": MAX_RECEIVES,
    }
    work = sqs.create_queue(
        QueueName="work",
        Attributes={"RedrivePolicy": json.dumps(redrive), "VisibilityTimeout": "1800"},
    )["QueueUrl"]
    kms_key_arn = kms.create_key()["KeyMetadata"]["Arn"]  # slow, so one serves both purposes
    settings = Settings(
        quarantine_bucket=QUARANTINE,
        tokenized_bucket=TOKENIZED,
        work_queue_url=work,
        dead_letter_queue_url=dead,
        vault_table="vault",
        fingerprints_table="fingerprints",
        data_keys_table="data-keys",
        jobs_table="jobs",
        vault_key_arn=kms_key_arn,
        layouts_uri=f"s3://{QUARANTINE}/layouts",
    )
    _make_fingerprint_key(kms, kms_key_arn, dynamodb)
    clients = {"s3": s3, "dynamodb": dynamodb, "kms": kms, "sqs": sqs}
    return Cloud(session, settings, clients)


def _make_fingerprint_key(kms: Any, kms_key_arn: str, dynamodb: Any) -> None:
    data_key_id = fingerprint_data_key_id(FINGERPRINT_KEY_VERSION)
    context = {"purpose": "fingerprint", "data_key_id": data_key_id}
    made = kms.generate_data_key_without_plaintext(
        KeyId=kms_key_arn, KeySpec="AES_256", EncryptionContext=context
    )
    dynamodb.put_item(
        TableName="data-keys",
        Item={
            "data_key_id": {"S": data_key_id},
            "wrapped_key": {"B": made["CiphertextBlob"]},
            "key_arn": {"S": made["KeyId"]},
            "purpose": {"S": "fingerprint"},
            "encryption_context": {"M": {name: {"S": text} for name, text in context.items()}},
            "created_at": {"S": "2026-11-23T12:00:00.000Z"},
        },
    )
