"""What the dead letters promise: in memory, on moto and on the engine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pipeline.aws.sqs_queue import SQSDeadLetters
from pipeline.core.messages import Failure, dead_letter_of_message, dead_letter_of_upload
from pipeline.model import Upload
from pipeline.ports import DeadLetters
from pipeline.testing import A_MOMENT, MemoryDeadLetters

UPLOAD = Upload("quarantine", "incoming/ü/a b+c.csv", "v1")
LETTERS = [
    dead_letter_of_upload(UPLOAD, Failure("unknown_layout", "no layout ü", 1, A_MOMENT)),
    dead_letter_of_message(
        "not json: ü \x00 \U0001f4b3", Failure("malformed_message", "", 2, A_MOMENT)
    ),
]


@dataclass
class Office:
    dead_letters: DeadLetters
    received: Callable[[], list[Any]]


def _queue(client: Any) -> Office:
    url = client.create_queue(QueueName=f"dead-{os.urandom(6).hex()}")["QueueUrl"]

    def received() -> list[Any]:
        found = client.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages", [])
        for message in found:
            letter = json.loads(message["Body"])
            assert message["MessageAttributes"]["reason"]["StringValue"] == letter["reason"]
        return [json.loads(message["Body"]) for message in found]

    return Office(SQSDeadLetters(client, url), received)


@pytest.fixture(params=["memory", "moto", "engine"])
def office(request: pytest.FixtureRequest) -> Iterator[Office]:
    if request.param == "memory":
        memory = MemoryDeadLetters()
        yield Office(memory, lambda: list(memory.letters))
    elif request.param == "engine":
        yield _queue(request.getfixturevalue("local_stack").client("sqs"))
    else:
        with mock_aws():
            yield _queue(boto3.client("sqs"))


@pytest.mark.parametrize("letter", LETTERS)
def test_a_letter_is_received_as_it_was_sent(office: Office, letter: dict[str, Any]) -> None:
    office.dead_letters.send(letter)
    assert office.received() == [letter]


def test_a_letter_that_is_sent_twice_is_there_twice(office: Office) -> None:
    for _ in range(2):
        office.dead_letters.send(LETTERS[0])
    assert office.received() == [LETTERS[0], LETTERS[0]]
