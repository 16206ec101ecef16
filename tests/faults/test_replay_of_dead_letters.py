"""A fault at every AWS request of a replay of dead letters: no message is lost, ever."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from unittest import mock

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from pipeline.aws import sqs_queue
from pipeline.aws.sqs_queue import SQSDeadLetterOffice
from pipeline.errors import PantokError
from tests.faults.cloud import QUARANTINE, REGION, TOKENIZED, Cloud, KilledError, Wire, cloud
from tests.faults.kinds import Fault
from tests.faults.schedules import LAYOUT, File

FILES = [File(f"{name}.csv", "late-layout", ("4111111111111111",)) for name in "ab"]
INTERRUPTIONS = [
    "unreachable",
    "reply lost once",
    "replies lost",
    "throttled",
    "killed before",
    "killed after",
    "overtaken before",
    "overtaken after",
]
ANYBODY = lambda: lambda: 900.0  # noqa: E731 - a worker with all the time in the world


@pytest.fixture(autouse=True)
def _impatient() -> Iterator[None]:
    with mock.patch.object(sqs_queue, "POLL_SECONDS", 0):
        yield


def _keeper(cloud: Cloud, wire: Wire) -> SQSDeadLetterOffice:
    sqs = cloud.session.client("sqs")
    wire.attach(sqs)
    settings = cloud.settings
    return SQSDeadLetterOffice(sqs, settings.dead_letter_queue_url, settings.work_queue_url)


def _work_off(cloud: Cloud) -> None:
    worker = cloud.worker(ANYBODY)
    while delivery := cloud.receive():
        cloud.deliver(delivery, worker)


def _replay_all(keeper: SQSDeadLetterOffice) -> None:
    with keeper.letters() as held:
        for letter in held:
            keeper.replay(letter)


def _failed_files(cloud: Cloud) -> None:
    """Files whose layout is missing, and is there by the time of the replay."""
    for file in FILES:
        cloud.announce(cloud.upload(f"incoming/{file.layout}/{file.name}", file.body))
    _work_off(cloud)
    layout = LAYOUT.format(name="late-layout", rest="").encode()
    cloud.client("s3").put_object(Bucket=QUARANTINE, Key="layouts/late-layout.toml", Body=layout)


def _requests_of_a_replay() -> int:
    with cloud() as aws:
        _failed_files(aws)
        wire = Wire()
        _replay_all(_keeper(aws, wire))
        return len(wire.requests)


def _violations(kind: str, at: int) -> Iterator[str]:
    with cloud() as aws:
        _failed_files(aws)
        wire = Wire()

        def overtake() -> None:
            _replay_all(_keeper(aws, Wire()))
            _work_off(aws)

        wire.meddle = Fault(kind, at, overtake=overtake).meddle
        with suppress(PantokError, ClientError, BotoCoreError, KilledError):
            _replay_all(_keeper(aws, wire))
        _the_keeper_comes_back(aws)
        yield from _of_what_is_left(aws)


def _the_keeper_comes_back(aws: Cloud) -> None:
    """An hour later: letters that the replay held, or whose receipt was lost, are there again."""
    backend = sqs_backends[DEFAULT_ACCOUNT_ID][REGION]
    for message in backend.queues["dead-letters"]._messages:
        message.change_visibility(0)
    _replay_all(_keeper(aws, Wire()))


def _of_what_is_left(aws: Cloud) -> Iterator[str]:
    _work_off(aws)
    objects = aws.objects(TOKENIZED)
    receipts = [json.loads(body) for key, body in objects.items() if key.startswith("receipts/")]
    if [each["status"] for each in receipts] != ["committed"] * len(FILES):
        yield "a file was lost"
    if sum(key.startswith("data/") for key in objects) != len(FILES):
        yield "a part was lost or doubled"
    if aws.dead_letters():
        yield "a letter is left that was replayed"
    if len(aws.items("vault")) != 1:
        yield "not one token per card"


@pytest.mark.parametrize("kind", INTERRUPTIONS)
def test_a_fault_at_any_request_of_a_replay_loses_nothing(
    kind: str, record_property: pytest.RecordProperty
) -> None:
    places = range(1, _requests_of_a_replay() + 1)
    record_property("cases", len(places))
    violations = {at: list(_violations(kind, at)) for at in places}
    assert not {at: found for at, found in violations.items() if found}
