"""Settings, adapters and the whole of a job's AWS calls; on the local engine."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import pytest
from botocore.config import Config

from pipeline.aws import session as aws_session
from pipeline.aws.session import CountedSession
from pipeline.errors import PermanentError
from pipeline.handlers import work_queue
from pipeline.job import Worker, run_job
from pipeline.keys import FingerprintKey
from pipeline.local import LocalStack
from pipeline.model import Upload
from pipeline.samples.cards import synthetic_pans
from pipeline.settings import Settings
from pipeline.testing import s3_event, sqs_event
from pipeline.wiring import ports_of
from tests.component.test_worker import Context
from tests.network import Network, lost, unreachable

LAYOUT = b'name = "x"\nscope = "SCOPE"\n[columns.card]\nrole = "pan"\n'


@dataclass
class Site:
    """The tables and keys of the local stack, with a bucket and queues that no function serves."""

    stack: LocalStack
    settings: Settings

    def upload(self, pans: list[str]) -> Upload:
        bucket, key = self.settings.quarantine_bucket, "incoming/x/a b+ü.csv"
        body = "\n".join(["card", *pans, ""]).encode()
        put = self.stack.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
        return Upload(bucket, key, put["VersionId"])

    def worker(self, session: CountedSession) -> Worker:
        ports = ports_of(self.settings, session)
        key = FingerprintKey(ports.key_service, ports.data_key_records, ports.clock)
        return Worker(ports, key.fingerprinter, memory_gb=1.7)

    @property
    def environment(self) -> dict[str, str]:
        fields = dataclasses.asdict(self.settings).items()
        return {f"PANTOK_{name.upper()}": value for name, value in fields} | {
            "AWS_ENDPOINT_URL": self.stack.endpoint_url
        }


@pytest.fixture
def site(local_stack: LocalStack) -> Site:
    s3, sqs, outputs = local_stack.client("s3"), local_stack.client("sqs"), local_stack.outputs
    name = f"site-{os.urandom(6).hex()}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    layout = LAYOUT.replace(b"SCOPE", name.encode())
    s3.put_object(Bucket=name, Key="layouts/x.toml", Body=layout)
    return Site(
        local_stack,
        Settings(
            quarantine_bucket=name,
            tokenized_bucket=name,
            work_queue_url=sqs.create_queue(QueueName=f"{name}-work")["QueueUrl"],
            dead_letter_queue_url=sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"],
            vault_table=outputs["VaultTable"],
            fingerprints_table=outputs["FingerprintsTable"],
            data_keys_table=outputs["DataKeysTable"],
            jobs_table=outputs["JobsTable"],
            vault_key_arn=outputs["VaultKeyArn"],
            layouts_uri=f"s3://{name}/layouts",
        ),
    )


@pytest.fixture
def session(local_stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> CountedSession:
    """Its clients check every parameter, which those of the product leave out."""
    checking = aws_session.CLIENT_CONFIG.merge(Config(parameter_validation=True))
    monkeypatch.setattr(aws_session, "CLIENT_CONFIG", checking)
    return CountedSession(local_stack.session())


OBJECT_CALLS = {
    "CopyObject": 1,
    "DeleteObject": 1,
    "GetObject": 4,  # rules for folders, the layout, the file, the receipt not there yet
    "HeadObject": 1,
    "PutObject": 2,  # the part and the receipt
    "PutObjectTagging": 1,
}
JOB_CALLS = {
    "UpdateItem": 3,  # start, claim the content, commit
    "TransactWriteItems": 1,  # decide
    "GetItem": 1,  # the decision that stands
}
FIRST_JOB_CALLS = {"GetItem": 3}  # key ring and wrapped fingerprint key, beside that


def _run(site: Site, session: CountedSession, upload: Upload) -> dict[str, dict[str, int]]:
    run_job(upload, site.worker(session), lambda: 900.0)
    return {service: dict(calls) for service, calls in session.snapshot().items()}


@pytest.mark.parametrize("count", [1, 25, 26, 130])
def test_a_file_of_new_cards_makes_these_calls_and_no_other(
    site: Site, session: CountedSession, count: int
) -> None:
    pans = synthetic_pans(count, seed=count)
    inserts = 2 * ceil(count / 25) + 1
    assert _run(site, session, site.upload([*pans, *pans])) == {
        "dynamodb": {
            **JOB_CALLS,
            **FIRST_JOB_CALLS,
            "BatchGetItem": ceil(count / 100),
            "BatchExecuteStatement": inserts,
        },
        "kms": {"Decrypt": 1, "GenerateDataKey": 1},
        "s3": OBJECT_CALLS,
    }


def test_a_file_of_known_cards_makes_these_calls_and_no_other(
    site: Site, session: CountedSession
) -> None:
    pans = synthetic_pans(101, seed=7)
    run_job(site.upload(pans), site.worker(CountedSession(site.stack.session())), lambda: 900.0)
    assert _run(site, session, site.upload(pans[::-1])) == {
        "dynamodb": {**JOB_CALLS, **FIRST_JOB_CALLS, "BatchGetItem": 2},
        "kms": {"Decrypt": 1},
        "s3": OBJECT_CALLS,
    }


def test_a_file_that_is_committed_already_makes_two_calls(
    site: Site, session: CountedSession
) -> None:
    upload = site.upload(synthetic_pans(1, seed=8))
    run_job(upload, site.worker(CountedSession(site.stack.session())), lambda: 900.0)
    assert _run(site, session, upload) == {"dynamodb": {"GetItem": 1, "UpdateItem": 1}}


def test_a_receipt_counts_the_calls_of_its_own_job_only(site: Site) -> None:
    worker = site.worker(CountedSession(site.stack.session()))
    first, second = (site.upload(synthetic_pans(1, seed=seed)) for seed in (9, 10))
    calls = [run_job(each, worker, lambda: 900.0)["aws_calls"] for each in (first, second)]
    assert calls[0]["kms"] == {"Decrypt": 1, "GenerateDataKey": 1}
    assert calls[1] == {
        "dynamodb": {"BatchExecuteStatement": 3, "BatchGetItem": 1, "UpdateItem": 2},
        "kms": {"GenerateDataKey": 1},
        "s3": {"GetObject": 3, "HeadObject": 1, "PutObject": 1},
    }


@pytest.mark.usefixtures("pauses")
def test_requests_are_counted_with_their_repetitions(site: Site) -> None:
    session = CountedSession(site.stack.session())
    client = session.client("sqs")
    Network(client).script("ListQueues", unreachable, lost)
    client.list_queues()
    assert session.snapshot() == {"sqs": {"ListQueues": 3}}


# The worker that Lambda makes of its environment


@pytest.fixture
def deployed(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    work_queue.consumer.cache_clear()
    yield site
    work_queue.consumer.cache_clear()


def _receive(site: Site, url: str) -> list[Any]:
    found = site.stack.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [json.loads(message["Body"]) for message in found.get("Messages", [])]


def test_the_worker_of_an_environment_tokenizes_with_what_the_environment_names(
    deployed: Site,
) -> None:
    upload = deployed.upload(synthetic_pans(3, seed=11))
    answer = work_queue.handler(sqs_event(s3_event(upload), "{"), Context())
    assert answer == {"batchItemFailures": []}
    receipt = ports_of(
        deployed.settings, CountedSession(deployed.stack.session())
    ).tokenized.get_receipt(upload.job_id)
    assert receipt is not None
    assert (receipt["status"], receipt["rows_written"]) == ("committed", 3)
    (letter,) = _receive(deployed, deployed.settings.dead_letter_queue_url)
    assert letter["reason"] == "malformed_message"
    assert work_queue.consumer() is work_queue.consumer()


@pytest.mark.parametrize("name", ["PANTOK_VAULT_TABLE", "PANTOK_LAYOUTS_URI"])
def test_a_worker_without_its_settings_fails_loudly_and_names_them(
    deployed: Site, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(PermanentError) as raised:
        work_queue.handler(sqs_event("{"), Context())
    assert (raised.value.code, raised.value.detail) == ("missing_settings", name)
