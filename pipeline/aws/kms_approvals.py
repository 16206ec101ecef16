"""Approvals of bulk jobs: KMS grants that hold for the encryption context of one job alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.faults import error_code, translated
from pipeline.core.bulk import Approval, BulkJob

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

JOB_KEY_BYTES = 32
_NOT_THIS = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_DENIED = frozenset({"AccessDeniedException"})
_GONE = frozenset({"NotFoundException", "InvalidGrantIdException"})


class KMSApprovals:
    """As the API sees them: it can describe jobs and cannot unwrap their keys unless approved."""

    def __init__(self, client: KMSClient, key_arn: str) -> None:
        self._client = client
        self._key_arn = key_arn

    def describe(self, job: BulkJob) -> bytes:
        """A key that nobody has seen the plaintext of, wrapped in the job's context."""
        with translated("kms:GenerateDataKeyWithoutPlaintext"):
            response = self._client.generate_data_key_without_plaintext(
                KeyId=self._key_arn,
                NumberOfBytes=JOB_KEY_BYTES,
                EncryptionContext=job.encryption_context,
            )
        return response["CiphertextBlob"]

    def find(self, job: BulkJob) -> Sequence[Approval]:
        """The grants for exactly this context, and for decrypting alone; the latest first."""
        wanted = {"EncryptionContextEquals": job.encryption_context}
        found = [
            Approval(grant["GrantId"], grant["CreationDate"])
            for grant in self._grants()
            if grant.get("Constraints") == wanted and grant["Operations"] == ["Decrypt"]
        ]
        return sorted(found, key=lambda approval: approval.made_at, reverse=True)

    def proves(self, job: BulkJob, wrapped_key: bytes) -> bool:
        """False when KMS denies it, or when key and job do not belong together."""
        with translated("kms:Decrypt"):
            try:
                self._client.decrypt(
                    KeyId=self._key_arn,
                    CiphertextBlob=wrapped_key,
                    EncryptionContext=job.encryption_context,
                )
            except ClientError as error:
                if error_code(error) in _NOT_THIS | _DENIED:
                    return False
                raise
        return True

    def end(self, approval: Approval) -> None:
        """Retires the grant."""
        with translated("kms:RetireGrant"):
            try:
                self._client.retire_grant(KeyId=self._key_arn, GrantId=approval.grant_id)
            except ClientError as error:
                if error_code(error) not in _GONE:
                    raise

    def _grants(self) -> Iterator[Any]:
        with translated("kms:ListGrants"):
            for page in self._client.get_paginator("list_grants").paginate(KeyId=self._key_arn):
                yield from page["Grants"]


def approve(client: KMSClient, key_arn: str, role_arn: str, job: BulkJob) -> str:
    """Lets the role decrypt in the job's context, and retire that right; returns the grant's id."""
    with translated("kms:CreateGrant"):
        response = client.create_grant(
            KeyId=key_arn,
            Name=job.job_id,
            GranteePrincipal=role_arn,
            RetiringPrincipal=role_arn,
            Operations=["Decrypt"],
            Constraints={"EncryptionContextEquals": job.encryption_context},
        )
    return response["GrantId"]
