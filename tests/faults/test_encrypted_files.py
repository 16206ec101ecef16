"""A fault at each request for the key that opens an encrypted file: it is opened in the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pysequoia
import pytest
from botocore.awsrequest import AWSResponse

from pipeline.aws.decryption_keys import wrapped_private_key
from tests.faults.cloud import QUARANTINE, TOKENIZED, Apply, Cloud, CloudWorker, cloud
from tests.faults.kinds import KINDS, Fault
from tests.faults.schedules import DAY, LAYOUT, PANS

TSK = pysequoia.Tsk.generate("acquirer")
BODY = pysequoia.encrypt(DAY.body, recipients=[TSK.extract_certificate()], armor=False)
KEY = "keys/acquirer.json"
KEYED = f'[decryption]\nkey = "s3+kms:s3://{QUARANTINE}/{KEY}"\n'
FOR_THE_KEY = ("kms.Decrypt", "s3.GetObject")


@contextmanager
def _site() -> Iterator[tuple[Cloud, CloudWorker]]:
    """A deployment with an encrypted file that nobody has opened yet, and a worker."""
    with cloud() as aws:
        wrapped = wrapped_private_key(
            str(TSK).encode(), aws.client("kms"), aws.settings.vault_key_arn, os.urandom
        )
        document = LAYOUT.format(name="sealed", rest=KEYED).encode()
        for key, body in ((KEY, wrapped), ("layouts/sealed.toml", document)):
            aws.client("s3").put_object(Bucket=QUARANTINE, Key=key, Body=body)
        aws.announce(aws.upload("incoming/sealed/day.csv.pgp", BODY))
        yield aws, aws.worker(lambda: lambda: 900.0)


def _work_off(aws: Cloud, worker: CloudWorker) -> None:
    while delivery := aws.receive():
        aws.deliver(delivery, worker if worker.is_alive else aws.worker(worker.seconds_left))
        worker.wire.meddle = None  # whatever was wrong was wrong during one delivery


def _receipts(aws: Cloud) -> list[dict[str, object]]:
    return [json.loads(body) for body in aws.objects(TOKENIZED, "receipts/").values()]


def _places() -> list[int]:
    """Which requests of a run, from 1, may be for the key."""
    with _site() as (aws, worker):
        _work_off(aws, worker)
        assert worker.wire.requests.count("kms.Decrypt") == 2  # of the file, and of fingerprints
        return [at for at, name in enumerate(worker.wire.requests, 1) if name in FOR_THE_KEY]


@pytest.mark.parametrize("kind", ["denied", "throttled", "reply lost once", "killed after"])
def test_a_file_whose_key_cannot_be_had_at_first_is_opened_later(
    kind: str, record_property: pytest.RecordProperty
) -> None:
    places = _places()
    for at in places:
        with _site() as (aws, worker):
            worker.wire.meddle = Fault(kind, at).meddle
            _work_off(aws, worker)
            (receipt,) = _receipts(aws)
            assert receipt["status"] == "committed", at
            assert receipt["rows_written"] == len(PANS), at
            assert len(aws.items("fingerprints")) == len(set(PANS)), at
            assert aws.dead_letters() == [], at
    record_property("cases", len(places))


def test_a_file_whose_key_is_denied_each_time_ends_as_a_dead_letter_that_says_so() -> None:
    def denied(_count: int, operation: str, request: Any, apply: Apply) -> AWSResponse:
        is_for_the_file = operation == "kms.Decrypt" and b"decryption" in bytes(request.body)
        fault = Fault("denied", 1)
        return (
            KINDS["denied"](fault, operation, request, apply) if is_for_the_file else apply(request)
        )

    with _site() as (aws, worker):
        worker.wire.meddle = denied
        while delivery := aws.receive():
            aws.deliver(delivery, worker)
        (letter,) = map(json.loads, aws.dead_letters())
        assert (letter["reason"], letter["attempts"]) == ("access_denied", 5)
        assert aws.items("vault") == []
