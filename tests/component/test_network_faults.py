"""The adapters over a network that loses replies, breaks off and refuses; on the local engine."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.aws.dynamodb_ledger import DynamoDBLedger
from pipeline.aws.dynamodb_vault import DynamoDBDataKeys, DynamoDBFingerprints, DynamoDBVault
from pipeline.aws.kms_keys import KMSKeys
from pipeline.aws.layout_catalogue import UriLayouts
from pipeline.aws.s3_objects import S3Quarantine, S3Tokenized
from pipeline.aws.sqs_queue import SQSDeadLetters, SQSWorkQueue
from pipeline.core.envelope import mint_tokens
from pipeline.errors import PantokError, PermanentError, TransientError
from pipeline.local import LocalStack
from pipeline.model import Claim, Decision, SealedPan, SourceObject, WrappedDataKey
from pipeline.testing import A_MOMENT
from pipeline.wiring import CountedSession
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

pytestmark = pytest.mark.usefixtures("pauses")

SDK_TRIES = 6


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
    network, vault = Network(dynamodb), DynamoDBVault(dynamodb, local_stack.outputs["VaultTable"])
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
    fingerprints = DynamoDBFingerprints(dynamodb, local_stack.outputs["FingerprintsTable"])
    network.script("BatchExecuteStatement", fault)
    assert fingerprints.claim(claims) == {each.fingerprint: each.token for each in claims}


def test_a_claim_that_was_lost_in_the_net_and_to_another_worker_is_told_apart(
    dynamodb: Any, local_stack: LocalStack
) -> None:
    network, claims = Network(dynamodb), _claims(3)
    fingerprints = DynamoDBFingerprints(dynamodb, local_stack.outputs["FingerprintsTable"])
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
    network.script("UpdateItem", lost, lost)
    ours = Decision("ours", {"rows_read": 1})
    assert ledger.decide(job_id, ours) == ours
    network.script("UpdateItem", lost, lost)
    ledger.commit(job_id)
    network.script("UpdateItem", lost)
    assert ledger.start(job_id, {"uri": "s3://q/a", "layout": "x"}, A_MOMENT).is_committed


@pytest.mark.parametrize("status", ["failed", "committed"])
def test_a_receipt_whose_reply_was_lost_is_written_once(s3: Any, bucket: str, status: str) -> None:
    network, tokenized = Network(s3), S3Tokenized(s3, bucket)
    tokenized.put_receipt({"job_id": "job", "status": "failed", "note": "before"})
    receipt = {"job_id": "job", "status": status, "note": "ours"}
    network.script("PutObject", lost)
    tokenized.put_receipt(receipt)
    assert tokenized.get_receipt("job") == receipt


def test_whatever_is_lost_while_a_part_is_published_it_can_be_done_again(
    s3: Any, bucket: str
) -> None:
    network, tokenized = Network(s3), S3Tokenized(s3, bucket)
    network.script("CreateMultipartUpload", lost)
    network.script("UploadPart", lost)
    with tokenized.stage("job", "attempt", 0) as sink:
        sink.write(b"part")
    staged, uri = tokenized.staged_uri("job", "attempt", 0), tokenized.part_uri("x", "d", "job", 0)
    network.script("CopyObject", lost)
    network.script("DeleteObject", lost)
    tokenized.publish(staged, uri)
    tokenized.discard_staged([staged])
    tokenized.publish(staged, uri)
    assert _keys(s3, bucket) == ["data/layout=x/date=d/job/part-00000.parquet"]


def test_a_part_whose_completion_was_lost_counts_as_not_staged(
    s3: Any, bucket: str, pauses: list[float]
) -> None:
    network, tokenized = Network(s3), S3Tokenized(s3, bucket)
    network.script("CompleteMultipartUpload", lost)
    with pytest.raises(TransientError, match="s3:MultipartUpload"):
        _stage(tokenized, b"part")
    assert sum(pauses) < 5


def _stage(tokenized: S3Tokenized, *pieces: bytes) -> None:
    with tokenized.stage("job", "attempt", 0) as sink:
        for piece in pieces:
            sink.write(piece)


# Streams that break off


def _source(s3: Any, bucket: str, body: bytes) -> SourceObject:
    version_id = s3.put_object(Bucket=bucket, Key="incoming/a", Body=body)["VersionId"]
    return S3Quarantine(s3, bucket).find("incoming/a", version_id)


def test_a_stream_that_breaks_off_goes_on_where_it_stopped(s3: Any, bucket: str) -> None:
    body = os.urandom(3_000_000)
    source, network = _source(s3, bucket, body), Network(s3)
    s3.put_object(Bucket=bucket, Key="incoming/a", Body=b"newer")
    network.script("GetObject", cut_after(1_500_000), cut_after(0), cut_after(700_000))
    with S3Quarantine(s3, bucket).open(source) as stream:
        assert b"".join(iter(lambda: stream.read(64 * 1024), b"")) == body
    assert len(network.sent["GetObject"]) == 4


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


REFUSALS: list[tuple[Fault, str]] = [
    (refused("ThrottlingException"), "throttled"),
    (refused("SlowDown", 503), "throttled"),
    (refused("AccessDenied", 403), "access_denied"),
    (refused("AccessDeniedException"), "access_denied"),
    (refused("InternalError", 500), "aws_error"),
    (refused("SomethingNew"), "aws_error"),
    (unreachable, "aws_unreachable"),
    (lost, "aws_unreachable"),
]
RECORD = WrappedDataKey("dk", b"wrapped", "arn:aws:kms:x", "vault", {"purpose": "vault"}, "now")
SOURCE = SourceObject("no-such-bucket", "incoming/a", "v1", 1, A_MOMENT)
JOB = f"job_{os.urandom(6).hex()}"
FACTS = {"uri": "s3://q/a", "layout": "x"}


def _read(stream: Any) -> bytes:
    with stream as opened:
        content: bytes = opened.read()
        return content


CALLS: list[tuple[str, str, Callable[[Any, str], Any]]] = [
    ("dynamodb", "BatchExecuteStatement", lambda c, _: DynamoDBVault(c, "t").insert_if_absent([_sealed("t")])),
    ("dynamodb", "BatchExecuteStatement", lambda c, _: DynamoDBFingerprints(c, "t").claim(_claims(1))),
    ("dynamodb", "BatchGetItem", lambda c, _: DynamoDBFingerprints(c, "t").look_up([b"f"])),
    ("dynamodb", "BatchExecuteStatement", lambda c, _: DynamoDBDataKeys(c, "t").insert_if_absent(RECORD)),
    ("dynamodb", "GetItem", lambda c, _: DynamoDBDataKeys(c, "t").get("dk")),
    ("dynamodb", "UpdateItem", lambda c, _: DynamoDBLedger(c, "t").start(JOB, FACTS, A_MOMENT)),
    ("dynamodb", "UpdateItem", lambda c, _: DynamoDBLedger(c, "t").progress(JOB, 1)),
    ("dynamodb", "UpdateItem", lambda c, _: DynamoDBLedger(c, "t").note_trouble(JOB, "x")),
    ("dynamodb", "UpdateItem", lambda c, _: DynamoDBLedger(c, "t").decide(JOB, Decision("a", {"rows_read": 1}))),
    ("dynamodb", "UpdateItem", lambda c, _: DynamoDBLedger(c, "t").commit(JOB)),
    ("dynamodb", "UpdateItem", lambda c, _: DynamoDBLedger(c, "t").fail(JOB, "x", "")),
    ("dynamodb", "GetItem", lambda c, _: DynamoDBLedger(c, "t").get(JOB)),
    ("dynamodb", "Scan", lambda c, _: list(DynamoDBLedger(c, "t").jobs())),
    ("kms", "GenerateDataKey", lambda c, _: KMSKeys(c, "arn:x").generate_data_key("dk", {}, "now")),
    ("kms", "Decrypt", lambda c, _: KMSKeys(c, "arn:x").unwrap(RECORD)),
    ("sqs", "SendMessage", lambda c, _: SQSDeadLetters(c, "http://127.0.0.1/q").send({"reason": "x"})),
    ("sqs", "ChangeMessageVisibility", lambda c, _: SQSWorkQueue(c, "http://127.0.0.1/q").postpone("h", 1)),
    ("s3", "HeadObject", lambda c, b: S3Quarantine(c, b).find("incoming/a", "v")),
    ("s3", "GetObject", lambda c, b: _read(S3Quarantine(c, b).open(SOURCE))),
    ("s3", "PutObjectTagging", lambda c, b: S3Quarantine(c, b).mark_tokenized("incoming/a", "v")),
    ("s3", "CreateMultipartUpload", lambda c, b: _stage(S3Tokenized(c, b), b"part")),
    ("s3", "UploadPart", lambda c, b: _stage(S3Tokenized(c, b), b"part")),
    ("s3", "UploadPart", lambda c, b: _stage(S3Tokenized(c, b), b"x" * 9_000_000)),
    ("s3", "CompleteMultipartUpload", lambda c, b: _stage(S3Tokenized(c, b), b"part")),
    ("s3", "CopyObject", lambda c, b: S3Tokenized(c, b).publish(f"s3://{b}/a", f"s3://{b}/b")),
    ("s3", "DeleteObject", lambda c, b: S3Tokenized(c, b).discard_staged([f"s3://{b}/a"])),
    ("s3", "GetObject", lambda c, b: S3Tokenized(c, b).get_receipt("job")),
    ("s3", "PutObject", lambda c, b: S3Tokenized(c, b).put_receipt({"job_id": "job", "status": "failed"})),
    ("s3", "GetObject", lambda c, b: UriLayouts(f"s3://{b}/layouts", c).get("card-present")),
]  # fmt: skip


@pytest.fixture(scope="module")
def clients(local_stack: LocalStack) -> dict[str, tuple[Any, Network]]:
    session = CountedSession(local_stack.session())
    made = {service: session.client(service) for service in ("dynamodb", "kms", "sqs", "s3")}
    return {service: (client, Network(client)) for service, client in made.items()}
