"""The work queue and the dead-letter queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.aws.faults import translated

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MAX_POSTPONE_SECONDS = 12 * 3600  # SQS's limit for a visibility timeout


class SQSDeadLetters:
    """Dead letters, each with its reason as a message attribute."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, letter: Mapping[str, Any]) -> None:
        """Adds a dead letter."""
        with translated("sqs:SendMessage"):
            self._client.send_message(
                QueueUrl=self._queue_url,
                MessageBody=orjson.dumps(letter).decode(),
                MessageAttributes={
                    "reason": {"DataType": "String", "StringValue": str(letter["reason"])}
                },
            )


class SQSWorkQueue:
    """The queue that the worker is fed from."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def postpone(self, receipt_handle: str, seconds: int) -> None:
        """Hides a received message for that long before it is delivered again."""
        with translated("sqs:ChangeMessageVisibility"):
            self._client.change_message_visibility(
                QueueUrl=self._queue_url,
                ReceiptHandle=receipt_handle,
                VisibilityTimeout=min(seconds, MAX_POSTPONE_SECONDS),
            )
