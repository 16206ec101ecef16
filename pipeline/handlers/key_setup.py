"""A CloudFormation custom resource: the wrapped key that fingerprints PANs, made once.

KMS makes the key and hands out only its wrapped form, so this function never holds the plaintext
(PCI DSS 3.6.1.2, 3.7.1). A key that exists already is kept whatever the event: another one would
give every known PAN a second fingerprint, and with it a second token.
"""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3

from pipeline.aws.dynamodb_vault import DynamoDBDataKeys
from pipeline.aws.faults import translated
from pipeline.core.receipts import iso_time
from pipeline.errors import PantokError, PermanentError
from pipeline.handlers.edge import contained
from pipeline.model import WrappedDataKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

FINGERPRINT_KEY_BYTES = 32  # the output of HMAC-SHA-256, RFC 2104 section 3
ANSWER_TIMEOUT_SECONDS = 10
# The local engine takes its answers without TLS, on the loopback interface only.
LOCAL_ADDRESSES = frozenset({("http", "127.0.0.1"), ("http", "localhost")})


@contained
def handler(event: Mapping[str, Any], _context: object) -> None:
    """Answers one custom resource event.

    Raises `TransientError` or `PermanentError` when the answer cannot be delivered, and nothing
    else: Lambda then tries the event again.
    """
    answer = answer_to(event, boto3.client("kms"), boto3.client("dynamodb"), datetime.now(UTC))
    deliver(event["ResponseURL"], answer)


def answer_to(
    event: Mapping[str, Any], kms: KMSClient, dynamodb: DynamoDBClient, now: datetime
) -> dict[str, str]:
    """Does what the event asks and returns CloudFormation's answer, whatever happens.

    A deletion keeps the key: the tokens outlive the stack. The physical id never changes, so that
    CloudFormation never asks to replace the key either.
    """
    answer = {
        "PhysicalResourceId": event.get("PhysicalResourceId") or event["LogicalResourceId"],
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    try:
        if event["RequestType"] != "Delete":
            properties = event["ResourceProperties"]
            data_keys = DynamoDBDataKeys(dynamodb, properties["DataKeysTable"])
            data_keys.insert_if_absent(make_data_key(properties, kms, now))
    except Exception as error:  # noqa: BLE001 - a stack waits for an answer until it times out
        return {**answer, "Status": "FAILED", "Reason": failure_code(error)}
    return {**answer, "Status": "SUCCESS"}


def make_data_key(properties: Mapping[str, str], kms: KMSClient, now: datetime) -> WrappedDataKey:
    """The data key `DataKeyId`, wrapped under `KeyArn`; raises `TransientError` if KMS refuses."""
    context = {"purpose": "fingerprint", "data_key_id": properties["DataKeyId"]}
    with translated("kms:GenerateDataKeyWithoutPlaintext"):
        response = kms.generate_data_key_without_plaintext(
            KeyId=properties["KeyArn"],
            NumberOfBytes=FINGERPRINT_KEY_BYTES,
            EncryptionContext=context,
        )
    return WrappedDataKey(
        data_key_id=properties["DataKeyId"],
        wrapped_key=response["CiphertextBlob"],
        key_arn=properties["KeyArn"],
        purpose="fingerprint",
        encryption_context=context,
        created_at=iso_time(now),
    )


def failure_code(error: Exception) -> str:
    """What went wrong, without what the text of others may carry: table names, ARNs, addresses."""
    return str(error) if isinstance(error, PantokError) else type(error).__name__


def deliver(response_url: str, answer: Mapping[str, str]) -> None:
    """Puts the answer to the address that CloudFormation signed for it.

    Raises `PermanentError` for an address without TLS, `OSError` if the answer is not accepted.
    """
    address = urllib.parse.urlsplit(response_url)
    if address.scheme != "https" and (address.scheme, address.hostname) not in LOCAL_ADDRESSES:
        raise PermanentError("response_url_without_tls")
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        response_url,
        data=json.dumps(answer).encode(),
        # The signature covers an empty content type.
        headers={"Content-Type": ""},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_SECONDS):  # noqa: S310 - as above
        pass
