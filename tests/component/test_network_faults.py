"""The adapters over a network that loses replies, breaks off and refuses; on the local engine."""

from __future__ import annotations

import dataclasses
import gc
import logging
import os
import traceback
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import ReadTimeoutError

from pipeline.aws.dynamodb_calls import MAX_THROTTLED_TRIES
from pipeline.aws.dynamodb_ledger import DynamoDBLedger
from pipeline.aws.dynamodb_vault import DynamoDBDataKeys
from pipeline.aws.faults import MAX_TRIES
from pipeline.aws.kms_keys import KMSKeys
from pipeline.aws.layout_catalogue import UriLayouts
from pipeline.aws.s3_objects import S3Quarantine, S3Tokenized
from pipeline.aws.s3_writing import UPLOAD_PART_BYTES
from pipeline.aws.session import CountedSession
from pipeline.aws.sqs_queue import SQSDeadLetters, SQSWorkQueue
from pipeline.core.envelope import mint_tokens
from pipeline.errors import LayoutError, PantokError, PermanentError, TransientError
from pipeline.local import LocalStack
from pipeline.model import Chunk, Decision, SealedPan, SourceObject, WrappedDataKey
from pipeline.staging import RejectsFile, StagedParts
from pipeline.testing import A_MOMENT, MemoryWorld
from tests.network import (
    SECRET,
    Fault,
    Network,
    cut_after,
    executed_but_reported_as,
    lost,
    refused,
    unreachable,
)
from tests.vaults import Claim, fingerprints_in_dynamodb, vault_in_dynamodb

pytestmark = pytest.mark.usefixtures("pauses")

SDK_TRIES = 6
MUCH_BYTES = 2 * UPLOAD_PART_BYTES + 1


@pytest.fixture
def session(local_stack: LocalStack) -> CountedSession:
    return CountedSession(local_stack.session())


@pytest.fixture
def dynamodb(session: CountedSession) -> Any:
    return session.client("dynamodb")


@pytest.fixture
def s3(session: CountedSession) -> Any:
    return session.client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"faults-{os.urandom(6).hex()}"
    s3.create_bucket(Bucket=name)
    versioning = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    return name


def _keys(s3: Any, bucket: str) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def _sealed(token: str, ciphertext: bytes = b"sealed") -> SealedPan:
    return SealedPan(token, ciphertext, "dk", "now", {"last4": "1111"})


def _claims(count: int) -> list[Claim]:
    return [Claim(os.urandom(33), token) for token in mint_tokens(count, os.urandom)]


# Replies that are lost


def test_a_vault_row_whose_reply_was_lost_is_our_own(
    dynamodb: Any, local_stack: LocalStack
) -> None:
    network, vault = (
        Network(dynamodb),
        vault_in_dynamodb(dynamodb, local_stack.outputs["VaultTable"]),
    )
    tokens = mint_tokens(30, os.urandom)
    network.script("BatchExecuteStatement", lost, lost)
    vault.insert_if_absent([_sealed(token, token.encode()) for token in tokens])
    assert len(network.sent["BatchExecuteStatement"]) == 4
    for token in tokens:
        item = dynamodb.get_item(
            TableName=local_stack.outputs["VaultTable"], Key={"token": {"S": token}}
        )["Item"]
        assert item["ciphertext"]["B"] == token.encode()


@pytest.mark.parametrize(
    "fault",
    [lost, executed_but_reported_as("InternalServerError", "", "ThrottlingError")],
    ids=["call", "statements"],
)
def test_a_claim_whose_reply_was_lost_is_our_own(
    dynamodb: Any, local_stack: LocalStack, fault: Fault
) -> None:
    network, claims = Network(dynamodb), _claims(3)
    fingerprints = fingerprints_in_dynamodb(dynamodb, local_stack.outputs["FingerprintsTable"])
    network.script("BatchExecuteStatement", fault)
    assert fingerprints.claim(claims) == {each.fingerprint: each.token for each in claims}


