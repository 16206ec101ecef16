"""Settings to adapters; nothing here runs at import."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from pipeline.aws.decryption_keys import AwsDecryptionKeys
from pipeline.aws.dynamodb_calls import DynamoDBCalls
from pipeline.aws.dynamodb_ledger import DynamoDBLedger
from pipeline.aws.dynamodb_vault import DynamoDBDataKeys, DynamoDBFingerprints, DynamoDBVault
from pipeline.aws.kms_keys import KMSKeys
from pipeline.aws.layout_catalogue import UriLayouts
from pipeline.aws.pump import Pump
from pipeline.aws.s3_objects import S3Quarantine, S3Tokenized
from pipeline.aws.signing import FrozenCredentials
from pipeline.aws.sqs_queue import SQSDeadLetters, SQSWorkQueue
from pipeline.errors import TransientError
from pipeline.ports import Ports
from pipeline.settings import Settings
from pipeline.succession import SuccessiveFingerprints

CLIENT_CONFIG = Config(
    connect_timeout=3,
    read_timeout=20,
    retries={"mode": "standard", "max_attempts": 6},
    parameter_validation=False,  # half of a call's CPU time; the adapters' tests validate instead
)


class CountedSession:
    """A boto3 session whose clients count every request that they send, retries included."""

    def __init__(self, session: boto3.session.Session | None = None) -> None:
        self._session = session or boto3.session.Session()
        self._calls: dict[str, Counter[str]] = defaultdict(Counter)
        self._session.events.register("before-send", self._count)

    def client(self, service: str) -> Any:
        """A client of that service."""
        return self._session.client(service, config=CLIENT_CONFIG)  # type: ignore[call-overload]

    def credentials(self) -> FrozenCredentials:
        """What is signed with at this moment; raises `TransientError` where there is nothing."""
        credentials = self._session.get_credentials()
        if credentials is None:
            raise TransientError("no_credentials", "AWS credentials are not configured")
        return credentials.get_frozen_credentials()

    def snapshot(self) -> Mapping[str, Mapping[str, int]]:
        """Requests so far, by service and operation."""
        return {service: dict(counts) for service, counts in self._calls.items()}

    def _count(self, event_name: str, **_kwargs: object) -> None:
        service, operation = event_name.split(".", 2)[1:]
        self._calls[service][operation] += 1


def utc_now() -> datetime:
    """Now, with the time zone UTC."""
    return datetime.now(UTC)


def ports_of(settings: Settings, session: CountedSession | None = None) -> Ports:
    """The AWS adapters of a deployment."""
    session = session or CountedSession()
    dynamodb, s3, sqs, kms = map(session.client, ("dynamodb", "s3", "sqs", "kms"))
    calls = DynamoDBCalls(dynamodb, session.credentials)
    return Ports(
        quarantine=S3Quarantine(s3, settings.quarantine_bucket),
        tokenized=S3Tokenized(s3, settings.tokenized_bucket, settings.quarantine_bucket),
        crew=Pump(calls.connect),
        vault=DynamoDBVault(calls, settings.vault_table),
        fingerprints=SuccessiveFingerprints(
            DynamoDBFingerprints(calls, settings.fingerprints_table)
        ),
        data_key_records=DynamoDBDataKeys(dynamodb, settings.data_keys_table),
        key_service=KMSKeys(kms, settings.vault_key_arn),
        ledger=DynamoDBLedger(dynamodb, settings.jobs_table),
        layouts=UriLayouts(settings.layouts_uri, s3),
        work_queue=SQSWorkQueue(sqs, settings.work_queue_url),
        dead_letters=SQSDeadLetters(sqs, settings.dead_letter_queue_url),
        calls=session,
        clock=utc_now,
        entropy=os.urandom,
        decryption_keys=AwsDecryptionKeys(lambda: session.client("secretsmanager"), s3, kms),
    )
