"""A file that ends whatever process reads it: it gets a reason, and nobody else is harmed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from pipeline.aws import sqs_queue
from pipeline.aws.sqs_queue import SQSDeadLetterOffice
from pipeline.model import START
from pipeline.readers import registry
from pipeline.readers.delimited import read_delimited
from tests.faults.cloud import QUARANTINE, TOKENIZED, Cloud, KilledError, cloud
from tests.faults.damage import FOOTER_BYTES, deaths
from tests.faults.schedules import (
    BLOCK_BYTES,
    DAY,
    LAYOUTS,
    PANS,
    SAME_CARDS,
    SCENARIOS,
    staged,
)

CASES = 60
POISON = b"card,note,cvv\n4111111111111111,deadly,1\n"


@pytest.mark.parametrize("format_name", FOOTER_BYTES)
def test_damaged_files_end_no_process(
    format_name: str, record_property: pytest.RecordProperty
) -> None:
    """`python -m tests.faults.damage` reads as many as one likes."""
    assert deaths(format_name, 0, CASES) == []
    record_property("cases", CASES)


def _read(source: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
    """Dies of one file, as a library of another language can; reads the others."""
    content = source.read(len(POISON))
    source.seek(0)
    if content == POISON:
        raise KilledError
    yield from read_delimited(source, *arguments, **options)


@pytest.fixture
def aws() -> Iterator[Cloud]:
    with (
        mock.patch.dict(registry.READERS, {"delimited": _read}),  # type: ignore[dict-item]
        mock.patch.object(sqs_queue, "POLL_SECONDS", 0),
        cloud() as found,
    ):
        layout = LAYOUTS["plain"].encode()
        found.client("s3").put_object(Bucket=QUARANTINE, Key="layouts/plain.toml", Body=layout)
        yield found


def _work_off(aws: Cloud) -> int:
    """Each worker goes on until one dies; says how many did."""
    dead, worker = 0, aws.worker(lambda: lambda: 900.0)
    while delivery := aws.receive():
        aws.deliver(delivery, worker)
        if not worker.is_alive:
            dead, worker = dead + 1, aws.worker(lambda: lambda: 900.0)
    return dead


def test_a_file_that_its_readers_die_of_ends_as_a_dead_letter_and_harms_no_other(
    aws: Cloud,
) -> None:
    poison = aws.upload("incoming/plain/poison.csv", POISON)
    others = [aws.upload(f"incoming/plain/{each.name}", each.body) for each in (DAY, SAME_CARDS)]
    for upload in (others[0], poison, others[1]):
        aws.announce(upload)

    assert _work_off(aws) == 5

    objects = aws.objects(TOKENIZED)
    receipts = {key: json.loads(body) for key, body in objects.items() if key.startswith("rec")}
    assert {f"receipts/{each.job_id}.json" for each in others} == receipts.keys()
    assert {each["status"] for each in receipts.values()} == {"committed"}
    assert not any(poison.job_id in key for key in objects)
    assert len(aws.items("fingerprints")) == len(set(PANS))  # of the poison, nothing
    office = SQSDeadLetterOffice(
        aws.client("sqs"), aws.settings.dead_letter_queue_url, aws.settings.work_queue_url
    )
    with office.letters() as (letter,):
        said = {name: letter.letter[name] for name in ("reason", "job_id", "attempts")}
        assert said == {"reason": "worker_died", "job_id": poison.job_id, "attempts": 5}
        assert letter.replayable is not None


def test_a_chunk_that_its_readers_died_of_is_replayed_as_its_file() -> None:
    deadly = [True]

    def read(source: Any, layout: Any, start: Any = START, *more: Any, **options: Any) -> Any:
        if deadly and start.rows:  # whoever plans comes by the beginning alone
            raise KilledError
        return read_delimited(source, layout, start, *more, block_bytes=BLOCK_BYTES, **options)

    with (
        staged(SCENARIOS["a file of many workers"]) as (stage, said),
        mock.patch.object(sqs_queue, "POLL_SECONDS", 0),
        mock.patch.dict(registry.READERS, {"delimited": read}),  # type: ignore[dict-item]
    ):
        stage.drain()
        assert stage.cloud.objects(TOKENIZED, "receipts/") == {}
        deadly.clear()
        settings = stage.cloud.settings
        office = SQSDeadLetterOffice(
            stage.cloud.client("sqs"), settings.dead_letter_queue_url, settings.work_queue_url
        )
        with office.letters() as letters:
            assert {each.letter["reason"] for each in letters} == {"worker_died"}
            assert len(letters) > 1
            for letter in letters:
                office.replay(letter)
        stage.drain()
        stage.finish(said)
        assert stage.violations == []
