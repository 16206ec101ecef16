"""What one would write otherwise: each tokenizes synthetic cards, one row a card."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from boto3.dynamodb.types import Binary
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.counts import Counts
from pipeline.core.prices import DYNAMODB_WRITE_UNIT, KMS_REQUEST
from pipeline.samples.cards import synthetic_pans

KEY_ALIAS, TABLE = "alias/benchmark", "benchmark"


@contextmanager
def _counted(session: boto3.session.Session) -> Iterator[Counter[str]]:
    calls: Counter[str] = Counter()

    def count(event_name: str, **_: Any) -> None:
        calls[event_name.split(".")[1]] += 1

    session.events.register("before-send", count)
    yield calls


def _counts(cards: int, calls: Counter[str]) -> Counts:
    dollars = cards * DYNAMODB_WRITE_UNIT + calls["kms"] * KMS_REQUEST
    return Counts(cards, cards, calls, dollars)


def kms_per_card(cards: int) -> Counts:
    """The lab flow: kms:Encrypt and PutItem for each card."""
    session = boto3.session.Session()
    with _counted(session) as calls:
        kms, table = session.client("kms"), session.resource("dynamodb").Table(TABLE)
        for pan in synthetic_pans(cards, seed=1):
            sealed = kms.encrypt(KeyId=KEY_ALIAS, Plaintext=pan.encode())["CiphertextBlob"]
            token = f"tok_{secrets.token_hex(13)}"
            table.put_item(Item={"token": token, "ciphertext": sealed, "last4": pan[-4:]})
    return _counts(cards, calls)


def encryption_sdk(cards: int) -> Counts:
    """AWS's client-side encryption library for DynamoDB items, with a KMS materials provider."""
    from dynamodb_encryption_sdk.encrypted.table import EncryptedTable
    from dynamodb_encryption_sdk.identifiers import CryptoAction
    from dynamodb_encryption_sdk.material_providers.aws_kms import (
        AwsKmsCryptographicMaterialsProvider,
    )
    from dynamodb_encryption_sdk.structures import AttributeActions

    session = boto3.session.Session()
    with _counted(session) as calls:
        provider = AwsKmsCryptographicMaterialsProvider(
            key_id=KEY_ALIAS, botocore_session=session._session
        )
        actions = AttributeActions(
            default_action=CryptoAction.DO_NOTHING,
            attribute_actions={"ciphertext": CryptoAction.ENCRYPT_AND_SIGN},
        )
        table = EncryptedTable(
            table=session.resource("dynamodb").Table(TABLE),
            materials_provider=provider,
            attribute_actions=actions,
        )
        for pan in synthetic_pans(cards, seed=1):
            token = f"tok_{secrets.token_hex(13)}"
            table.put_item(Item={"token": token, "ciphertext": pan, "last4": pan[-4:]})
    return _counts(cards, calls)


def batch_writer(cards: int) -> Counts:
    """boto3's batch writer and AES-GCM under one data key: no claim, so a card has many tokens."""
    session = boto3.session.Session()
    with _counted(session) as calls:
        key = session.client("kms").generate_data_key(KeyId=KEY_ALIAS, KeySpec="AES_256")[
            "Plaintext"
        ]
        cipher = AESGCM(key)
        table = session.resource("dynamodb").Table(TABLE)
        with table.batch_writer() as batch:
            for pan in synthetic_pans(cards, seed=1):
                nonce = os.urandom(12)
                token = f"tok_{secrets.token_hex(13)}"
                sealed = nonce + cipher.encrypt(nonce, pan.encode(), token.encode())
                item = {"token": token, "ciphertext": Binary(sealed), "last4": pan[-4:]}
                batch.put_item(Item=item)
    return _counts(cards, calls)


RIVALS: dict[str, Callable[[int], Counts]] = {
    "kms:Encrypt + PutItem per card": kms_per_card,
    "dynamodb-encryption-sdk per item": encryption_sdk,
    "batch_writer + AES-GCM, no claim": batch_writer,
}
