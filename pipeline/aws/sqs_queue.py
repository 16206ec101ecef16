"""The work queue and the dead-letter queue."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.faults import translated
from pipeline.core.messages import read_dead_letter, replayable_message
from pipeline.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MESSAGES_PER_CALL = 10  # SQS's limit for SendMessageBatch
POLL_SECONDS = 1  # how long an answer may take, so that all of SQS's servers are asked
HELD_SECONDS = 60  # how long letters stay hidden while somebody looks at them
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
                MessageBody=json.dumps(letter),
                MessageAttributes={
                    "reason": {"DataType": "String", "StringValue": str(letter["reason"])}
                },
            )


class SQSWorkQueue:
    """The queue that the worker is fed from."""

    def __init__(self, client: SQSClient, queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send_all(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Adds messages, durably; raises `TransientError` when one of them cannot be added."""
        for start in range(0, len(messages), MESSAGES_PER_CALL):
            entries: Any = [
                {"Id": str(at), "MessageBody": json.dumps(message)}
                for at, message in enumerate(messages[start : start + MESSAGES_PER_CALL])
            ]
            with translated("sqs:SendMessage"):
                response = self._client.send_message_batch(
                    QueueUrl=self._queue_url, Entries=entries
                )
            if response.get("Failed"):
                raise TransientError("aws_error", "sqs:SendMessage: not all messages were taken")

    def depth(self) -> tuple[int, int]:
        """About how many messages wait, and how many a worker holds."""
        with translated("sqs:GetQueueAttributes"):
            response = self._client.get_queue_attributes(
                QueueUrl=self._queue_url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesDelayed",
                    "ApproximateNumberOfMessagesNotVisible",
                ],
            )
        counts = response.get("Attributes", {})
        waiting = int(counts.get("ApproximateNumberOfMessages", 0))
        waiting += int(counts.get("ApproximateNumberOfMessagesDelayed", 0))
        return waiting, int(counts.get("ApproximateNumberOfMessagesNotVisible", 0))

    def postpone(self, receipt_handle: str, seconds: int) -> None:
        """Hides a received message for that long before it is delivered again."""
        with translated("sqs:ChangeMessageVisibility"):
            self._client.change_message_visibility(
                QueueUrl=self._queue_url,
                ReceiptHandle=receipt_handle,
                VisibilityTimeout=min(seconds, MAX_POSTPONE_SECONDS),
            )


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in the dead-letter queue, received and so hidden from others for a while.

    `letter` is what the worker wrote. A message that SQS moved by itself, because its worker died
    each time, has no reason of its own: it gets `worker_died`.
    """

    message_id: str
    letter: Mapping[str, Any]
    receipt_handle: str = field(repr=False)
    replayable: str | None = field(repr=False)


class SQSDeadLetterOffice:
    """The dead-letter queue as seen by its keeper."""

    def __init__(self, client: SQSClient, dead_letter_queue_url: str, work_queue_url: str) -> None:
        self._client = client
        self._dead_letter_queue_url = dead_letter_queue_url
        self._work_queue_url = work_queue_url

    @contextmanager
    def letters(self) -> Iterator[list[DeadLetter]]:
        """All letters, hidden from other readers until the context ends."""
        held: dict[str, DeadLetter] = {}
        deliveries = self._deliveries()
        try:
            while fresh := self._receive(deliveries):
                is_known = held.keys() >= {letter.message_id for letter in fresh}
                held.update((letter.message_id, letter) for letter in fresh)
                if is_known:  # the first ones are visible again
                    break
            yield list(held.values())
        finally:
            for letter in held.values():
                self._release(letter)

    def replay(self, letter: DeadLetter) -> None:
        """Sends the message to the work queue, then deletes the letter.

        Cut off between the two, the letter stays and can be replayed again: a job that was
        committed meanwhile is left as it is. Raises `PermanentError` `not_replayable`.
        """
        if letter.replayable is None:
            raise PermanentError("not_replayable", "the letter does not hold its message")
        with translated("sqs:SendMessage"):
            self._client.send_message(QueueUrl=self._work_queue_url, MessageBody=letter.replayable)
        with translated("sqs:DeleteMessage"):
            self._client.delete_message(
                QueueUrl=self._dead_letter_queue_url, ReceiptHandle=letter.receipt_handle
            )

    def _deliveries(self) -> int:
        """How often the work queue delivers a message before SQS moves it here."""
        with translated("sqs:GetQueueAttributes"):
            response = self._client.get_queue_attributes(
                QueueUrl=self._work_queue_url, AttributeNames=["RedrivePolicy"]
            )
        policy = json.loads(response.get("Attributes", {}).get("RedrivePolicy", "{}"))
        return int(policy.get("maxReceiveCount", 0))

    def _receive(self, deliveries: int) -> list[DeadLetter]:
        with translated("sqs:ReceiveMessage"):
            response = self._client.receive_message(
                QueueUrl=self._dead_letter_queue_url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=HELD_SECONDS,
                WaitTimeSeconds=POLL_SECONDS,
                MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            )
        return [_dead_letter(message, deliveries) for message in response.get("Messages", [])]

    def _release(self, letter: DeadLetter) -> None:
        with suppress(ClientError):  # a replayed letter is gone
            self._client.change_message_visibility(
                QueueUrl=self._dead_letter_queue_url,
                ReceiptHandle=letter.receipt_handle,
                VisibilityTimeout=0,
            )


def _dead_letter(message: Any, deliveries: int) -> DeadLetter:
    letter = read_dead_letter(message["Body"], _sent_at(message), deliveries)
    return DeadLetter(
        message_id=message["MessageId"],
        letter=letter,
        receipt_handle=message["ReceiptHandle"],
        replayable=replayable_message(letter),
    )


def _sent_at(message: Any) -> datetime:
    milliseconds = int(message.get("Attributes", {}).get("SentTimestamp", "0"))
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