def test_a_claim_that_was_lost_in_the_net_and_to_another_worker_is_told_apart(
    dynamodb: Any, local_stack: LocalStack
) -> None:
    network, claims = Network(dynamodb), _claims(3)
    fingerprints = fingerprints_in_dynamodb(dynamodb, local_stack.outputs["FingerprintsTable"])
    winner = Claim(claims[1].fingerprint, mint_tokens(1, os.urandom)[0])
    fingerprints.claim([winner])
    network.script("BatchExecuteStatement", lost)
    held = fingerprints.claim(claims)
    assert [held[each.fingerprint] for each in claims] == [
        claims[0].token,
        winner.token,
        claims[2].token,
    ]


def test_a_data_key_record_whose_reply_was_lost_is_our_own(
    dynamodb: Any, local_stack: LocalStack
) -> None:
    network = Network(dynamodb)
    records = DynamoDBDataKeys(dynamodb, local_stack.outputs["DataKeysTable"])
    name = f"dk_{os.urandom(6).hex()}"
    record = WrappedDataKey(name, os.urandom(60), "arn", "vault", {"purpose": "vault"}, "now")
    network.script("BatchExecuteStatement", lost, executed_but_reported_as("InternalServerError"))
    records.insert_if_absent(record)
    assert records.get(name) == record


def test_a_decision_whose_reply_was_lost_is_our_own(dynamodb: Any, local_stack: LocalStack) -> None:
    network, job_id = Network(dynamodb), f"job_{os.urandom(6).hex()}"
    ledger = DynamoDBLedger(dynamodb, local_stack.outputs["JobsTable"])
    ledger.start(job_id, {"uri": "s3://q/a", "layout": "x"}, A_MOMENT)
    network.script("TransactWriteItems", lost, lost)
    ours = Decision("ours", {"rows_read": 1})
    assert ledger.decide(job_id, ours) == ours
    network.script("UpdateItem", lost, lost)
    ledger.commit(job_id)
    network.script("UpdateItem", lost)
    assert ledger.start(job_id, {"uri": "s3://q/a", "layout": "x"}, A_MOMENT).is_committed


@pytest.mark.parametrize("status", ["failed", "committed"])
def test_a_receipt_whose_reply_was_lost_is_written_once(s3: Any, bucket: str, status: str) -> None:
    network, tokenized = Network(s3), S3Tokenized(s3, bucket, bucket)
    tokenized.put_receipt({"job_id": "job", "status": "failed", "note": "before"})
    receipt = {"job_id": "job", "status": status, "note": "ours"}
    network.script("PutObject", lost)
    tokenized.put_receipt(receipt)
    assert tokenized.get_receipt("job") == receipt


@pytest.mark.parametrize("pieces", [[b"part"], [b"x" * MUCH_BYTES, b"part"]])
def test_whatever_is_lost_while_a_part_is_written_and_published_it_is_there_once(
    s3: Any, bucket: str, pieces: list[bytes]
) -> None:
    network, tokenized = Network(s3), S3Tokenized(s3, bucket, bucket)
    for operation in ("PutObject", "UploadPart", "CopyObject", "DeleteObject"):
        network.script(operation, lost)
    _stage(tokenized, *pieces)
    staged, uri = tokenized.staged_uri("job", "attempt", 0), tokenized.part_uri("x", "d", "job", 0)
    tokenized.publish(staged, uri)
    tokenized.discard_staged([staged])
    tokenized.publish(staged, uri)
    key = uri.removeprefix(f"s3://{bucket}/")
    assert _keys(s3, bucket) == [key]
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"".join(pieces)


def test_a_small_object_takes_one_call_and_a_large_one_a_call_for_each_part(
    s3: Any, bucket: str
) -> None:
    network, tokenized = Network(s3), S3Tokenized(s3, bucket, bucket)
    _stage(tokenized, b"x" * UPLOAD_PART_BYTES)
    assert {name: len(calls) for name, calls in network.sent.items()} == {"PutObject": 1}
    _stage(tokenized, b"x" * UPLOAD_PART_BYTES, b"x")
    assert {name: len(calls) for name, calls in network.sent.items()} == {
        "PutObject": 1,
        "CreateMultipartUpload": 1,
        "UploadPart": 2,
        "CompleteMultipartUpload": 1,
    }


def _stage(tokenized: S3Tokenized, *pieces: bytes) -> None:
    with tokenized.stage("job", "attempt", 0) as sink:
        for piece in pieces:
            sink.write(piece)


