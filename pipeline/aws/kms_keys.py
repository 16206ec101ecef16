"""Data keys from KMS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pipeline.aws.faults import error_code, translated
from pipeline.errors import PermanentError
from pipeline.model import DataKey, WrappedDataKey

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_WRONG_CIPHERTEXT = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class KMSKeys:
    """Generates data keys under the vault key, and unwraps those of the fingerprint key."""

    def __init__(self, client: KMSClient, vault_key_arn: str) -> None:
        self._client = client
        self._vault_key_arn = vault_key_arn

    def generate_data_key(
        self, data_key_id: str, encryption_context: Mapping[str, str], created_at: str
    ) -> tuple[DataKey, WrappedDataKey]:
        """A fresh 256-bit data key under the vault key.

        The encryption context is what ties the CloudTrail event to a job; CloudTrail shows it in
        clear, so it holds ids only.
        """
        with translated("kms:GenerateDataKey"):
            response = self._client.generate_data_key(
                KeyId=self._vault_key_arn,
                KeySpec="AES_256",
                EncryptionContext=dict(encryption_context),
            )
        wrapped = WrappedDataKey(
            data_key_id=data_key_id,
            wrapped_key=response["CiphertextBlob"],
            key_arn=response["KeyId"],
            purpose="vault",
            encryption_context=dict(encryption_context),
            created_at=created_at,
        )
        return DataKey(data_key_id, response["Plaintext"]), wrapped

    def unwrap(self, record: WrappedDataKey) -> DataKey:
        """The plaintext; raises `PermanentError` `data_key_broken` when KMS finds it tampered."""
        with translated("kms:Decrypt"):
            try:
                response = self._client.decrypt(
                    KeyId=record.key_arn,
                    CiphertextBlob=record.wrapped_key,
                    EncryptionContext=dict(record.encryption_context),
                )
            except ClientError as error:
                if error_code(error) in _WRONG_CIPHERTEXT:
                    raise PermanentError("data_key_broken", record.data_key_id) from None
                raise
        return DataKey(record.data_key_id, response["Plaintext"])
