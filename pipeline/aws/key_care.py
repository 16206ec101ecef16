"""Wrapped data keys in DynamoDB and the keys in KMS, for those who renew or destroy them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.dynamodb_vault import KEY_RING_ID, DynamoDBDataKeys, wrapped_data_key
from pipeline.aws.faults import error_code, translated
from pipeline.core.keyring import KeyRing
from pipeline.errors import PermanentError, TransientError
from pipeline.model import WrappedDataKey
from pipeline.vault_care.ports import KeptDataKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

FINGERPRINT_KEY_BYTES = 32  # the output of HMAC-SHA-256, RFC 2104 section 3
_UNKNOWN_TO_THE_LOCAL_ENGINE = "InvalidAction"  # its keys do not rotate
_REFUSED = "ConditionalCheckFailedException"
_WRONG_CIPHERTEXT = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class DynamoDBKeyStore(DynamoDBDataKeys):
    """The table of wrapped data keys, with all that a keeper may do to it."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        super().__init__(client, table)
        self._keeper, self._name = client, table

    def all(self) -> Iterator[KeptDataKey]:
        """Every record; the key ring, which lies in the same table, is none."""
        start: dict[str, Any] = {}
        while True:
            with translated("dynamodb:Scan"):
                page = self._keeper.scan(TableName=self._name, ConsistentRead=True, **start)
            items: list[Any] = page["Items"]
            yield from map(_kept, (item for item in items if "wrapped_key" in item))
            if not page.get("LastEvaluatedKey"):
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def replace(self, old: WrappedDataKey, new: WrappedDataKey, rewrapped_at: str) -> bool:
        """Replaces the wrapped form if it is still the old one.

        Our own write whose reply was lost, and which the SDK repeated, is told by the new form.
        """
        is_done = self._update(
            old.data_key_id,
            "SET wrapped_key = :new, key_arn = :arn, rewrapped_at = :at",
            "wrapped_key = :old",
            {
                ":new": {"B": new.wrapped_key},
                ":arn": {"S": new.key_arn},
                ":at": {"S": rewrapped_at},
                ":old": {"B": old.wrapped_key},
            },
        )
        item = None if is_done else self._get(old.data_key_id)
        return is_done or (item is not None and bytes(item["wrapped_key"]["B"]) == new.wrapped_key)

    def destroy(self, record: WrappedDataKey) -> None:
        """Deletes the record."""
        with translated("dynamodb:DeleteItem"):
            self._keeper.delete_item(
                TableName=self._name, Key={"data_key_id": {"S": record.data_key_id}}
            )

    def save_key_ring(self, ring: KeyRing) -> None:
        """Saves the generation that follows the one in the table.

        A repetition of our own write, its reply lost, finds its own document there.
        """
        document = json.dumps(ring.as_json(), sort_keys=True)
        values: dict[str, Any] = {
            ":document": {"S": document},
            ":generation": {"N": str(ring.generation)},
        }
        condition = "attribute_not_exists(generation)"
        if ring.generation > 1:
            condition = "generation = :before"
            values[":before"] = {"N": str(ring.generation - 1)}
        update = "SET #document = :document, generation = :generation"
        is_done = self._update(KEY_RING_ID, update, condition, values, {"#document": "document"})
        if not is_done and self.key_ring() != ring:
            raise TransientError("key_ring_changed", "somebody else changed it meanwhile")

    def _update(
        self,
        data_key_id: str,
        update: str,
        condition: str,
        values: dict[str, Any],
        names: dict[str, str] | None = None,
    ) -> bool:
        request: Any = {
            "TableName": self._name,
            "Key": {"data_key_id": {"S": data_key_id}},
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
        }
        if names:
            request["ExpressionAttributeNames"] = names
        with translated("dynamodb:UpdateItem"):
            try:
                self._keeper.update_item(**request)
            except ClientError as error:
                if error_code(error) == _REFUSED:
                    return False
                raise
        return True


def _kept(item: Any) -> KeptDataKey:
    rewrapped_at = item["rewrapped_at"]["S"] if "rewrapped_at" in item else None
    return KeptDataKey(wrapped_data_key(item), rewrapped_at)


class KMSRenewal:
    """Keys renewed inside of KMS: nothing here ever sees a plaintext."""

    def __init__(self, client: KMSClient) -> None:
        self._client = client

    def rewrap(self, record: WrappedDataKey, key_arn: str) -> WrappedDataKey:
        """The data key under the newest material of the key, in the same encryption context."""
        context = dict(record.encryption_context)
        with translated("kms:ReEncrypt"):
            try:
                response = self._client.re_encrypt(
                    CiphertextBlob=record.wrapped_key,
                    SourceKeyId=record.key_arn,
                    SourceEncryptionContext=context,
                    DestinationKeyId=key_arn,
                    DestinationEncryptionContext=context,
                )
            except ClientError as error:
                if error_code(error) in _WRONG_CIPHERTEXT:
                    raise PermanentError("data_key_broken", record.data_key_id) from None
                raise
        return WrappedDataKey(
            data_key_id=record.data_key_id,
            wrapped_key=response["CiphertextBlob"],
            key_arn=response["KeyId"],
            purpose=record.purpose,
            encryption_context=context,
            created_at=record.created_at,
        )

    def generate_wrapped(
        self, data_key_id: str, encryption_context: Mapping[str, str], key_arn: str, created_at: str
    ) -> WrappedDataKey:
        """A fresh fingerprint key; KMS hands out only its wrapped form."""
        with translated("kms:GenerateDataKeyWithoutPlaintext"):
            response = self._client.generate_data_key_without_plaintext(
                KeyId=key_arn,
                NumberOfBytes=FINGERPRINT_KEY_BYTES,
                EncryptionContext=dict(encryption_context),
            )
        return WrappedDataKey(
            data_key_id=data_key_id,
            wrapped_key=response["CiphertextBlob"],
            key_arn=key_arn,
            purpose="fingerprint",
            encryption_context=dict(encryption_context),
            created_at=created_at,
        )

    def rotate(self, key_arn: str) -> None:
        """RotateKeyOnDemand; KMS allows 25 of them in the life of a key."""
        with translated("kms:RotateKeyOnDemand"):
            self._client.rotate_key_on_demand(KeyId=key_arn)

    def rotated_at(self, key_arn: str) -> datetime | None:
        """When the key was rotated last, on demand or by its schedule."""
        with translated("kms:ListKeyRotations"):
            try:
                pages = self._client.get_paginator("list_key_rotations").paginate(KeyId=key_arn)
                dates = [each["RotationDate"] for page in pages for each in page["Rotations"]]
            except ClientError as error:
                if error_code(error) == _UNKNOWN_TO_THE_LOCAL_ENGINE:
                    return None
                raise
        return max(dates, default=None)