def _open_uploads(s3: Any, bucket: str) -> list[Any]:
    uploads: list[Any] = s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return uploads


@pytest.mark.parametrize(
    "operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"]
)
def test_an_upload_that_fails_leaves_nothing_behind(
    s3: Any, bucket: str, operation: str, pauses: list[float]
) -> None:
    network = Network(s3)
    network.script(operation, *[refused("AccessDenied", 403)] * 9)
    with pytest.raises(TransientError, match="access_denied: s3:PutObject"):
        _stage(S3Tokenized(s3, bucket, bucket), b"x" * MUCH_BYTES)
    gc.collect()
    assert _keys(s3, bucket) == []
    assert _open_uploads(s3, bucket) == []
    assert pauses == []


def test_an_upload_that_can_neither_go_on_nor_be_aborted_shows_why_it_stopped(
    s3: Any, bucket: str
) -> None:
    network = Network(s3)
    network.script("AbortMultipartUpload", *[unreachable] * 9)

    def refuse_the_file() -> None:
        with S3Tokenized(s3, bucket, bucket).stage("job", "attempt", 0) as sink:
            sink.write(b"x" * MUCH_BYTES)
            raise PermanentError("malformed_file")

    with pytest.raises(PermanentError, match="malformed_file"):
        refuse_the_file()
    gc.collect()
    assert _keys(s3, bucket) == []


@pytest.mark.parametrize("size_rows", [1, 400_000])
def test_a_chunk_that_stops_leaves_neither_parts_nor_rejects_nor_noise(
    s3: Any, bucket: str, size_rows: int, recwarn: pytest.WarningsRecorder
) -> None:
    ports = dataclasses.replace(
        MemoryWorld(os.urandom).ports(),
        tokenized=S3Tokenized(s3, bucket, bucket),
        quarantine=S3Quarantine(s3, bucket),
    )
    source = SourceObject(bucket, "incoming/a", "v", 1, A_MOMENT)
    chunk = Chunk("job", "attempt", source, "x")
    rows = pa.table({"token": [os.urandom(16).hex() for _ in range(size_rows)]})

    def work_and_stop() -> None:
        with StagedParts(chunk, ports) as parts, RejectsFile(chunk, ports) as rejects:
            parts.write(rows)
            parts.finish()
            parts.write(rows)
            rejects.write(b"rejected")
            raise TransientError("out_of_time")

    with pytest.raises(TransientError, match="out_of_time"):
        work_and_stop()
    gc.collect()
    assert _keys(s3, bucket) == []
    assert _open_uploads(s3, bucket) == []
    assert list(recwarn) == []


# Streams that break off


def _source(s3: Any, bucket: str, body: bytes) -> SourceObject:
    version_id = s3.put_object(Bucket=bucket, Key="incoming/a", Body=body)["VersionId"]
    return S3Quarantine(s3, bucket).find("incoming/a", version_id)


def test_a_stream_that_breaks_off_goes_on_where_it_stopped(s3: Any, bucket: str) -> None:
    body = os.urandom(3_000_000)
    source, network = _source(s3, bucket, body), Network(s3)
    s3.put_object(Bucket=bucket, Key="incoming/a", Body=b"newer")
    network.script("GetObject", cut_after(1_500_000), cut_after(2_700_000))
    with S3Quarantine(s3, bucket).open(source) as stream:
        assert b"".join(iter(lambda: stream.read(64 * 1024), b"")) == body
    assert len(network.sent["GetObject"]) > 1


