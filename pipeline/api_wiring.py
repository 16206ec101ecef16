"""Settings to what opens tokens for the API; nothing here runs at import."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from pipeline.access import Door
from pipeline.aws.audit_log import CloudWatchAuditLog, LastRequestId
from pipeline.aws.dynamodb_access import DynamoDBGrants, DynamoDBUsages, DynamoDBVaultReader
from pipeline.aws.dynamodb_calls import DynamoDBCalls
from pipeline.aws.dynamodb_vault import DynamoDBDataKeys
from pipeline.aws.kms_approvals import KMSApprovals
from pipeline.aws.kms_keys import KMSKeys
from pipeline.aws.pump import Pump
from pipeline.aws.session import CountedSession, utc_now
from pipeline.bulk import Bulk
from pipeline.opening import HeldDataKeys, Opening
from pipeline.settings import ApiSettings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


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
    return Opening(door_of(settings, session, dynamodb), vault, data_keys)


def bulk_of(settings: ApiSettings, opening: Opening, session: CountedSession | None = None) -> Bulk:
    """What opens whole files in a deployment."""
    session = session or CountedSession()
    approvals = KMSApprovals(session.client("kms"), settings.bulk_key_arn)
    door = door_of(settings, session, session.client("dynamodb"))
    return Bulk(door, opening, approvals, utc_now, os.urandom)


def door_of(settings: ApiSettings, session: CountedSession, dynamodb: DynamoDBClient) -> Door:
    """What asks who is calling, counts, and keeps the record."""
    return Door(
        DynamoDBGrants(dynamodb, settings.grants_table),
        DynamoDBUsages(dynamodb, settings.limits_table),
        CloudWatchAuditLog(session.client("logs"), settings.audit_log_group, secrets.token_hex(8)),
        utc_now,
    )
