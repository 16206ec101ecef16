"""Settings to what answers the API's requests; nothing here runs at import."""

from __future__ import annotations

import os
import secrets

from pipeline.access import Door
from pipeline.aws.audit_log import CloudWatchAuditLog, LastRequestId
from pipeline.aws.dynamodb_access import DynamoDBGrants, DynamoDBUsages, DynamoDBVaultReader
from pipeline.aws.dynamodb_calls import DynamoDBCalls
from pipeline.aws.dynamodb_vault import DynamoDBDataKeys, DynamoDBFingerprints, DynamoDBVault
from pipeline.aws.kms_approvals import KMSApprovals
from pipeline.aws.kms_keys import KMSKeys
from pipeline.aws.pump import Pump
from pipeline.bulk import Bulk
from pipeline.keys import FingerprintKey
from pipeline.opening import HeldDataKeys, Opening
from pipeline.settings import ApiSettings
from pipeline.succession import SuccessiveFingerprints
from pipeline.tokenize_api import MintingPorts, Tokenizing
from pipeline.wiring import CountedSession, utc_now


def opening_of(settings: ApiSettings, session: CountedSession | None = None) -> Opening:
    """What opens tokens in a deployment."""
    session = session or CountedSession()
    dynamodb, kms = session.client("dynamodb"), session.client("kms")
    data_keys = HeldDataKeys(
        KMSKeys(kms, settings.vault_key_arn),
        DynamoDBDataKeys(dynamodb, settings.data_keys_table),
        utc_now,
        LastRequestId(kms, "Decrypt"),
    )
    calls = DynamoDBCalls(dynamodb, session.credentials)
    vault = DynamoDBVaultReader(calls, Pump(calls.connect), settings.vault_table)
    return Opening(_door(settings, session), vault, data_keys)


def bulk_of(settings: ApiSettings, opening: Opening, session: CountedSession | None = None) -> Bulk:
    """What opens whole files in a deployment."""
    session = session or CountedSession()
    approvals = KMSApprovals(session.client("kms"), settings.bulk_key_arn)
    return Bulk(_door(settings, session), opening, approvals, utc_now, os.urandom)


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
    return Tokenizing(_door(settings, session), ports, fingerprint_key.fingerprinter)


def _door(settings: ApiSettings, session: CountedSession) -> Door:
    dynamodb = session.client("dynamodb")
    return Door(
        DynamoDBGrants(dynamodb, settings.grants_table),
        DynamoDBUsages(dynamodb, settings.limits_table),
        CloudWatchAuditLog(session.client("logs"), settings.audit_log_group, secrets.token_hex(8)),
        utc_now,
    )