def test_a_stream_that_stays_broken_is_an_error_without_content(
    s3: Any, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    source, network = _source(s3, bucket, os.urandom(3_000_000)), Network(s3)
    network.script("GetObject", *[cut_after(10)], *[cut_after(0)] * 20)
    with pytest.raises(TransientError) as raised, S3Quarantine(s3, bucket).open(source) as stream:
        stream.read(1_000_000)
    assert raised.value.code == "aws_unreachable"
    _assert_says_nothing(raised.value)


def test_a_source_that_is_deleted_while_it_is_read_is_missing(s3: Any, bucket: str) -> None:
    source, network = _source(s3, bucket, os.urandom(3_000_000)), Network(s3)
    network.script("GetObject", cut_after(1_200_000))
    with S3Quarantine(s3, bucket).open(source) as stream:
        stream.read(1000)
        s3.delete_object(Bucket=bucket, Key="incoming/a", VersionId=source.version_id)
        with pytest.raises(PermanentError, match="source_missing"):
            stream.read(-1)


# Refusals


def _assert_says_nothing(error: PantokError) -> None:
    said = "".join(traceback.format_exception(error)) + repr(error) + str(error.args)
    assert SECRET not in said


REFUSALS: dict[str, tuple[Fault, str]] = {
    "throttled": (refused("ThrottlingException"), "throttled"),
    "slow down": (refused("SlowDown", 503), "throttled"),
    "denied": (refused("AccessDenied", 403), "access_denied"),
    "denied in JSON": (refused("AccessDeniedException"), "access_denied"),
    "broken": (refused("InternalError", 500), "aws_error"),
    "new": (refused("SomethingNew"), "aws_error"),
    "unreachable": (unreachable, "aws_unreachable"),
    "lost": (lost, "aws_unreachable"),
}
WRAPPED = WrappedDataKey("dk", b"wrapped", "arn:x", "vault", {"purpose": "vault"}, "now")
SOURCE = SourceObject("no-such-bucket", "incoming/a", "v1", 1, A_MOMENT)
FACTS = {"uri": "s3://q/a", "layout": "x"}
QUEUE = "http://127.0.0.1/000000000000/q"
RECEIPT = {"job_id": "job", "status": "failed"}


def _read(stream: Any) -> None:
    with stream as opened:
        opened.read()


def _vault(client: Any) -> None:
    vault_in_dynamodb(client, "t").insert_if_absent([_sealed("tok")])


Call = tuple[str, Callable[[Any], Any]]

DYNAMODB_CALLS: list[Call] = [
    ("BatchExecuteStatement", _vault),
    ("BatchExecuteStatement", lambda c: fingerprints_in_dynamodb(c, "t").claim(_claims(1))),
    ("BatchExecuteStatement", lambda c: DynamoDBDataKeys(c, "t").insert_if_absent(WRAPPED)),
    ("BatchGetItem", lambda c: fingerprints_in_dynamodb(c, "t").look_up([b"f"])),
    ("GetItem", lambda c: DynamoDBDataKeys(c, "t").get("dk")),
    ("GetItem", lambda c: DynamoDBLedger(c, "t").get("job")),
    ("BatchGetItem", lambda c: list(DynamoDBLedger(c, "t").get_all(["job"]))),
    ("Scan", lambda c: list(DynamoDBLedger(c, "t").jobs())),
    ("UpdateItem", lambda c: DynamoDBLedger(c, "t").start("job", FACTS, A_MOMENT)),
    ("UpdateItem", lambda c: DynamoDBLedger(c, "t").progress("job", 1)),
    ("UpdateItem", lambda c: DynamoDBLedger(c, "t").note_trouble("job", "x")),
    ("UpdateItem", lambda c: DynamoDBLedger(c, "t").claim("content/x", "job")),
    (
        "TransactWriteItems",
        lambda c: DynamoDBLedger(c, "t").decide("job", Decision("a", {"rows_read": 1})),
    ),
    ("UpdateItem", lambda c: DynamoDBLedger(c, "t").commit("job")),
    ("UpdateItem", lambda c: DynamoDBLedger(c, "t").fail("job", "x", "")),
]
OTHER_CALLS: dict[str, list[Call]] = {
    "kms": [
        ("GenerateDataKey", lambda c: KMSKeys(c, "arn:x").generate_data_key("dk", {}, "now")),
        ("Decrypt", lambda c: KMSKeys(c, "arn:x").unwrap(WRAPPED)),
    ],
    "sqs": [
        ("SendMessage", lambda c: SQSDeadLetters(c, QUEUE).send({"reason": "x"})),
        ("SendMessageBatch", lambda c: SQSWorkQueue(c, QUEUE).send_all([{"chunk": 0}])),
        ("GetQueueAttributes", lambda c: SQSWorkQueue(c, QUEUE).depth()),
        ("ChangeMessageVisibility", lambda c: SQSWorkQueue(c, QUEUE).postpone("handle", 1)),
    ],
    "s3": [
        ("HeadObject", lambda c: S3Quarantine(c, "b").find("incoming/a", "v")),
        ("GetObject", lambda c: _read(S3Quarantine(c, "b").open(SOURCE))),
        ("PutObjectTagging", lambda c: S3Quarantine(c, "b").mark_tokenized("incoming/a", "v")),
        ("PutObject", lambda c: _stage(S3Tokenized(c, "b", "b"), b"part")),
        ("CreateMultipartUpload", lambda c: _stage(S3Tokenized(c, "b", "b"), b"x" * MUCH_BYTES)),
        ("CopyObject", lambda c: S3Tokenized(c, "b", "b").publish("s3://b/a", "s3://b/b")),
        ("DeleteObject", lambda c: S3Tokenized(c, "b", "b").discard_staged(["s3://b/a"])),
        ("GetObject", lambda c: S3Tokenized(c, "b", "b").get_receipt("job")),
        ("GetObject", lambda c: S3Tokenized(c, "b", "b").put_receipt(RECEIPT)),
        ("PutObject", lambda c: S3Tokenized(c, "b", "b")._put_if("k", RECEIPT, {})),
        ("GetObject", lambda c: UriLayouts("s3://b/layouts", c).get("card-present")),
    ],
}
CALLS = [("dynamodb", *call) for call in DYNAMODB_CALLS]
CALLS += [(service, *call) for service, calls in OTHER_CALLS.items() for call in calls]


@pytest.fixture(scope="module")
def clients(local_stack: LocalStack) -> dict[str, tuple[Any, Network]]:
    session = CountedSession(local_stack.session())
    made = {service: session.client(service) for service in ("dynamodb", "kms", "sqs", "s3")}
    return {service: (client, Network(client)) for service, client in made.items()}


@pytest.mark.parametrize(
    ("service", "operation", "call"), CALLS, ids=[f"{each[0]}-{each[1]}" for each in CALLS]
)
@pytest.mark.parametrize("refusal", REFUSALS)
def test_whatever_is_refused_is_a_code_and_an_operation_and_nothing_that_aws_said(
    clients: dict[str, tuple[Any, Network]],
    service: str,
    operation: str,
    call: Callable[[Any], Any],
    refusal: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, network = clients[service]
    fault, code = REFUSALS[refusal]
    if fault is lost:
        fault = _without_sending
    network.script(operation, *[fault] * max(SDK_TRIES * MAX_TRIES, MAX_THROTTLED_TRIES))
    with caplog.at_level(logging.INFO), pytest.raises(TransientError) as raised:
        call(client)
    network.reset()
    assert raised.value.code == code
    assert raised.value.detail.startswith(f"{service}:")
    _assert_says_nothing(raised.value)
    assert SECRET not in caplog.text


def _without_sending(_send: Any, _request: Any) -> Any:
    raise ReadTimeoutError(endpoint_url=f"https://{SECRET}")


def test_statements_of_which_one_is_refused_for_good_are_not_called_throttled(
    dynamodb: Any, local_stack: LocalStack
) -> None:
    network, vault = (
        Network(dynamodb),
        vault_in_dynamodb(dynamodb, local_stack.outputs["VaultTable"]),
    )
    codes = ("ThrottlingError", "AccessDenied", "")
    network.script("BatchExecuteStatement", executed_but_reported_as(*codes))
    rows = [_sealed(token) for token in mint_tokens(3, os.urandom)]
    with pytest.raises(TransientError, match="access_denied"):
        vault.insert_if_absent(rows)
    assert len(network.sent["BatchExecuteStatement"]) == 1


def test_a_layout_that_cannot_be_read_is_not_taken_for_one_that_is_not_there(
    s3: Any, bucket: str
) -> None:
    network, layouts = Network(s3), UriLayouts(f"s3://{bucket}/layouts", s3)
    network.script("GetObject", refused("AccessDenied", 403))
    with pytest.raises(TransientError, match="access_denied"):
        layouts.get("card-present")
    assert layouts.get("card-present").name == "card-present"


def test_an_empty_layout_of_a_deployment_is_not_passed_over(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="layouts/card-present.toml", Body=b"")
    with pytest.raises(LayoutError):
        UriLayouts(f"s3://{bucket}/layouts", s3).get("card-present")
