"""Settings to what tokenizes for the API; nothing here runs at import."""

from __future__ import annotations

import os

from pipeline.api_wiring import door_of
from pipeline.aws.dynamodb_calls import DynamoDBCalls
from pipeline.aws.dynamodb_vault import DynamoDBDataKeys, DynamoDBFingerprints, DynamoDBVault
from pipeline.aws.kms_keys import KMSKeys
from pipeline.aws.pump import Pump
from pipeline.aws.session import CountedSession, utc_now
from pipeline.keys import FingerprintKey
from pipeline.settings import ApiSettings
from pipeline.succession import SuccessiveFingerprints
from pipeline.tokenize_api import MintingPorts, Tokenizing


def tokenizing_of(settings: ApiSettings, session: CountedSession | None = None) -> Tokenizing:
    """What tokenizes in a deployment."""
    session = session or CountedSession()
    dynamodb = session.client("dynamodb")
    calls = DynamoDBCalls(dynamodb, session.credentials)
    ports = MintingPorts(
        crew=Pump(calls.connect),
        vault=DynamoDBVault(calls, settings.vault_table),
        fingerprints=SuccessiveFingerprints(
            DynamoDBFingerprints(calls, settings.fingerprints_table)
        ),
        data_key_records=DynamoDBDataKeys(dynamodb, settings.data_keys_table),
        key_service=KMSKeys(session.client("kms"), settings.vault_key_arn),
        clock=utc_now,
        entropy=os.urandom,
    )
    fingerprint_key = FingerprintKey(ports.key_service, ports.data_key_records, ports.clock)
    return Tokenizing(door_of(settings, session, dynamodb), ports, fingerprint_key.fingerprinter)
