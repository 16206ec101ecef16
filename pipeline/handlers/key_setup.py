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
from botocore.exceptions import ClientError

from pipeline.errors import PantokError, PermanentError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef
    from mypy_boto3_kms import KMSClient

FINGERPRINT_KEY_BYTES = 32  # the output of HMAC-SHA-256, RFC 2104 section 3
ANSWER_TIMEOUT_SECONDS = 10
# The local engine answers without TLS, on the loopback interface only.
LOCAL_ADDRESSES = frozenset({("http", "127.0.0.1"), ("http", "localhost")})


def handler(event: Mapping[str, Any], _context: object) -> None:
    """Answers one custom resource event.

    Raises what delivering the answer raises, and nothing else: Lambda then tries the event again.
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
            item = wrapped_key_item(properties, kms, now)
            insert_if_absent(item, properties["DataKeysTable"], dynamodb)
    except Exception as error:  # noqa: BLE001 - a stack waits for an answer until it times out
        return {**answer, "Status": "FAILED", "Reason": failure_code(error)}
    return {**answer, "Status": "SUCCESS"}


def wrapped_key_item(
    properties: Mapping[str, str], kms: KMSClient, now: datetime
) -> dict[str, AttributeValueTypeDef]:
    """Makes the data key `DataKeyId` under `KeyArn`: its row, as DynamoDB attribute values.

    Raises `ClientError` if KMS refuses.
    """
    context = {"purpose": "fingerprint", "data_key_id": properties["DataKeyId"]}
    wrapped_data_key = kms.generate_data_key_without_plaintext(
        KeyId=properties["KeyArn"],
        NumberOfBytes=FINGERPRINT_KEY_BYTES,
        EncryptionContext=context,
    )
    return {
        "data_key_id": {"S": properties["DataKeyId"]},
        "wrapped_key": {"B": wrapped_data_key["CiphertextBlob"]},
        "key_arn": {"S": properties["KeyArn"]},
        "purpose": {"S": context["purpose"]},
        "encryption_context": {"M": {name: {"S": value} for name, value in context.items()}},
        "created_at": {"S": now.isoformat()},
        "status": {"S": "active"},
    }


def insert_if_absent(
    item: Mapping[str, AttributeValueTypeDef], table: str, dynamodb: DynamoDBClient
) -> None:
    """Inserts the row, or leaves the one that is there: an INSERT cannot overwrite.

    Raises `ClientError` if DynamoDB refuses for another reason.
    """
    fields = ", ".join(f"'{name}': ?" for name in item)
    try:
        dynamodb.execute_statement(
            Statement=f'INSERT INTO "{table}" VALUE {{{fields}}}', Parameters=list(item.values())
        )
    except ClientError as error:
        # Also what our own insert gets, if its first reply was lost.
        if error.response["Error"]["Code"] != "DuplicateItemException":
            raise


def failure_code(error: Exception) -> str:
    """What went wrong, without what an exception's text may carry: table names, ARNs, addresses."""
    if isinstance(error, ClientError):
        return f"{error.operation_name}: {error.response['Error']['Code']}"
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
