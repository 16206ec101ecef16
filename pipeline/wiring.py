"""Settings to adapters; nothing here runs at import."""

from __future__ import annotations

import os

from pipeline.aws.decryption_keys import AwsDecryptionKeys
from pipeline.aws.dynamodb_calls import DynamoDBCalls
from pipeline.aws.dynamodb_ledger import DynamoDBLedger
from pipeline.aws.dynamodb_vault import DynamoDBDataKeys, DynamoDBFingerprints, DynamoDBVault
from pipeline.aws.kms_keys import KMSKeys
from pipeline.aws.layout_catalogue import UriLayouts
from pipeline.aws.pump import Pump
from pipeline.aws.s3_objects import S3Quarantine, S3Tokenized
from pipeline.aws.session import CountedSession, utc_now
from pipeline.aws.sqs_queue import SQSDeadLetters, SQSWorkQueue
from pipeline.ports import Ports
from pipeline.settings import Settings
from pipeline.succession import SuccessiveFingerprints


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
