"""Private keys that open encrypted uploads: in Secrets Manager, or wrapped by KMS in a bucket."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pipeline.aws.faults import error_code, translated
from pipeline.core.envelope import DATA_KEY_BYTES, NONCE_BYTES
from pipeline.errors import PermanentError
from pipeline.model import PrivateKey

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

SECRET_SCHEME = "secretsmanager:"
OBJECT_SCHEME = "s3+kms:s3://"
MAX_OBJECT_BYTES = 1024 * 1024  # a private key with many subkeys has some tens of kilobytes
ENCRYPTION_CONTEXT = {"purpose": "decryption"}

_ASSOCIATED_DATA = b"pantok decryption key 1"
_ABSENT = frozenset(
    {"ResourceNotFoundException", "InvalidRequestException", "NoSuchKey", "NoSuchBucket", "404"}
)
_WRONG_CIPHERTEXT = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class AwsDecryptionKeys:
    """Fetches a key each time it is needed, and keeps none.

    Clients of Secrets Manager are made by `secrets`, and only when a layout asks for one.
    """

    def __init__(self, secrets: Callable[[], Any], s3: S3Client, kms: KMSClient) -> None:
        self._secrets = secrets
        self._s3 = s3
        self._kms = kms

    def get(self, uri: str) -> PrivateKey:
        """The key that `secretsmanager:NAME` or `s3+kms:URI` names."""
        if uri.startswith(SECRET_SCHEME):
            return _private_key(self._secret(uri.removeprefix(SECRET_SCHEME)), uri)
        if uri.startswith(OBJECT_SCHEME):
            return _private_key(self._unwrapped(uri), uri)
        raise PermanentError("decryption_key_missing", f"{uri}: neither a secret nor an object")

    def _secret(self, name: str) -> bytes:
        with translated("secretsmanager:GetSecretValue"):
            try:
                response = self._secrets().get_secret_value(SecretId=name)
            except ClientError as error:
                raise _missing_or_same(error, SECRET_SCHEME + name) from None
        if "SecretString" in response:
            return str(response["SecretString"]).encode()
        return bytes(response["SecretBinary"])

    def _unwrapped(self, uri: str) -> bytes:
        document = self._document(uri)
        with translated("kms:Decrypt"):
            try:
                response = self._kms.decrypt(
                    KeyId=document["key_arn"],
                    CiphertextBlob=document["wrapped_key"],
                    EncryptionContext=ENCRYPTION_CONTEXT,
                )
            except ClientError as error:
                if error_code(error) in _WRONG_CIPHERTEXT:
                    raise _unusable(uri) from None
                raise
        try:
            cipher = AESGCM(response["Plaintext"])
            return cipher.decrypt(document["nonce"], document["ciphertext"], _ASSOCIATED_DATA)
        except (InvalidTag, ValueError):
            raise _unusable(uri) from None

    def _document(self, uri: str) -> dict[str, Any]:
        bucket, _, key = uri.removeprefix(OBJECT_SCHEME).partition("/")
        with translated("s3:GetObject"):
            try:
                body = self._s3.get_object(Bucket=bucket, Key=key)["Body"]
                content = body.read(MAX_OBJECT_BYTES)
            except ClientError as error:
                raise _missing_or_same(error, uri) from None
        try:
            document = json.loads(content)
            fields = {
                name: base64.b64decode(document[name], validate=True)
                for name in ("wrapped_key", "nonce", "ciphertext")
            }
            return {"key_arn": str(document["key_arn"]), **fields}
        except (ValueError, KeyError, TypeError):
            raise _unusable(uri) from None


def wrapped_private_key(
    content: bytes, kms: KMSClient, key_arn: str, entropy: Callable[[int], bytes]
) -> bytes:
    """What an `s3+kms:` object holds: the key sealed under a data key that KMS wrapped."""
    response = kms.generate_data_key(
        KeyId=key_arn, NumberOfBytes=DATA_KEY_BYTES, EncryptionContext=ENCRYPTION_CONTEXT
    )
    nonce = entropy(NONCE_BYTES)
    ciphertext = AESGCM(response["Plaintext"]).encrypt(nonce, content, _ASSOCIATED_DATA)
    parts = {"wrapped_key": response["CiphertextBlob"], "nonce": nonce, "ciphertext": ciphertext}
    encoded = {name: base64.b64encode(part).decode("ascii") for name, part in parts.items()}
    return json.dumps({"key_arn": response["KeyId"], **encoded}, indent=2).encode()


def _private_key(content: bytes, uri: str) -> PrivateKey:
    """The key alone, or a JSON object with `private_key` and `passphrase`."""
    if not content.lstrip().startswith(b"{"):
        return PrivateKey(content)
    try:
        document = json.loads(content)
        material, passphrase = document["private_key"], document.get("passphrase")
    except (ValueError, KeyError):
        raise _unusable(uri) from None
    if not isinstance(material, str) or not isinstance(passphrase, str | None):
        raise _unusable(uri)
    return PrivateKey(material.encode(), passphrase)


def _missing_or_same(error: ClientError, uri: str) -> Exception:
    if error_code(error) in _ABSENT:
        return PermanentError("decryption_key_missing", uri)
    return error


def _unusable(uri: str) -> PermanentError:
    return PermanentError("decryption_key_unusable", f"{uri} does not hold a private key")
